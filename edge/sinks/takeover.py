"""Is another client using our id? Pure: no clock, no I/O.

A broker may say so when it takes a connection away (0x8E). Many do not, mosquitto 2.0.11 among
them: they close the connection without a word. Two clients that come back at once would then throw
each other off for ever.
"""

from __future__ import annotations

from edge.sinks.happening import Ended

TAKEN_OVER = 0x8E
LASTS_S = 10.0
"""A connection that lasts so long is a good one."""
_SUSPICIOUS = 4


class Takeover:
    """Judges the ends of connections, one after the other.

    Another client has the id when the broker says so, or when a fourth connection in a row was
    closed without a reason within ``LASTS_S`` of its greeting, and no attempt failed in between. A
    broker that is restarted, or an unstable network, does not look like that. Times are monotonic
    seconds.
    """

    def __init__(self) -> None:
        self._greeted_at: float | None = None
        self._short = 0

    def greeted(self, now: float) -> None:
        """A connection begins."""
        self._greeted_at = now

    def lasted(self, now: float) -> bool:
        """Whether the connection, if there is one, is a good one by now."""
        return self._greeted_at is not None and now - self._greeted_at >= LASTS_S

    def not_connected(self) -> None:
        """An attempt failed: so there was more to the ends before it than another client."""
        self._greeted_at = None
        self._short = 0

    def ended(self, how: Ended, now: float) -> bool:
        """A connection ended; whether another client took it away."""
        short = how.silent and not self.lasted(now)
        self._greeted_at = None
        self._short = self._short + 1 if short else 0
        return how.code == TAKEN_OVER or self._short >= _SUSPICIOUS
