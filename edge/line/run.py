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
from edge.line.settings import LineSettings


@dataclass(frozen=True, slots=True)
class Section:
    """A section of a run and what it is worth; places count from the run's start."""

    index: int
    x0_mm: float
    x1_mm: float
    grade: Grade
    late: bool = False


class Run:
    """What is known of a stretch of strip from its start on.

    Places of the strip come in and go out as positions of the strip; inside they count from the
    run's start. Sections are settled one after the other: when no frame can show more of one, or
    when one is overdue.

    Parameters
    ----------
    settings
        The line's.
    origin_mm
        Position of the strip at the run's start; None: where the next frame shows it.
    key, name
        Id and name of the lot; None between lots.
    started_at
        UTC.
    """

    def __init__(
        self,
        settings: LineSettings,
        origin_mm: float | None,
        started_at: datetime,
        *,
        key: str | None = None,
        name: str | None = None,
    ) -> None:
        self.key, self.name = key, name
        self.origin_mm = origin_mm
        self.started_at = started_at
        self.ended_at: datetime | None = None
        self.length_mm: float | None = None
        """Known when it has ended."""
        self.ended_ns = 0
        self.reached_mm = 0.0
        """As far as frames were judged."""
        self.error_mm = 0.0
        self.restarts = 0
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

    def end(self, position_mm: float | None, at: datetime, now_ns: int) -> float:
        """The run ends at a position of the strip; without one, as far as it was judged.

        What a frame shows that was taken before ``now_ns``, or is the first after it, still counts.
        Returns the length in mm.
        """
        known = position_mm is not None and self.origin_mm is not None
        length = position_mm - self.origin_mm if known else self.reached_mm  # type: ignore[operator]
        self.ended_ns = now_ns
        return self.cut(max(length, 0.0), at)

    def cut(self, length_mm: float, at: datetime) -> float:
        """The run is so long; what was seen behind its end is none of it. Returns the length."""
        self.length_mm, self.ended_at = length_mm, at
        self._closed = [one for one in self._closed if _middle(one) <= length_mm]
        self._merger.forget(length_mm)
        return length_mm

    def see(
        self, start_mm: float, end_mm: float, defects: Iterable[Defect], error_mm: float = 0.0
    ) -> Seen | None:
        """Take in what a frame showed, in positions of the strip; what of it belongs to this run,
        None when nothing does.
        """
        if self.origin_mm is None:
            self.origin_mm = end_mm - self.reached_mm
        limit = float("inf") if self.length_mm is None else self.length_mm
        low, high = max(start_mm - self.origin_mm, 0.0), min(end_mm - self.origin_mm, limit)
        if high < low:
            return None
        own = tuple(
            _moved(defect, -self.origin_mm)
            for defect in defects
            if low <= _middle(defect) - self.origin_mm <= high
        )
        seen = Seen(low, high, own, error_mm)
        self.take(seen)
        return seen

    def take(self, seen: Seen) -> None:
        """Take in a stretch whose places count from the run's start already."""
        self._coverage.add(seen.start_mm, seen.end_mm)
        self.reached_mm = max(self.reached_mm, seen.end_mm)
        self.error_mm = max(self.error_mm, seen.error_mm)
        self._closed += self._merger.add(seen.start_mm, seen.defects)

    def holds(self, position_mm: float) -> bool:
        """Whether a position of the strip lies in this run."""
        if self.origin_mm is None or position_mm < self.origin_mm:
            return False
        return self.length_mm is None or position_mm - self.origin_mm <= self.length_mm

    def settle(self, before_mm: float) -> list[Section]:
        """The verdicts of the sections that lie before a position of the strip as a whole."""
        if self.origin_mm is None:
            return []
        found = []
        while not self._over and self._bounds()[1] <= before_mm - self.origin_mm + TOUCH_MM:
            found.append(self._settled())
        return found

    def overdue(self, position_mm: float) -> list[Section]:
        """Rejects for the sections whose head has arrived at the gate without a verdict."""
        found: list[Section] = []
        if self.origin_mm is None:
            return found
        there_mm = position_mm - self.origin_mm - self._settings.gate_mm
        while not self._over and self._bounds()[0] <= there_mm:
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
        strip are places of the run; else the strip is taken to have stood still.
        """
        self.origin_mm = 0.0 if counted else None

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
        section = self._note(Section(self._next, low, high, what))
        if self.key is None:  # nobody asks for what lies behind
            self._closed = [one for one in self._closed if one.x1_mm >= high]
            self._coverage.forget(high)
        return section

    def _note(self, section: Section) -> Section:
        self.skip(section.index, section.grade.verdict, section.late)
        return section

    def _within(self, low: float, high: float) -> Sequence[Defect]:
        return [one for one in self.defects if one.x0_mm < high and one.x1_mm > low]


def _middle(defect: Defect) -> float:
    return (defect.x0_mm + defect.x1_mm) / 2


def _moved(defect: Defect, by_mm: float) -> Defect:
    return replace(defect, x0_mm=defect.x0_mm + by_mm, x1_mm=defect.x1_mm + by_mm)
