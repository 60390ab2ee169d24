"""Where the strip was when a frame was taken, by its speed."""

from __future__ import annotations

import bisect
import threading
from collections import deque
from collections.abc import Mapping

from edge.line.position import KEPT, Position
from edge.records import LineSample, SpeedSample


class SpeedPositioner:
    """Position from a speed: constant, or told anew from time to time.

    Parameters
    ----------
    mm_per_s
        The speed from the first moment on that is asked for or told of; 0 or more.
    relative_error
        By which share the speed may be wrong; the bound grows with the strip.
    max_gap_ns
        How long a speed that was told holds; None: until the next one.
    leap_mm
        Strip that stands for what ran during a longer silence, nobody knows how much.

    Raises
    ------
    ValueError
        A parameter is negative or not finite.
    """

    def __init__(
        self,
        mm_per_s: float,
        *,
        relative_error: float = 0.01,
        max_gap_ns: int | None = None,
        leap_mm: float = 0.0,
    ) -> None:
        _check_speed(mm_per_s)
        if not 0 <= relative_error < 1:
            raise ValueError(f"relative_error: {relative_error} must be in [0, 1)")
        self._relative_error = relative_error
        self._first_speed = mm_per_s
        self._max_gap_ns = max_gap_ns
        self._leap_mm = leap_mm
        self.losses = 0
        """See :class:`edge.line.position.Positioner`."""
        self._lock = threading.Lock()
        self._faults = {"out_of_order": 0, "speed_zero": 0}
        self._told = False
        self._times: deque[int] = deque(maxlen=KEPT)
        self._speeds: deque[float] = deque(maxlen=KEPT)
        self._mm: deque[float] = deque(maxlen=KEPT)  # reached at each of the times

    @property
    def faults(self) -> Mapping[str, int]:
        """See :class:`Positioner`."""
        with self._lock:
            return dict(self._faults)

    @property
    def anchor(self) -> tuple[int, float] | None:
        """None: a speed counts nothing."""
        return None

    def resume(self, count: int, mm: float) -> bool:
        """False: nobody knows how far the strip ran."""
        return False

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
            reached = self._passed(sample.mono_ns)
            if self._is_stale(sample.mono_ns) and self._max_gap_ns is not None:
                self.losses += 1
                last = self._passed(self._times[-1] + self._max_gap_ns)
                reached = (last or 0.0) + self._leap_mm
            self._told = True
            self._times.append(sample.mono_ns)
            self._speeds.append(sample.mm_per_s)
            self._mm.append(0.0 if reached is None else reached)

    def at(self, captured_ns: int) -> Position | None:
        """See :class:`Positioner`; the first moment that is asked for or told of is the origin."""
        with self._lock:
            mm = self._passed(captured_ns)
            if mm is None or self._is_stale(captured_ns):
                return None
            return Position(mm, self._relative_error * mm, self._relative_error)

    def _is_stale(self, captured_ns: int) -> bool:
        if self._max_gap_ns is None or not self._told:
            return False
        return captured_ns - self._times[-1] > self._max_gap_ns

    def _passed(self, captured_ns: int) -> float | None:
        if not self._times:
            self._times.append(captured_ns)
            self._speeds.append(self._first_speed)
            self._mm.append(0.0)
        place = bisect.bisect_right(self._times, captured_ns) - 1
        if place < 0:
            return None
        passed_s = (captured_ns - self._times[place]) / 1e9
        return self._mm[place] + self._speeds[place] * passed_s


def _check_speed(mm_per_s: float) -> None:
    if not 0 <= mm_per_s < 1e9:
        raise ValueError(f"mm_per_s: {mm_per_s} must be a number, 0 or more")
