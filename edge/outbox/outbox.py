"""Durable bounded FIFO of messages on SQLite."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from edge.outbox.row import OutboxCounters, Row
from edge.records import Message


class Outbox:
    """Keeps messages until a broker acknowledged them. Used by the thread that opened it."""

    epoch: str

    @classmethod
    def open(
        cls, path: Path, *, max_rows: int = 100_000, max_bytes: int = 64 << 20, boot_id: str
    ) -> Outbox:
        """Open or make the database at ``path``."""
        raise NotImplementedError

    def reserve_ids(self, count: int = 1000) -> range:
        """A block of alert numbers that nobody else will ever get; committed before it returns."""
        raise NotImplementedError

    def append(self, messages: Sequence[Message]) -> tuple[Row, ...]:
        """Store messages in one transaction; when this returns they are accepted."""
        raise NotImplementedError

    def peek(self, limit: int, after_row: int = 0) -> list[Row]:
        """The oldest messages behind a row."""
        raise NotImplementedError

    def ack(self, rows: Iterable[int], *, no_subscriber: int = 0) -> None:
        """Forget messages that a broker acknowledged."""
        raise NotImplementedError

    def bury(self, row: int, error: str) -> None:
        """Move a message that can never be delivered to the dead letters."""
        raise NotImplementedError

    def counters(self) -> OutboxCounters:
        """What waits and what was lost."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the database and give up its lock. Harmless when called twice."""
        raise NotImplementedError
