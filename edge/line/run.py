"""A run of the strip: a lot, or what passes between two lots."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from edge.line.coverage import TOUCH_MM, Coverage
from edge.line.diary import Seen
from edge.line.geometry import Defect
from edge.line.grading import Grade, grade
from edge.line.lot import Lot
from edge.line.merge import DefectMerger
from edge.line.notebook import Notebook
from edge.line.position import Position
from edge.line.settings import LineSettings


@dataclass(frozen=True, slots=True)
class Section:
    """A section of a run and what it is worth; places count from the run's start."""

    index: int
    x0_mm: float
    x1_mm: float
    grade: Grade
    late: bool = False


MOST_OVERDUE = 100
"""Sections that are rejected as overdue at one look; the others follow at the next."""


class Run:
    """What is known of a stretch of strip from its start on.

    Positions of the strip come in and go out; inside, places count from the run's start. Sections
    are settled one after the other: when no frame can show more of one, or when one is overdue.

    Parameters
    ----------
    settings
        The line's.
    origin
        Position of the strip at the run's start; None: that of the next frame.
    started_at
        UTC.
    key, name
        Id and name of the lot; None between lots.
    """

    def __init__(
        self,
        settings: LineSettings,
        origin: Position | None,
        started_at: datetime,
        *,
        key: str | None = None,
        name: str | None = None,
    ) -> None:
        self.key, self.name = key, name
        self.notebook = None if key is None else Notebook(key)
        self.origin = origin
        self.started_at = started_at
        self.ended_at: datetime | None = None
        self.length_mm: float | None = None
        """Known when it has ended."""
        self.ended_ns = 0
        self.reached_mm = 0.0
        """As far as frames were judged."""
        self.error_mm = 0.0
        self.restarts = self.losses = 0
        self.verdicts: Counter[str] = Counter()
        self.late = 0
        self._settings = settings
        self._coverage = Coverage()
        self._merger = DefectMerger(settings.gap_mm)
        self._closed: list[Defect] = []
        self._next = 0  # the section that is settled next

    @property
    def defects(self) -> tuple[Defect, ...]:
        """All that are kept; between lots, those of the sections that are not settled."""
        return (*self._closed, *self._merger.open)

    @property
    def covered(self) -> float:
        """Share of the strip up to now that was judged."""
        length = self.reached_mm if self.length_mm is None else self.length_mm
        if length <= 0:
            return 1.0
        return 1.0 - sum(high - low for low, high in self._coverage.gaps(0.0, length)) / length

    def place(self, position: Position) -> float | None:
        """Place of a position on this run; None before its origin is known."""
        return None if self.origin is None else position.mm - self.origin.mm

    def error(self, position: Position) -> float:
        """By how much places at a position may be wrong."""
        return position.error_mm if self.origin is None else position.distance_error(self.origin)

    def end(self, position: Position | None, at: datetime, now_ns: int) -> float:
        """The run ends at a position of the strip; without one, as far as it was judged.

        What a frame shows that was taken before ``now_ns``, or is the first after it, still counts.
        Returns the length in mm.
        """
        place = None if position is None else self.place(position)
        self.ended_ns = now_ns
        return self.cut(max(self.reached_mm if place is None else place, 0.0), at)

    def cut(self, length_mm: float, at: datetime) -> float:
        """The run is so long; what was seen behind its end is none of it. Returns the length."""
        self.length_mm, self.ended_at = length_mm, at
        self._closed = _clipped(self._closed, 0.0, length_mm)
        self._merger.clip(length_mm)
        return length_mm

    def see(
        self, start_mm: float, end_mm: float, defects: Iterable[Defect], position: Position
    ) -> Seen | None:
        """Take in what a frame showed, in positions of the strip: what of it belongs to this run.

        None when nothing does, and when it shows nothing new: a strip that stands.
        """
        if self.origin is None:
            # A lot begins at the edge where the strip enters; one that was interrupted goes on
            # behind a gap of all that the frame shows.
            gap_mm = self._settings.gap_mm + 1.0  # so that nothing is joined across it
            head_mm = start_mm - self.reached_mm - gap_mm if self.reached_mm else end_mm
            self.origin = replace(position, mm=head_mm)
        origin_mm = self.origin.mm
        limit = float("inf") if self.length_mm is None else self.length_mm
        low, high = max(start_mm - origin_mm, 0.0), min(end_mm - origin_mm, limit)
        if high < low:
            return None
        own = _clipped([_moved(defect, -origin_mm) for defect in defects], low, high)
        if not self._coverage.gaps(low, high) and all(map(self._knows, own)):
            return None
        seen = Seen(low, high, tuple(own), self.error(position))
        self.take(seen)
        return seen

    def take(self, seen: Seen) -> None:
        """Take in a stretch whose places count from the run's start already."""
        self._coverage.add(seen.start_mm, seen.end_mm)
        self.reached_mm = max(self.reached_mm, seen.end_mm)
        self.error_mm = max(self.error_mm, seen.error_mm)
        self._closed += self._merger.add(seen.start_mm, seen.defects)

    def _knows(self, defect: Defect) -> bool:
        """Whether all of it was seen before, but for what lies within the gap."""
        gap = self._settings.gap_mm
        return any(
            one.label == defect.label
            and one.x0_mm - gap <= defect.x0_mm
            and defect.x1_mm <= one.x1_mm + gap
            and one.y0_mm - gap <= defect.y0_mm
            and defect.y1_mm <= one.y1_mm + gap
            for one in self._merger.open
        )

    def holds(self, position_mm: float) -> bool:
        """Whether a position of the strip lies in this run."""
        if self.origin is None or position_mm < self.origin.mm:
            return False
        return self.length_mm is None or position_mm - self.origin.mm <= self.length_mm

    def settle(self, before_mm: float) -> list[Section]:
        """The verdicts of the sections that lie before a position of the strip as a whole."""
        if self.origin is None:
            return []
        found = []
        while not self._over and self._bounds()[1] <= before_mm - self.origin.mm + TOUCH_MM:
            found.append(self._settled())
        return found

    def overdue(self, position_mm: float) -> list[Section]:
        """Rejects for the sections whose head has arrived at the gate without a verdict."""
        found: list[Section] = []
        if self.origin is None:
            return found
        there_mm = position_mm - self.origin.mm - self._settings.gate_mm
        while not self._over and self._bounds()[0] <= there_mm and len(found) < MOST_OVERDUE:
            low, high = self._bounds()
            why = Grade("reject", "no verdict in time")
            found.append(self._note(Section(self._next, low, high, why, late=True)))
        return found

    def close(self) -> list[Section]:
        """Nothing more will be seen of a run that has ended: settle what is left of it."""
        self._closed += self._merger.finish()
        found = []
        while not self._over:
            found.append(self._settled())
        return found

    def skip(self, index: int, verdict: str, late: bool) -> None:
        """Told again: this section had its verdict."""
        self._next = index + 1
        self.verdicts[verdict] += 1
        self.late += late

    def resume(self, *, counted: bool) -> None:
        """It goes on after a restart. Where the encoder ``counted`` meanwhile, positions of the
        strip are places of the run; else nobody knows how much strip ran by.
        """
        self.origin = Position(0.0, 0.0) if counted else None
        self.losses += not counted

    def lot(self) -> Lot:
        """The whole lot, graded; takes up to a second for a thousand defects."""
        assert self.name is not None
        assert self.length_mm is not None
        assert self.ended_at is not None
        return Lot.closed(
            self.name,
            self.started_at,
            self.ended_at,
            self.length_mm,
            self._settings.lanes,
            self._closed,
            self._coverage.gaps(0.0, self.length_mm),
            self._settings.rules,
            self._settings.rolls,
            verdicts=dict(self.verdicts),
            late=self.late,
            restarts=self.restarts,
            losses=self.losses,
            error_mm=self.error_mm,
        )

    @property
    def _over(self) -> bool:
        """Whether the run has no further section."""
        return self.length_mm is not None and self._bounds()[0] >= self.length_mm - TOUCH_MM

    def _bounds(self) -> tuple[float, float]:
        """Of the next section; the last one of a lot may be shorter."""
        low = self._next * self._settings.section_mm
        high = low + self._settings.section_mm
        return low, high if self.length_mm is None else min(high, self.length_mm)

    def _settled(self) -> Section:
        low, high = self._bounds()
        if gaps := self._coverage.gaps(low, high):
            text = ", ".join(f"{start:.0f} to {end:.0f} mm" for start, end in gaps[:3])
            what = Grade("reject", f"not judged: {text}")
        else:
            what = grade(self._within(low, high), self._settings.rules, self._settings.lanes)
        return self._note(Section(self._next, low, high, what))

    def _note(self, section: Section) -> Section:
        self.skip(section.index, section.grade.verdict, section.late)
        if self.key is None:  # nobody asks for what lies behind
            self._closed = [one for one in self._closed if one.x1_mm >= section.x1_mm]
            self._coverage.forget(section.x1_mm)
        return section

    def _within(self, low: float, high: float) -> Sequence[Defect]:
        return [one for one in self.defects if one.x0_mm < high and one.x1_mm > low]


def _moved(defect: Defect, by_mm: float) -> Defect:
    return replace(defect, x0_mm=defect.x0_mm + by_mm, x1_mm=defect.x1_mm + by_mm)


def _clipped(defects: Iterable[Defect], low_mm: float, high_mm: float) -> list[Defect]:
    """What of them lies in a stretch: a scratch over the border of two lots is one of each."""
    return [
        one.clipped(low_mm, high_mm)
        for one in defects
        if one.x0_mm < high_mm and one.x1_mm > low_mm
    ]
