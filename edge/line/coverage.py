"""Which millimetres of a strip were judged, and which were not."""

from __future__ import annotations

import bisect
from collections.abc import Iterator

Interval = tuple[float, float]
"""From and to, in millimetres of the strip."""

TOUCH_MM = 1e-6
"""Intervals that are no further apart are one: what floating point tears is no gap."""


class Coverage:
    """The stretches of a strip that were judged, as disjoint intervals in order."""

    def __init__(self) -> None:
        self._starts: list[float] = []
        self._ends: list[float] = []

    def add(self, start_mm: float, end_mm: float) -> None:
        """A frame judged this stretch; it may overlap others and come in any order.

        Raises
        ------
        ValueError
            It ends before it starts, or a bound is no number.
        """
        if not start_mm <= end_mm:
            raise ValueError(f"coverage: {start_mm} to {end_mm} mm is no stretch")
        # All that touch it lie side by side.
        first = bisect.bisect_left(self._ends, start_mm - TOUCH_MM)
        last = bisect.bisect_right(self._starts, end_mm + TOUCH_MM)
        if first < last:
            start_mm = min(start_mm, self._starts[first])
            end_mm = max(end_mm, self._ends[last - 1])
        self._starts[first:last] = [start_mm]
        self._ends[first:last] = [end_mm]

    def forget(self, before_mm: float) -> None:
        """Let go of the stretches that end before a place; what is asked there later is a gap."""
        first = bisect.bisect_left(self._ends, before_mm)
        del self._starts[:first], self._ends[:first]

    def __iter__(self) -> Iterator[Interval]:
        return iter(zip(self._starts, self._ends, strict=True))

    def gaps(self, start_mm: float, end_mm: float) -> list[Interval]:
        """What of a stretch was not judged, in order."""
        found: list[Interval] = []
        reached = start_mm
        for low, high in self:
            if low >= end_mm:
                break
            if low > reached:
                found.append((reached, low))
            reached = max(reached, high)
        if reached < end_mm:
            found.append((reached, end_mm))
        return found
