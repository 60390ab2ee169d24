"""Defects that come again at a constant distance: what a damaged roll prints on the strip."""

from __future__ import annotations

import bisect
import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.line.geometry import Defect

Floats = npt.NDArray[np.float64]

CANDIDATES = 64
"""Distances that are looked at closely, those that most pairs of defects have."""

MOST_PLACES = 2000
"""Defects of one label that are looked at, the largest; of a coil that has more, the roll is the
least of the worries.
"""

LEAST_FILLED = 0.6
"""Share of a row's places at which a defect stands: else half the distance would fit as well, with
every second place empty.
"""

MOST_ROWS = 16
"""Rows of one label that are told."""


@dataclass(frozen=True, slots=True)
class Periodic:
    """A row of defects at a constant distance.

    ``y_mm`` is where across the strip the row runs, ``count`` how many defects stand in it,
    ``roll`` the roll whose circumference the distance is, if one is known.
    """

    label: str
    period_mm: float
    y_mm: float
    first_mm: float
    last_mm: float
    count: int
    roll: str | None = None

    @property
    def diameter_mm(self) -> float:
        """Of the roll that would print at this distance."""
        return self.period_mm / math.pi


def find_periodic(
    defects: Sequence[Defect],
    *,
    rolls: Mapping[str, float] | None = None,
    least: int = 4,
    tolerance_mm: float = 5.0,
    shortest_mm: float = 50.0,
    longest_mm: float = 12_000.0,
) -> list[Periodic]:
    """Rows of at least ``least`` defects of one label in one lane at a constant distance.

    A row may miss one defect at a time: a roll does not print each time. Each defect belongs to one
    row at most; long rows come first. Of a distance and its multiples the shortest is told. At most
    :data:`MOST_PLACES` defects of a label are looked at, and :data:`MOST_ROWS` rows told.

    Parameters
    ----------
    defects
        Of one coil, in any order.
    rolls
        Name → diameter in mm. A row names the roll whose circumference differs least from its
        period, by at most 2 %.
    least
        Defects of a row, 3 or more.
    tolerance_mm
        By how much a defect may stand off its place, along and across the strip.
    shortest_mm, longest_mm
        Of a period.

    Raises
    ------
    ValueError
        A parameter is out of its range.
    """
    if least < 3 or not 0 < tolerance_mm < shortest_mm < longest_mm:
        raise ValueError(
            "find_periodic: needs least >= 3 and 0 < tolerance_mm < shortest_mm < longest_mm"
        )
    found: list[Periodic] = []
    for label in sorted({defect.label for defect in defects}):
        own = [defect for defect in defects if defect.label == label]
        own = heapq.nlargest(MOST_PLACES, own, key=lambda one: one.area_mm2)
        places = np.array(
            [((one.x0_mm + one.x1_mm) / 2, (one.y0_mm + one.y1_mm) / 2) for one in own]
        )
        places = places[np.argsort(places[:, 0], kind="stable")]
        for _ in range(MOST_ROWS):
            row = _longest_row(places, least, tolerance_mm, shortest_mm, longest_mm)
            if row is None:
                break
            chosen = places[row]
            steps = np.round(np.diff(chosen[:, 0]) / np.diff(chosen[:, 0]).min())
            period = float((chosen[-1, 0] - chosen[0, 0]) / steps.sum())
            found.append(
                Periodic(
                    label,
                    period,
                    float(np.median(chosen[:, 1])),
                    float(chosen[0, 0]),
                    float(chosen[-1, 0]),
                    len(row),
                    _roll(period, rolls or {}),
                )
            )
            places = np.delete(places, row, axis=0)
    return sorted(found, key=lambda one: (-one.count, one.first_mm))


def _longest_row(
    places: Floats, least: int, tolerance: float, shortest: float, longest: float
) -> list[int] | None:
    """Rows of ``places`` (x, y) that stand at a constant distance; None when there are too few."""
    best: list[int] = []
    best_period = math.inf
    lane = _Places(places[:, 0].tolist(), places[:, 1].tolist(), tolerance)
    for period in _candidates(places, tolerance, shortest, longest):
        for start in range(len(places)):
            # A row that could begin one period earlier was looked at there.
            if lane.next(start, -period) is not None:
                continue
            row = lane.row(start, period)
            steps = round((places[row[-1], 0] - places[start, 0]) / period)
            if len(row) < LEAST_FILLED * (steps + 1):
                continue
            longer = len(row) > len(best)
            if longer or (len(row) == len(best) and period < best_period - tolerance):
                best, best_period = row, period
    return best if len(best) >= least else None


def _candidates(places: Floats, tolerance: float, shortest: float, longest: float) -> list[float]:
    """Distances that many pairs in one lane have, the commonest first."""
    x, y = places.T
    # Pairs within reach only: all pairs of a bad coil would not fit into memory.
    first = np.searchsorted(x, x + shortest, "left")
    last = np.searchsorted(x, x + longest, "right")
    counts = last - first
    ahead = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    one, other = np.repeat(np.arange(len(x)), counts), np.repeat(first, counts) + ahead
    fits = np.abs(y[other] - y[one]) <= 2 * tolerance
    distances = np.sort((x[other] - x[one])[fits])
    if len(distances) < 2:
        return []
    # Neighbours within the tolerance support each other.
    support = np.searchsorted(distances, distances + tolerance, "right") - np.searchsorted(
        distances, distances - tolerance, "left"
    )
    chosen: list[float] = []
    taken = np.zeros(len(distances), np.bool_)
    for k in np.argsort(-support, kind="stable").tolist():
        if support[k] < 2 or len(chosen) == CANDIDATES:
            break
        if not taken[k]:
            near = np.abs(distances - distances[k]) <= tolerance
            chosen.append(float(np.median(distances[near])))
            taken |= np.abs(distances - chosen[-1]) <= tolerance
            taken[k] = True
    return chosen


class _Places:
    """Defects by x; plain lists, since a search in a few of them is no work for arrays."""

    def __init__(self, x: list[float], y: list[float], tolerance: float) -> None:
        self._x, self._y = x, y
        self._tolerance = tolerance

    def row(self, start: int, period: float) -> list[int]:
        """Those that follow one another at the period; one at a time may be missing."""
        row = [start]
        while True:
            following = self.next(row[-1], period)
            if following is None:
                following = self.next(row[-1], 2 * period)
            if following is None:
                return row
            row.append(following)

    def next(self, at: int, step: float) -> int | None:
        """The defect that stands a step away in the same lane, the nearest to that place."""
        x, y, tolerance = self._x[at] + step, self._y[at], self._tolerance
        best, best_off = None, math.inf
        for k in range(bisect.bisect_left(self._x, x - tolerance), len(self._x)):
            if self._x[k] > x + tolerance:
                break
            off = abs(self._x[k] - x)
            if off < best_off and abs(self._y[k] - y) <= tolerance:
                best, best_off = k, off
        return best


def _roll(period: float, rolls: Mapping[str, float]) -> str | None:
    off = {name: abs(math.pi * diameter / period - 1) for name, diameter in rolls.items()}
    name = min(off, key=lambda one: off[one], default=None)
    return name if name is not None and off[name] <= 0.02 else None
