"""The last step before the broker: what only the outbox and the connection know."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from edge.records import Message


class Stored(Protocol):
    """A message that the outbox stored (``edge.outbox.Row`` is one).

    ``dropped_total`` counts the messages of the same topic and epoch that were lost so far.
    """

    @property
    def message(self) -> Message: ...
    @property
    def epoch(self) -> str: ...
    @property
    def created_mono_ns(self) -> int: ...
    @property
    def created_at(self) -> datetime: ...
    @property
    def boot_id(self) -> str: ...
    @property
    def dropped_total(self) -> int: ...


@dataclass(frozen=True, slots=True)
class SealContext:
    """What holds while messages are sent over one connection.

    Parameters
    ----------
    boot_id
        The kernel's id of this boot.
    clock_synced
        Whether the wall clock is known to be right now.
    connected_since_mono_ns
        Monotonic time of the last ``Connected``; what was stored before it is a replay.
    wall_offset_ns
        UTC since the epoch minus monotonic time, in ns, of the clock as it is now; used to correct
        times of this boot that were taken before the clock was synchronised.
    """

    boot_id: str
    clock_synced: bool
    connected_since_mono_ns: int
    wall_offset_ns: int


def seal(row: Stored, context: SealContext) -> bytes:
    """The payload as it goes on the wire."""
    raise NotImplementedError
