"""How large a packet may be. Pure: no clock, no I/O."""

from __future__ import annotations

from collections.abc import Iterable

_TOO_LARGE = 149


class PacketLimit:
    """What the broker says at the greeting, or has taught us by hanging up.

    A broker that hangs up since a packet was too large would do so each time we come back with it.
    The largest packet that it has not acknowledged is too large, whichever it was that it meant, so
    the limit lies below that until a connection ends in another way.

    Attributes
    ----------
    bytes
        The largest packet that may be sent; None: any.
    """

    def __init__(self) -> None:
        self.bytes: int | None = None
        self._learned: int | None = None
        self._unanswered = 0

    def greeted(self, said: int | None) -> None:
        """A connection begins, and the broker names its limit or none."""
        self.bytes = min((one for one in (said, self._learned) if one is not None), default=None)
        self._unanswered = 0

    def sent_unanswered(self, size: int) -> None:
        """A packet left that is never acknowledged."""
        self._unanswered = max(self._unanswered, size)

    def ended(self, code: int, in_flight: Iterable[int]) -> None:
        """The connection ended with a reason; sizes of what was not acknowledged."""
        largest = max([self._unanswered, *in_flight])
        self._learned = largest - 1 if code == _TOO_LARGE and largest else None
