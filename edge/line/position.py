"""Where the strip was when a frame was taken: from an encoder's counts, or from a speed."""

from __future__ import annotations

import bisect
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from edge.records import EncoderSample, LineSample, SpeedSample

KEPT = 4096
"""Samples that are remembered: four seconds at one a millisecond."""


@dataclass(frozen=True, slots=True)
class Position:
    """Millimetres of strip that had passed the origin, and by how much that may be wrong.

    ``error_mm`` is a bound, not a deviation: the strip was within ``mm ± error_mm`` if it never ran
    backwards and the samples are right.
    """

    mm: float
    error_mm: float


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


class EncoderPositioner:
    """Position from the counts of an encoder: interpolated between the samples around a moment.

    A counter of ``bits`` bits wraps, and goes on. What no strip does is counted by kind in
    ``faults`` and costs as little as it can: a count that jumps back (the counter was reset, or the
    strip was pulled back) begins anew from the position reached, a sample older than the last one
    is left out. Moments more than ``max_gap_ns`` from any sample have no position.

    Parameters
    ----------
    mm_per_count
        Strip between two counts, above 0.
    bits
        Of the counter, 2 to 64; None where it does not wrap.
    max_gap_ns
        Longest time without a sample over which the position is still told.

    Raises
    ------
    ValueError
        A parameter is out of its range.
    """

    def __init__(
        self, mm_per_count: float, *, bits: int | None = None, max_gap_ns: int = 500_000_000
    ) -> None:
        if not 0 < mm_per_count < 1e6:
            raise ValueError(f"mm_per_count: {mm_per_count} must be above 0")
        if bits is not None and not 2 <= bits <= 64:
            raise ValueError(f"bits: {bits} must be 2 to 64")
        if max_gap_ns < 1:
            raise ValueError(f"max_gap_ns: {max_gap_ns} must be at least 1")
        self._mm_per_count = mm_per_count
        self._range = None if bits is None else 1 << bits
        self._max_gap_ns = max_gap_ns
        self._times: deque[int] = deque(maxlen=KEPT)
        self._counts: deque[int] = deque(maxlen=KEPT)  # since the first sample, without wraps
        self._raw = 0
        self._lock = threading.Lock()
        self._resumed: tuple[int, float] | None = None
        self._faults: dict[str, int] = {"jumped_back": 0, "out_of_order": 0}

    @property
    def faults(self) -> Mapping[str, int]:
        """See :class:`Positioner`."""
        with self._lock:
            return dict(self._faults)

    @property
    def anchor(self) -> tuple[int, float] | None:
        """The last sample's count, and the position that belongs to it in mm; None before it."""
        with self._lock:
            if not self._times:
                return None
            return self._raw, self._counts[-1] * self._mm_per_count

    def resume(self, count: int, mm: float) -> None:
        """Before the first sample: the counter went on while nobody looked, from ``count`` at the
        position ``mm``.
        """
        with self._lock:
            self._resumed = (count, mm)

    def tell(self, sample: LineSample) -> None:
        """Take a sample: the counter's value at a moment of the monotonic clock."""
        if not isinstance(sample, EncoderSample):
            raise TypeError("an EncoderPositioner takes counts")
        with self._lock:
            self._add(sample.count, sample.mono_ns)

    def _add(self, count: int, mono_ns: int) -> None:
        if not self._times:
            if self._resumed is None:
                self._keep(0, count, mono_ns)
                return
            self._raw, mm = self._resumed
            self._keep(round(mm / self._mm_per_count), self._raw, mono_ns - 1)
        if (count, mono_ns) == (self._raw, self._times[-1]):
            return  # told again: nobody has counted since
        if mono_ns <= self._times[-1]:
            self._faults["out_of_order"] += 1
            return
        step = count - self._raw
        if self._range is not None:
            step %= self._range
            if step >= self._range // 2:  # the shorter way round is backwards
                step -= self._range
        if step < 0:
            self._faults["jumped_back"] += 1
            step = 0
        self._keep(self._counts[-1] + step, count, mono_ns)

    def at(self, captured_ns: int) -> Position | None:
        """See :class:`Positioner`.

        Between two samples the strip is taken to have run evenly. Behind the last one it goes on as
        between the last two. The bound is the distance to the farther of the two counts around the
        moment, and one count for what lies between counts.
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
        if gap_ns > self._max_gap_ns:
            return None
        step = self._counts[after] - self._counts[before]
        part = step * (captured_ns - times[before]) / gap_ns
        return self._position(self._counts[before] + part, max(part, step - part))

    def _beyond(self, captured_ns: int) -> Position | None:
        times = self._times
        late_ns = captured_ns - times[-1]
        if late_ns > self._max_gap_ns or len(times) < 2:
            return None
        rate = (self._counts[-1] - self._counts[-2]) / (times[-1] - times[-2])
        # It may have stopped at once, or run twice as fast: nobody has said yet.
        return self._position(self._counts[-1] + rate * late_ns, rate * late_ns)

    def _position(self, counts: float, error_counts: float) -> Position:
        return Position(counts * self._mm_per_count, (error_counts + 1.0) * self._mm_per_count)

    def _keep(self, total: int, raw: int, mono_ns: int) -> None:
        self._times.append(mono_ns)
        self._counts.append(total)
        self._raw = raw


class SpeedPositioner:
    """Position from a speed: constant, or told anew from time to time.

    Parameters
    ----------
    mm_per_s
        The speed from the first moment on that is asked for or told of; 0 or more.
    relative_error
        By which share the speed may be wrong; the bound grows with the strip.

    Raises
    ------
    ValueError
        A parameter is negative or not finite.
    """

    def __init__(self, mm_per_s: float, *, relative_error: float = 0.01) -> None:
        _check_speed(mm_per_s)
        if not 0 <= relative_error < 1:
            raise ValueError(f"relative_error: {relative_error} must be in [0, 1)")
        self._relative_error = relative_error
        self._first_speed = mm_per_s
        self._lock = threading.Lock()
        self._faults = {"out_of_order": 0, "speed_zero": 0}
        self._times: deque[int] = deque(maxlen=KEPT)
        self._speeds: deque[float] = deque(maxlen=KEPT)
        self._mm: deque[float] = deque(maxlen=KEPT)  # reached at each of the times

    @property
    def faults(self) -> Mapping[str, int]:
        """See :class:`Positioner`."""
        with self._lock:
            return dict(self._faults)

    def tell(self, sample: LineSample) -> None:
        """The speed from this moment on; one that is older than the last is left out, and counted.
        So is a strip that is said to stand still.
        """
        if not isinstance(sample, SpeedSample):
            raise TypeError("a SpeedPositioner takes speeds")
        _check_speed(sample.mm_per_s)
        with self._lock:
            if self._times and sample.mono_ns <= self._times[-1]:
                self._faults["out_of_order"] += 1
                return
            self._faults["speed_zero"] += sample.mm_per_s == 0
            reached = self._at(sample.mono_ns)
            self._times.append(sample.mono_ns)
            self._speeds.append(sample.mm_per_s)
            self._mm.append(0.0 if reached is None else reached.mm)

    def at(self, captured_ns: int) -> Position | None:
        """See :class:`Positioner`; the first moment that is asked for or told of is the origin."""
        with self._lock:
            return self._at(captured_ns)

    def _at(self, captured_ns: int) -> Position | None:
        if not self._times:
            self._times.append(captured_ns)
            self._speeds.append(self._first_speed)
            self._mm.append(0.0)
        place = bisect.bisect_right(self._times, captured_ns) - 1
        if place < 0:
            return None
        passed_s = (captured_ns - self._times[place]) / 1e9
        mm = self._mm[place] + self._speeds[place] * passed_s
        return Position(mm, self._relative_error * mm)


def _check_speed(mm_per_s: float) -> None:
    if not 0 <= mm_per_s < 1e9:
        raise ValueError(f"mm_per_s: {mm_per_s} must be a number, 0 or more")
