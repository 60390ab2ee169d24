"""`linesight demo --station steel_defect`: a strip that runs, and the report of its coil."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from edge.app.line import LOTS
from edge.commands.show import LIVE_S, NODE, ROOT
from edge.config import Config, build
from edge.demo.coil import KNOWN_NOTE, Coil
from edge.demo.fleet import Fleet
from edge.demo.folder_strip import FolderStrip, first_size
from edge.demo.line_camera import StripEncoder, StripSource
from edge.demo.motion import Motion
from edge.messages.line_payloads import LotReportPayload
from edge.pipeline import Pipeline
from edge.protocols import Encoder, Source
from edge.records import EncoderSample
from edge.sinks.mqtt_settings import MqttSettings
from edge.sources import open_source
from edge.sources.uri import scheme_of

CAMERA = "strip"
WIDTH, HEIGHT, FPS = 1600, 256, 12.0
MM_PER_PX, MM_PER_COUNT = 0.5, 0.05
LENGTH_MM, SPEED_MM_S, SEED = 24_000.0, 2000.0, 3
ROLL_MM = 180.0

TOUCH_MM = 10.0
"""A known defect counts as found when one of its label is reported within so much of it."""


class DrawnStrip:
    """The drawn strip at line speed, its encoder, and what is known of it."""

    def __init__(self) -> None:
        self.coil = Coil.standard(SEED, length_mm=LENGTH_MM, mm_per_px=MM_PER_PX, roll_mm=ROLL_MM)
        source = StripSource(
            self.coil,
            Motion(SPEED_MM_S, variation=0.2),
            CAMERA,
            width_px=WIDTH,
            height_px=HEIGHT,
            fps=FPS,
        )
        self.lot = "SYNTHETIC-1"
        self._run = source.run
        self.size, self.mm_per_count = (WIDTH, HEIGHT), MM_PER_COUNT
        self.source: Source = source
        self.encoder: Encoder = StripEncoder(source.run, MM_PER_COUNT)
        self.note = (
            f"strip: {KNOWN_NOTE}\n"
            f"       {LENGTH_MM / 1000:g} m at {SPEED_MM_S / 1000:g} m/s, "
            f"{len(self.coil.planted)} known defects"
        )

    def begin(self, station: Pipeline) -> None:
        """Nothing to do: the encoder is there before the strip."""

    @property
    def began_ns(self) -> int | None:
        """Moment at which the head entered the picture; None before."""
        return self._run.began_ns

    @property
    def over_ns(self) -> int | None:
        """Moment at which the tail passed; None before."""
        now_ns = time.monotonic_ns()
        if self._run.mm(now_ns) < self.coil.length_mm or self._run.began_ns is None:
            return None
        low, high = self._run.began_ns, now_ns
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._run.mm(middle) >= LENGTH_MM else (middle, high)
        return high

    def found(self, report: LotReportPayload) -> dict[str, int]:
        """How many defects are known, and how many of them are in the report."""
        there = sum(
            any(
                label == one.label
                and x - TOUCH_MM <= one.x_mm + one.len_mm
                and one.x_mm <= x + length + TOUCH_MM
                and y - TOUCH_MM <= one.y_mm + one.wid_mm
                and one.y_mm <= y + width + TOUCH_MM
                for label, x, y, length, width, *_ in report.defect_rows
            )
            for one in self.coil.planted
        )
        return {"planted": len(self.coil.planted), "planted_found": there}


class StripOfFrames:
    """Frames of a source, end to end; of the scale nothing is known, so it is assumed.

    Raises
    ------
    SourceError, UsageError
        The source gives no frame.
    """

    def __init__(self, uri: str) -> None:
        self.size = first_size(open_source(uri, camera=CAMERA, fps=FPS))
        self._strip = FolderStrip(open_source(uri, camera=CAMERA, fps=FPS), self.size)
        self.lot, self.mm_per_count = "FRAMES-1", MM_PER_PX
        self.source: Source = self._strip
        self.encoder: Encoder = self._strip.encoder
        width, height = self.size
        self.note = (
            f"strip: frames of {uri}, end to end, {width}×{height} pixels of {MM_PER_PX:g} mm "
            "(assumed)"
        )

    def begin(self, station: Pipeline) -> None:
        """Before the first frame: nothing has passed yet."""
        assert station.line is not None
        station.line.tell(EncoderSample(0, self._strip.began_ns))

    @property
    def began_ns(self) -> int | None:
        """Moment before the first frame."""
        return self._strip.began_ns

    @property
    def over_ns(self) -> int | None:
        """Moment of the last frame; None before."""
        return self._strip.last_ns if self._strip.over else None

    def found(self, report: LotReportPayload) -> dict[str, int]:
        """Nothing is known of such a strip."""
        return {}


class SteelShow:
    """See :class:`edge.commands.show.Show`; the source is a URI, None the drawn strip."""

    picture = "the strip"

    def __init__(self, source: str | None, out: TextIO) -> None:
        self._strip: DrawnStrip | StripOfFrames = (
            DrawnStrip() if source is None else StripOfFrames(source)
        )
        self.sources: Sequence[Source] | None = [self._strip.source]
        self.encoder: Encoder | None = self._strip.encoder
        self.fps = FPS
        endless = source is not None and scheme_of(source, CAMERA) != "file"
        self.seconds: float | None = LIVE_S if endless else None
        self._own = source is None
        self._began = self._ended = False
        out.write(f"{self._strip.note}\n")

    def config(self, state_dir: Path, broker: MqttSettings) -> Config:
        """The station's."""
        tables: dict[str, Any] = {
            "station": {
                "node": NODE,
                "root": ROOT,
                "task": "steel_defect",
                "state_dir": str(state_dir),
            },
            "camera": [{"id": CAMERA, "source": "synthetic://black"}],
            "line": {
                "frame_px": list(self._strip.size),
                "mm_per_px_x": MM_PER_PX,
                "mm_per_px_y": MM_PER_PX,
                "lanes": 4,
                "encoder": {
                    "source": "local",
                    "mm_per_count": self._strip.mm_per_count,
                    "max_gap_ms": 5000,
                },
                "roll": [{"name": "work roll", "diameter_mm": ROLL_MM}],
                "grading": [
                    {"verdict": "reject", "labels": ["scratches"], "size_mm": 100.0},
                    {"verdict": "downgrade", "per_metre": 2},
                ],
            },
            "mqtt": {"host": broker.host, "port": broker.port, "protocol": broker.protocol},
        }
        return build(tables, origin="demo")

    def begin(self, station: Pipeline) -> None:
        """The station is about to start."""
        self._strip.begin(station)

    def tick(self, station: Pipeline) -> None:
        """Begin the lot with the strip's head, and end it with its tail."""
        began_ns = self._strip.began_ns
        if not self._began and began_ns is not None:
            self._began = True
            assert station.line is not None
            station.line.start_lot(self._strip.lot, began_ns)
        over_ns = self._strip.over_ns
        if over_ns is not None:
            self._end(station, over_ns)

    def finish(self, station: Pipeline) -> None:
        """Time is up: the lot ends here."""
        self._end(station, time.monotonic_ns())

    def _end(self, station: Pipeline, at_ns: int) -> None:
        if self._began and not self._ended:
            self._ended = True
            assert station.line is not None
            station.line.end_lot(at_ns)

    def keep(self, state_dir: Path, out: Path) -> None:
        """Keep the report's files."""
        for file in (state_dir / LOTS).glob("*"):
            shutil.copyfile(file, out / f"report{file.suffix}")

    def results(self, fleet: Fleet, out: Path) -> dict[str, Any]:
        """What the coil's report says, as it came over MQTT."""
        report = fleet.reports[-1] if fleet.reports else None
        if report is None:
            return {}
        return {
            "lot": {
                "name": report.lot,
                "length_mm": report.length_mm,
                "covered": report.covered,
                "totals": report.totals,
                "verdicts": report.verdicts,
                "grade": report.grade.model_dump(exclude_none=True),
                "periodic": [one.model_dump(exclude_none=True) for one in report.periodic],
                "report": str(out / "report.html"),
                **self._strip.found(report),
            }
        }

    def lines(self, report: dict[str, Any]) -> list[str]:
        """The same for people."""
        lot = report.get("lot")
        if lot is None:
            return []
        totals = ", ".join(f"{count} {label}" for label, count in lot["totals"].items())
        said = [
            f"coil           {lot['name']}, {lot['length_mm'] / 1000:.2f} m, "
            f"{100 * lot['covered']:.1f} % judged: {totals or 'no defect'}",
            f"grade          {lot['grade']['verdict']}: {lot['grade']['reason']}",
        ]
        said += [
            f"repeats        {one['count']} {one['label']} every {one['period_mm']:.1f} mm: "
            f"{one.get('roll', 'a roll')} of {one['diameter_mm']:.1f} mm"
            for one in lot["periodic"]
        ]
        if "planted" in lot:
            said.append(f"known defects  {lot['planted_found']} of {lot['planted']} found")
        return [*said, f"report         {lot['report']} (also .svg, .csv, .json)"]

    def failure(self, report: dict[str, Any]) -> str | None:
        """Why the demo did not show what it should."""
        if "lot" not in report:
            return "no coil was reported"
        if self._own and not report["alerts_opened"]:
            return "no alert was opened"
        return None
