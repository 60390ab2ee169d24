"""What the outbox gives back: stored messages and counters."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from edge.records import Message


@dataclass(frozen=True, slots=True)
class Row:
    """A message that the outbox stored.

    Parameters
    ----------
    row
        The outbox's own number, ascending with age; never on the wire.
    message
        With its ``seq``.
    epoch
        The random id of the database that ``seq`` counts in.
    created_mono_ns, created_at, boot_id
        When it was stored: monotonic within that boot, and UTC.
    dropped_total
        Messages of this topic that were evicted or buried when the row was read. It may be sent
        much later: whoever sends it asks again.
    """

    row: int
    message: Message
    epoch: str
    created_mono_ns: int
    created_at: datetime
    boot_id: str
    dropped_total: int


@dataclass(frozen=True, slots=True)
class OutboxCounters:
    """What waits, and what was lost since the database was made.

    Parameters
    ----------
    rows, bytes
        Messages that wait, and the sum of their payloads.
    dropped_oldest
        Messages that were evicted because the outbox was full.
    dead
        Messages that were buried because the broker will never take them.
    no_subscriber
        Messages that a broker took although nobody subscribed.
    salvaged
        Messages and diary lines that came out of a damaged database.
    oldest_s
        Age of the oldest message in seconds, 0 when nothing waits. By the monotonic clock for
        messages of this boot, else by the wall clock.
    """

    rows: int
    bytes: int
    dropped_oldest: int
    dead: int
    no_subscriber: int
    salvaged: int
    oldest_s: float
