"""Where the strip was when a frame was taken, by an encoder's counts."""

from __future__ import annotations

import bisect
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from edge.records import EncoderSample, LineSample

KEPT = 4096
"""Samples that are remembered: twenty seconds at one in five milliseconds."""

RATE_NS = 10_000_000
"""Least time over which the speed is measured that a strip is taken to go on with: two samples may
lie microseconds apart.
"""


@dataclass(frozen=True, slots=True)
class Position:
    """Millimetres of strip that had passed the origin, and by how much that may be wrong.

    ``error_mm`` is a bound, not a deviation: the strip was within ``mm ± error_mm`` if it never ran
    backwards and the samples are right. ``share``, of a speed, bounds what a distance between two
    positions may be wrong by, as a share of it.
    """

    mm: float
    error_mm: float
    share: float = 0.0

    def distance_error(self, origin: Position) -> float:
        """By how much the distance from another position may be wrong."""
        if self.share:
            return self.share * abs(self.mm - origin.mm)
        return self.error_mm + origin.error_mm


class Positioner(Protocol):
    """Says where the strip was. Any thread may call it."""

    def tell(self, sample: LineSample) -> None:
        """Take a sample of the kind that this positioner is made for.

        Raises
        ------
        TypeError
            It is of another kind.
        ValueError
            It cannot be.
        """

    def at(self, captured_ns: int) -> Position | None:
        """The position at a moment of the monotonic clock; None when it is not known."""

    @property
    def faults(self) -> Mapping[str, int]:
        """What was wrong with the samples, by kind, since the start."""

    @property
    def anchor(self) -> tuple[int, float] | None:
        """The last count, and the position that belongs to it in mm; None where nothing counts."""

    def resume(self, count: int, mm: float) -> bool:
        """Before the first sample: the counter went on while nobody looked, from ``count`` at the
        position ``mm``. Whether positions go on from there.
        """

    @property
    def losses(self) -> int:
        """How often the place on the strip was lost: since then positions go on from where they
        were, and nobody knows how much strip ran meanwhile.
        """


class EncoderPositioner:
    """Position from the counts of an encoder: interpolated between the samples around a moment.

    A counter of ``bits`` bits wraps, and goes on. A count that swings back by up to ``back_mm``, as
    that of a strip that stands and trembles does, adds nothing until it has passed its highest
    value. While a strip is pulled back further there is no position; that is a loss. So is a count
    that leaps by more than a strip can run, or that fell while no sample came: the counter was
    reset, or misread. Then positions go on ``leap_mm`` behind the one that was reached. What no
    strip does is counted by kind in ``faults``; a sample older than the last one is left out.
    Moments more than ``max_gap_ns`` from any sample have no position.

    Parameters
    ----------
    mm_per_count
        Strip between two counts, above 0.
    bits
        Of the counter, 2 to 64; None where it does not wrap.
    max_gap_ns
        Longest time without a sample over which the position is still told.
    max_mm_per_s
        The fastest that the strip can run, above 0.
    back_mm
        By how much a count may fall and mean nothing, 0 or more.
    leap_mm
        Strip that stands for what ran by, nobody knows how much, 0 or more.

    Raises
    ------
    ValueError
        A parameter is out of its range.
    """

    def __init__(
        self,
        mm_per_count: float,
        *,
        bits: int | None = None,
        max_gap_ns: int = 500_000_000,
        max_mm_per_s: float = 50_000.0,
        back_mm: float = 5.0,
        leap_mm: float = 0.0,
    ) -> None:
        if not 0 < mm_per_count < 1e6:
            raise ValueError(f"mm_per_count: {mm_per_count} must be above 0")
        if bits is not None and not 2 <= bits <= 64:
            raise ValueError(f"bits: {bits} must be 2 to 64")
        if max_gap_ns < 1:
            raise ValueError(f"max_gap_ns: {max_gap_ns} must be at least 1")
        if not 0 < max_mm_per_s < 1e9:
            raise ValueError(f"max_mm_per_s: {max_mm_per_s} must be above 0")
        self._mm_per_count = mm_per_count
        self._range = None if bits is None else 1 << bits
        self._max_gap_ns = max_gap_ns
        if not (0 <= back_mm < 1e6 and 0 <= leap_mm < 1e9):
            raise ValueError(f"back_mm, leap_mm: {back_mm}, {leap_mm} must be 0 or more")
        self._fastest = max_mm_per_s / mm_per_count / 1e9  # counts a nanosecond
        self._back = max(back_mm / mm_per_count, 1.0)
        self._leap = round(leap_mm / mm_per_count)
        self._lock = threading.Lock()
        self._times: deque[int] = deque(maxlen=KEPT)
        self._counts: deque[int] = deque(maxlen=KEPT)  # since the first sample, without wraps
        self._anew: deque[bool] = deque(maxlen=KEPT)  # nobody knows how it came to be there
        self._raw = 0
        self._debt = 0  # counts that the strip is behind the farthest it has run
        self._resumed: tuple[int, float] | None = None
        self._losses = 0
        self._faults: dict[str, int] = {"jumped_back": 0, "jumped_forward": 0, "out_of_order": 0}

    @property
    def faults(self) -> Mapping[str, int]:
        """See :class:`Positioner`."""
        with self._lock:
            return dict(self._faults)

    @property
    def losses(self) -> int:
        """See :class:`Positioner`."""
        return self._losses

    @property
    def anchor(self) -> tuple[int, float] | None:
        """See :class:`Positioner`; None before the first sample."""
        with self._lock:
            if not self._times:
                return None
            return self._raw, (self._counts[-1] - self._debt) * self._mm_per_count

    def resume(self, count: int, mm: float) -> bool:
        """See :class:`Positioner`."""
        with self._lock:
            self._resumed = (count, mm)
        return True

    def tell(self, sample: LineSample) -> None:
        """Take a sample: the counter's value at a moment of the monotonic clock."""
        if not isinstance(sample, EncoderSample):
            raise TypeError("an EncoderPositioner takes counts")
        with self._lock:
            self._add(sample.count, sample.mono_ns)

    def _add(self, count: int, mono_ns: int) -> None:
        if not self._times:
            self._keep(self._begin(count), count, mono_ns)
            return
        if (count, mono_ns) == (self._raw, self._times[-1]):
            return  # told again: nobody has counted since
        if mono_ns <= self._times[-1]:
            self._faults["out_of_order"] += 1
            return
        step = self._step(count)
        passed_ns = mono_ns - self._times[-1]
        is_leap = abs(step) > self._fastest * max(passed_ns, RATE_NS) + 1.0
        if is_leap or (step < -self._back and passed_ns > self._max_gap_ns):
            self._lose("jumped_back" if step < 0 else "jumped_forward")
            self._debt = 0
            self._keep(self._counts[-1] + self._leap, count, mono_ns, anew=True)
            return
        ahead = step - self._debt
        was_back, self._debt = self._debt > self._back, max(-ahead, 0)
        is_back = self._debt > self._back
        if is_back and not was_back:
            self._lose("jumped_back")
        self._keep(self._counts[-1] + max(ahead, 0), count, mono_ns, anew=is_back or was_back)

    def _lose(self, fault: str) -> None:
        self._faults[fault] += 1
        self._losses += 1

    def _begin(self, count: int) -> int:
        """Counts that have passed at the first sample: what ran since the resumption, if any."""
        if self._resumed is None:
            return 0
        self._raw, mm = self._resumed
        reached, step = round(mm / self._mm_per_count), self._step(count)
        if step < -self._back:
            self._lose("jumped_back")
            return reached + self._leap
        self._debt = max(-step, 0)
        return reached + max(step, 0)

    def _step(self, count: int) -> int:
        step = count - self._raw
        if self._range is not None:
            step %= self._range
            if step >= self._range // 2:  # the shorter way round is backwards
                step -= self._range
        return step

    def at(self, captured_ns: int) -> Position | None:
        """See :class:`Positioner`.

        Between two samples the strip is taken to have run evenly. Behind the last one it goes on as
        over the last :data:`RATE_NS` at least. The bound is the distance to the farther of the two
        counts around the moment, and one count for what lies between counts.
        """
        with self._lock:
            return self._at(captured_ns)

    def _at(self, captured_ns: int) -> Position | None:
        times = self._times
        if not times:
            return None
        after = bisect.bisect_left(times, captured_ns)
        if after == 0 and captured_ns != times[0]:
            return None  # before the first sample, or long forgotten
        if after == len(times):
            return self._beyond(captured_ns)
        if times[after] == captured_ns:
            return self._position(float(self._counts[after]), 0.0)
        before = after - 1
        gap_ns = times[after] - times[before]
        if gap_ns > self._max_gap_ns or self._anew[after]:
            return None
        step = self._counts[after] - self._counts[before]
        part = step * (captured_ns - times[before]) / gap_ns
        return self._position(self._counts[before] + part, max(part, step - part))

    def _beyond(self, captured_ns: int) -> Position | None:
        times = self._times
        late_ns = captured_ns - times[-1]
        if late_ns > self._max_gap_ns or self._debt > self._back:
            return None
        first = bisect.bisect_right(times, times[-1] - RATE_NS) - 1
        if first < 0 or any(self._anew[k] for k in range(first + 1, len(times))):
            return None  # the speed is not known yet
        rate = (self._counts[-1] - self._counts[first]) / (times[-1] - times[first])
        # It may have stopped at once, or run twice as fast: nobody has said yet.
        return self._position(self._counts[-1] + rate * late_ns, rate * late_ns)

    def _position(self, counts: float, error_counts: float) -> Position:
        return Position(counts * self._mm_per_count, (error_counts + 1.0) * self._mm_per_count)

    def _keep(self, total: int, raw: int, mono_ns: int, *, anew: bool = False) -> None:
        self._times.append(mono_ns)
        self._anew.append(anew)
        self._counts.append(total)
        self._raw = raw
