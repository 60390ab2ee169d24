"""A line of small numbers: frames of 160×64 pixels of half a millimetre, so of 80 mm of strip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from edge.line.geometry import Geometry
from edge.line.grading import GradeRule, Lanes
from edge.line.line import StripLine
from edge.line.locator import Locator
from edge.line.position import EncoderPositioner
from edge.line.settings import LineSettings
from edge.line.tracker import StripTracker
from edge.records import (
    Box,
    EncoderSample,
    LineEvent,
    LotEntry,
    LotTotals,
    Observation,
    Region,
    Segmentation,
    Track,
    Verdict,
)
from tests.fakes import make_frame, make_observation

MS = 1_000_000
AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
WIDTH, HEIGHT = 160, 64
REJECT_SCRATCHES = GradeRule("reject", ("scratches",))


def settings_of(**keys: object) -> LineSettings:
    """Sections of 100 mm, the gate 400 mm behind the edge; a scratch is a reject."""
    given = {
        "camera": "strip",
        "geometry": Geometry(0.5, 0.5),
        "size_px": (WIDTH, HEIGHT),
        "lanes": Lanes(32.0, 2),
        "gap_mm": 2.0,
        "section_mm": 100.0,
        "gate_mm": 400.0,
        "rules": (REJECT_SCRATCHES,),
    }
    return LineSettings(**{**given, **keys})  # type: ignore[arg-type]  # as the caller says


def seen_at(position_mm: float, at_ms: int, sequence: int, *regions: Region) -> Observation:
    """A judged frame of the strip."""
    observation = make_observation(make_frame("strip", sequence))
    header = replace(observation.header, captured_ns=at_ms * MS, width=WIDTH, height=HEIGHT)
    masks = np.zeros((1, HEIGHT, WIDTH), np.bool_)
    return replace(
        observation, header=header, result=Segmentation(("scratches",), masks, tuple(regions))
    )


def region(x: float, width: float = 20.0, *, y: float = 10.0, label: str = "scratches") -> Region:
    """A defect in pixels of the picture, at x from the edge where the strip enters."""
    return Region(label, Box(x, y, width, 8.0), width * 8, width, 8.0, 0.9)


def region_of(position_mm: float, x0_mm: float, x1_mm: float, label: str = "scratches") -> Region:
    """What a frame at this position shows of a defect that lies from x0 to x1 on the strip."""
    low, high = max(x0_mm, position_mm - 80.0), min(x1_mm, position_mm)
    return region((position_mm - high) / 0.5, (high - low) / 0.5, label=label)


class Strip:
    """A line with its encoder at half a millimetre a count; it runs a millimetre a millisecond.

    Parameters
    ----------
    settings
        Of the line.
    boot
        As of :class:`StripLine`.
    diary
        Of a line before, whose encoder counted on.
    """

    def __init__(
        self,
        settings: LineSettings | None = None,
        *,
        boot: str | None = None,
        diary: Sequence[LotEntry] = (),
    ) -> None:
        self.settings = settings or settings_of()
        self.positioner = EncoderPositioner(0.5, leap_mm=self.settings.frame_mm + 3.0)
        self.locator = Locator(self.settings, self.positioner)
        self.tracker = StripTracker(self.settings, self.locator)
        self.line = StripLine(
            self.settings, self.positioner, self.locator, self.tracker, boot=boot, now=AT
        )
        self.events: list[LineEvent] = []
        self.sequence = 0
        if diary:
            self.events += self.line.restore(diary, AT)
        else:
            self.count(0.0)

    def count(self, position_mm: float) -> None:
        """The encoder tells where the strip is; a millimetre is a millisecond."""
        sample = EncoderSample(round(position_mm / 0.5), round(position_mm * MS))
        self.line.tell(sample)

    def frame(self, position_mm: float, *defects: tuple[float, float]) -> tuple[Track, ...]:
        """A frame at a position, with what it shows of defects from … to … on the strip."""
        self.count(position_mm)
        shown = [
            region_of(position_mm, low, high)
            for low, high in defects
            if low < position_mm and high > position_mm - 80.0
        ]
        observation = seen_at(position_mm, round(position_mm), self.sequence, *shown)
        self.sequence += 1
        tracks = self.tracker.update(observation)
        _, events = self.line.observe(observation, ())
        self.events += events
        return tracks

    def run(self, start_mm: int, end_mm: int, *defects: tuple[float, float]) -> None:
        """Frames that overlap by half, from the first position to the last."""
        for position in range(start_mm, end_mm + 1, 40):
            self.frame(float(position), *defects)

    @property
    def verdicts(self) -> list[Verdict]:
        """What was said of sections."""
        return [one for one in self.events if isinstance(one, Verdict)]

    @property
    def entries(self) -> list[LotEntry]:
        """What was written down."""
        return [one for one in self.events if isinstance(one, LotEntry)]

    @property
    def totals(self) -> LotTotals:
        """What was told last of a lot."""
        return [one for one in self.events if isinstance(one, LotTotals)][-1]


def names(verdicts: Sequence[Verdict]) -> list[str]:
    """The verdicts alone."""
    return [one.verdict for one in verdicts]
