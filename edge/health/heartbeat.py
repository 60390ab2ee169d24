"""The sign of life of one thread."""

from __future__ import annotations

import time


class Heartbeat:
    """When a thread last came around its loop, by the monotonic clock.

    Single assignments only, so it needs no lock.

    Parameters
    ----------
    limit_s
        Age from which the heartbeat is no longer fresh.
    """

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._beaten = time.monotonic()
        self._excused_until = 0.0

    def beat(self) -> None:
        """The thread is alive, now; ends an excuse."""
        self._beaten = time.monotonic()
        self._excused_until = 0.0

    def excuse(self, seconds: float) -> None:
        """The thread is about to do something known to block: for so long it counts as alive."""
        self._excused_until = time.monotonic() + seconds

    @property
    def age_s(self) -> float:
        """Seconds since the last beat; 0 while excused."""
        now = time.monotonic()
        return 0.0 if now < self._excused_until else now - self._beaten

    @property
    def fresh(self) -> bool:
        """Whether the thread came around recently enough."""
        return self.age_s <= self.limit_s
