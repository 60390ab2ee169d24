"""A whole station over the drawn strip: camera, encoder, rule, lot, outbox, report."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import pytest

from edge import app
from edge.config import build
from edge.demo.coil import Coil, Planted
from edge.demo.line_camera import StripEncoder, StripSource
from edge.demo.motion import Motion
from edge.pipeline import Pipeline
from tests.fakes import FakeSink
from tests.helpers.planted import PlantedTask

PX_MM = 0.5
"""Pitch of a pixel."""
COUNT_MM = 0.05


class LineStation:
    """A station on a strip, and what came out of it.

    Parameters
    ----------
    folder
        Its state directory.
    coil, motion
        What runs past, and how.
    fps
        Of the camera.
    """

    def __init__(self, folder: Path, coil: Coil, motion: Motion, fps: float) -> None:
        self.coil = coil
        self.folder = folder
        self.sink = FakeSink()
        self.source = StripSource(coil, motion, "strip", width_px=800, height_px=64, fps=fps)
        self.task = PlantedTask(coil, self.source.run.mm)
        tables: dict[str, Any] = {
            "station": {"node": "n1", "task": "steel_defect", "state_dir": str(folder)},
            "camera": [{"id": "strip", "source": "synthetic://black", "width": 800, "height": 64}],
            "line": {
                "mm_per_px_x": PX_MM,
                "mm_per_px_y": PX_MM,
                "lanes": 2,
                "encoder": {"source": "local", "mm_per_count": COUNT_MM},
                "roll": [{"name": "work roll", "diameter_mm": 180.0}],
                "grading": [{"verdict": "reject", "labels": ["scratches"], "per_metre": 1}],
            },
        }
        self.pipeline: Pipeline = app.build(
            build(tables, origin="test"),
            sink=self.sink,
            tasks=[self.task],
            sources=[self.source],
            encoder=StripEncoder(self.source.run, COUNT_MM),
        )
        self.ended_s = 0.0
        self.reported_s = 0.0

    def run(self) -> None:
        """Run the coil as one lot, from before its head to behind its tail."""
        assert self.pipeline.line is not None
        self.pipeline.line.start_lot("C-1", time.monotonic_ns())
        self.pipeline.run(self._quit_within)
        assert self.messages("/lot/report")
        self.reported_s = self.reported_s or time.monotonic()

    def _quit_within(self, wait_s: float) -> bool:
        assert self.pipeline.line is not None
        time.sleep(min(wait_s, 0.01))  # between two looks; the strip runs meanwhile
        now_ns = time.monotonic_ns()
        if not self.ended_s and self.source.run.mm(now_ns) > self.coil.length_mm:
            self.ended_s = time.monotonic()
            self.pipeline.line.end_lot(now_ns)
        if self.ended_s and not self.reported_s and self.messages("/lot/report"):
            self.reported_s = time.monotonic()
        return False

    def messages(self, tail: str) -> list[dict[str, Any]]:
        """What was sent on topics that end so."""
        return [json.loads(one.payload) for one in list(self.sink.sent) if one.topic.endswith(tail)]

    @property
    def report(self) -> dict[str, Any]:
        """The one report."""
        (report,) = self.messages("/lot/report")
        return report


def varying(mm_per_s: float) -> Motion:
    """A strip that speeds up and slows down by a third, every second."""
    return Motion(mm_per_s, variation=0.33, period_s=1.0, ramp_s=0.5)


@pytest.fixture(scope="module")
def bad_day(tmp_path_factory: pytest.TempPathFactory) -> LineStation:
    """Twelve metres with scattered defects and a damaged roll, at varying speed, reported."""
    coil = Coil.standard(5, length_mm=12_000.0, width_mm=64.0, mm_per_px=PX_MM, roll_mm=180.0)
    station = LineStation(tmp_path_factory.mktemp("line"), coil, varying(2000.0), fps=30.0)
    station.run()
    return station


def test_every_planted_defect_is_reported_at_its_place(bad_day: LineStation) -> None:
    """Label by label, within a pixel's pitch along the strip and across it."""
    rows = [
        dict(zip(bad_day.report["defect_columns"], row, strict=True))
        for row in bad_day.report["defect_rows"]
    ]
    assert len(rows) == len(bad_day.coil.planted)
    for planted in bad_day.coil.planted:
        found = min(
            (row for row in rows if row["label"] == planted.label),
            key=lambda row: abs(row["x_mm"] - planted.x_mm) + abs(row["y_mm"] - planted.y_mm),
        )
        assert abs(found["x_mm"] - planted.x_mm) <= PX_MM, (found, planted)
        assert abs(found["y_mm"] - planted.y_mm) <= PX_MM
        assert abs(found["len_mm"] - planted.len_mm) <= 2 * PX_MM


def test_the_damaged_roll_is_named(bad_day: LineStation) -> None:
    """Every print of it stands in one row, whose distance is the roll's circumference."""
    prints = [one for one in bad_day.coil.planted if one.roll is not None]
    assert len(prints) >= 5
    row = next(one for one in bad_day.report["periodic"] if one.get("roll") == "work roll")
    assert row["count"] == len(prints)
    assert row["period_mm"] == pytest.approx(math.pi * 180.0, abs=PX_MM)


def test_each_defect_is_one_alert_with_its_place(bad_day: LineStation) -> None:
    """However many frames showed it; the end tells the whole of it."""
    alerts = bad_day.messages("/cam/strip/alert")
    ends = [one for one in alerts if one["phase"] == "end"]
    assert len([one for one in alerts if one["phase"] == "new"]) == len(bad_day.coil.planted)
    assert len(ends) == len(bad_day.coil.planted)
    longest = max(bad_day.coil.planted, key=lambda one: one.len_mm)
    place = min(
        (one["position"] for one in ends),
        key=lambda place: abs(place["x_mm"] - longest.x_mm) + abs(place["y_mm"] - longest.y_mm),
    )
    assert place["lot"] == "C-1"
    assert abs(place["x_mm"] - longest.x_mm) <= PX_MM
    assert abs(place["len_mm"] - longest.len_mm) <= 2 * PX_MM
    assert 0 < place["err_mm"] < 100


def test_the_whole_strip_was_judged(bad_day: LineStation) -> None:
    """Each section has one verdict, in its order and in time, and the report counts them."""
    report = bad_day.report
    said = [one for one in bad_day.messages("/verdict") if one.get("lot") == "C-1"]
    assert [one["x_mm"] for one in said] == [1000.0 * n for n in range(len(said))]
    assert (report["covered"], report["gaps_mm"], report["late"]) == (1.0, [], 0)
    assert sum(report["verdicts"].values()) == len(said)
    assert 12_000 <= report["length_mm"] < 12_400


def test_its_files_are_kept(bad_day: LineStation) -> None:
    """A page, a map, a list and all of it as JSON lie in the state directory."""
    files = {file.suffix: file for file in (bad_day.folder / "lots").iterdir()}
    assert set(files) == {".html", ".svg", ".csv", ".json"}
    data = json.loads(files[".json"].read_text())
    assert data["lot"] == "C-1"
    assert len(data["defects"]) == len(bad_day.coil.planted)
    assert len(files[".csv"].read_text().splitlines()) == len(bad_day.coil.planted) + 1
    assert "C-1" in files[".html"].read_text()


def test_a_coil_of_a_thousand_defects_loses_none(tmp_path: Path) -> None:
    """Every one is an alert that came and ended, none was held back; the report is there within
    two seconds of the end.
    """
    planted = [
        Planted("inclusion", 100.0 + 99.0 * n, 4.0 + 6.0 * (n % 9), 12.0, 4.0, None)
        for n in range(1000)
    ]
    coil = Coil(7, 100_000.0, 64.0, PX_MM, planted)
    station = LineStation(tmp_path, coil, Motion(8000.0, variation=0.2, ramp_s=1.0), fps=40.0)
    station.run()
    alerts = station.messages("/cam/strip/alert")
    assert len({one["id"] for one in alerts if one["phase"] == "new"}) == 1000
    assert len({one["id"] for one in alerts if one["phase"] == "end"}) == 1000
    assert not any("summary" in one for one in alerts)
    assert station.report["totals"] == {"inclusion": 1000}
    assert len(station.report["defect_rows"]) == 1000
    assert station.reported_s - station.ended_s <= 2.0


def test_a_constant_speed_in_place_of_the_encoder_is_found_out(tmp_path: Path) -> None:
    """The twin: with a speed that is wrong by a third now and then, places are off by more than
    a pixel's pitch.
    """
    coil = Coil.standard(5, length_mm=4_000.0, width_mm=64.0, mm_per_px=PX_MM, roll_mm=None)
    station = LineStation(tmp_path, coil, varying(2000.0), fps=30.0)
    station.source.run.motion.count = lambda t_s, mm_per_count: math.floor(  # type: ignore[method-assign]
        2000.0 * t_s / mm_per_count
    )
    station.run()
    rows = station.report["defect_rows"]
    off = [
        min(abs(row[1] - one.x_mm) for row in rows if row[0] == one.label)
        for one in coil.planted
        if any(row[0] == one.label for row in rows)
    ]
    assert max(off) > PX_MM
