"""Durable bounded FIFO of messages on SQLite."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from edge.errors import OutboxError
from edge.messages import OUTBOX_EXPIRY_S
from edge.outbox.change import Change
from edge.outbox.database import cannot_open, is_suspect, open_database, suspect, transaction
from edge.outbox.lock import OwnerLock
from edge.outbox.row import OutboxCounters, Row
from edge.records import Confirmation, LotEntry, LotForgotten, Message

logger = logging.getLogger(__name__)

MAX_PAYLOAD_BYTES = 64 << 10
"""A larger message goes to the dead letters at once."""

_DEAD_KEPT = 100
_MOST = (1 << 63) - 1  # SQLite's largest number
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COLUMNS = "row, topic, id, rev, seq, payload, created_mono, created_wall, boot_id"
_Stored = tuple[int, str, str, int, int, bytes, int, int, str]


class Outbox:
    """Keeps messages until a broker acknowledged them. Used by the thread that opened it.

    A message is accepted when ``append`` returns: its commit has reached the disk (WAL,
    ``synchronous=FULL``). Deleting acknowledged rows is synced less strictly, since a deletion
    that a power cut undoes gives a duplicate and never a loss. When the outbox is full, the oldest
    rows leave in the transaction that stores the new ones, and are counted in it.

    Every method raises ``OutboxError`` when the disk fails; nothing of that call has happened
    then. Close and open again: after a failed sync the same handle must not be trusted.

    Attributes
    ----------
    epoch
        16 random hex digits made with the database; ``seq`` and alert numbers count in it.
    damaged
        Where a damaged file was moved that this opening has found; None when it found none.
    """

    def __init__(
        self,
        path: Path,
        lock: OwnerLock,
        connection: sqlite3.Connection,
        *,
        max_rows: int,
        max_bytes: int,
        boot_id: str,
    ) -> None:
        self._path = path
        self._lock = lock
        self._connection = connection
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._boot_id = boot_id
        self._meta: dict[str, int] = {}
        self._rows = 0
        self._bytes = 0
        self.epoch = ""
        self.damaged: Path | None = None

    @classmethod
    def open(
        cls, path: Path, *, max_rows: int = 100_000, max_bytes: int = 64 << 20, boot_id: str
    ) -> Outbox:
        """Open the database at ``path``, make it if it is absent.

        A damaged file is moved aside to ``<stem>.corrupt-<n>`` (the last two are kept) and a new
        one with a new epoch takes its place, with those messages and diaries that can still be
        read. ``boot_id`` is the kernel's id of this boot.

        Raises
        ------
        OutboxLocked
            Another process owns it.
        OutboxUnwritable
            The directory may not be written; only people can change that.
        OutboxError
            A newer version of LineSight wrote it, or the disk or another program is in the way
            now: trying again later may help.
        """
        if max_rows < 1 or max_bytes < MAX_PAYLOAD_BYTES:
            raise ValueError(f"outbox: needs max_rows >= 1, max_bytes >= {MAX_PAYLOAD_BYTES}")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = OwnerLock(path.with_name(path.name + ".lock"))
        except OutboxError:
            raise
        except OSError as error:
            raise cannot_open(path, error) from error
        try:
            connection, aside = open_database(path)
        except BaseException:
            lock.release()
            raise
        outbox = cls(
            path, lock, connection, max_rows=max_rows, max_bytes=max_bytes, boot_id=boot_id
        )
        outbox.damaged = aside
        try:
            try:
                outbox._load()
            except OutboxError:
                if not is_suspect(path):
                    raise
                # Damage that the opening did not look for, in a large file: now it does.
                connection.close()
                outbox._connection, outbox.damaged = open_database(path)
                outbox._load()
        except BaseException:
            outbox.close()
            raise
        return outbox

    def reserve_ids(self, count: int = 1000) -> range:
        """A block of alert numbers, from 1, that nobody gets again; committed before it returns."""
        first = self._meta.get("next_id", 1)
        with self._changing() as change:
            change.set("next_id", first + count)
        return range(first, first + count)

    def probe(self) -> None:
        """Write and sync a little, to learn whether the disk takes it; changes nothing."""
        with self._changing() as change:
            change.set("next_id", self._meta.get("next_id", 1))

    def dropped(self) -> dict[str, int]:
        """Topic → messages of it that were evicted or buried since the database was made."""
        prefix = "dropped:"
        return {
            key.removeprefix(prefix): count
            for key, count in self._meta.items()
            if key.startswith(prefix)
        }

    def append(
        self, messages: Sequence[Message], lots: Sequence[LotEntry | LotForgotten] = ()
    ) -> tuple[Row, ...]:
        """Store messages in one transaction; when this returns they are accepted.

        Each gets the next ``seq`` of its topic. A message whose (topic, id, rev) is stored already
        is left as it is, so that a batch may be offered again after an error. In the same
        transaction entries are added to the diaries of lots, or a lot's diary is deleted. Returns
        the rows that were added and are there.
        """
        for message in messages:
            if message.way != "outbox":
                raise ValueError(f"message to {message.topic} does not go through the outbox")
        mono, wall = time.monotonic_ns(), time.time_ns()
        added: list[int] = []
        with self._changing() as change:
            for message in messages:
                key = (message.topic, message.id, message.rev)
                if self._connection.execute(
                    "SELECT 1 FROM outbox WHERE topic = ? AND id = ? AND rev = ?", key
                ).fetchone():
                    continue
                seq = change.add(f"seq:{message.topic}", 1)
                if len(message.payload) > MAX_PAYLOAD_BYTES:
                    self._add_dead(change, (*key, seq, message.payload, wall), "larger than 64 KiB")
                    continue
                cursor = self._connection.execute(
                    "INSERT INTO outbox (topic, id, rev, seq, payload, created_mono, created_wall,"
                    " boot_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (*key, seq, message.payload, mono, wall, self._boot_id),
                )
                added.append(int(cursor.lastrowid or 0))
                change.rows += 1
                change.bytes += len(message.payload)
            for one in lots:
                if isinstance(one, LotEntry):
                    self._connection.execute(
                        "INSERT OR IGNORE INTO lot VALUES (?, ?, ?)",
                        (one.lot, one.number, one.body),
                    )
                else:
                    self._connection.execute("DELETE FROM lot WHERE lot = ?", (one.lot,))
            self._evict(change)
        if not added:
            return ()
        return tuple(row for row in self.peek(len(added), added[0] - 1) if row.row in added)

    def lots(self) -> list[LotEntry]:
        """The diaries of all lots that are not reported yet, those of a lot in their order."""
        with self._errors():
            found = self._connection.execute("SELECT * FROM lot ORDER BY lot, number").fetchall()
        return [LotEntry(str(lot), int(number), str(body)) for lot, number, body in found]

    def peek(self, limit: int, after_row: int = 0) -> list[Row]:
        """At most ``limit`` messages behind the row ``after_row``, oldest first."""
        with self._errors():
            found = self._connection.execute(
                f"SELECT {_COLUMNS} FROM outbox WHERE row > ? ORDER BY row LIMIT ?",  # noqa: S608
                (after_row, limit),
            ).fetchall()
        return [self._row(stored) for stored in found]

    def ack(self, rows: Iterable[int], *, no_subscriber: int = 0) -> None:
        """Delete rows that a broker acknowledged; unknown ones are ignored.

        ``no_subscriber`` of them were acknowledged with "no matching subscribers".
        """
        with self._changing(sync=False) as change:
            for row in rows:
                self._delete(change, row)
            if no_subscriber:
                change.add("no_subscriber", no_subscriber)

    def confirm(self, confirmation: Confirmation) -> tuple[int, ...]:
        """Delete every row of a topic up to and including a ``seq``; the rows that were there.

        Nothing of another epoch: its numbers mean other messages.
        """
        if confirmation.epoch != self.epoch:
            return ()
        with self._changing(sync=False) as change:
            gone = self._connection.execute(
                "DELETE FROM outbox WHERE topic = ? AND seq <= ? RETURNING row, length(payload)",
                (confirmation.topic, min(confirmation.seq, _MOST)),
            ).fetchall()
            change.rows -= len(gone)
            change.bytes -= sum(size for _, size in gone)
        return tuple(row for row, _ in gone)

    def bury(self, row: int, error: str) -> None:
        """Move a message that can never be delivered to the dead letters, the last 100 are kept.

        The topic's ``dropped_total`` grows, since its ``seq`` will be missing.
        """
        with self._changing() as change:
            found = self._connection.execute(
                "SELECT topic, id, rev, seq, payload, created_wall FROM outbox WHERE row = ?",
                (row,),
            ).fetchone()
            if found is not None:
                self._add_dead(change, found, error)
                self._delete(change, row)

    def counters(self) -> OutboxCounters:
        """What waits, and what was lost since the database was made."""
        oldest = self.peek(1)
        age_s = 0.0
        if oldest and oldest[0].boot_id == self._boot_id:
            age_s = (time.monotonic_ns() - oldest[0].created_mono_ns) / 1e9
        elif oldest:
            age_s = max(0.0, (datetime.now(UTC) - oldest[0].created_at).total_seconds())
        return OutboxCounters(
            rows=self._rows,
            bytes=self._bytes,
            dropped_oldest=self._meta.get("dropped_oldest", 0),
            dead=self._meta.get("dead", 0),
            no_subscriber=self._meta.get("no_subscriber", 0),
            salvaged=self._meta.get("salvaged", 0),
            oldest_s=age_s,
        )

    def close(self) -> None:
        """Close the database and give up its lock. Harmless when called twice; never raises."""
        try:
            self._connection.close()
        except sqlite3.Error as error:
            logger.warning("%s: %s while closing", self._path, error)
        self._lock.release()

    def _load(self) -> None:
        self._meta.clear()
        with self._errors():
            for key, value in self._connection.execute("SELECT key, value FROM meta"):
                if key == "epoch":
                    self.epoch = str(value)
                else:
                    self._meta[str(key)] = int(value)
            self._rows, self._bytes = self._connection.execute(
                "SELECT count(*), coalesce(sum(length(payload)), 0) FROM outbox"
            ).fetchone()

    def _evict(self, change: Change) -> None:
        while self._rows + change.rows > self._max_rows or (
            self._bytes + change.bytes > self._max_bytes
        ):
            row, topic = self._connection.execute(
                "SELECT row, topic FROM outbox ORDER BY row LIMIT 1"
            ).fetchone()
            self._delete(change, row)
            change.add("dropped_oldest", 1)
            change.add(f"dropped:{topic}", 1)

    def _delete(self, change: Change, row: int) -> None:
        gone = self._connection.execute(
            "DELETE FROM outbox WHERE row = ? RETURNING length(payload)", (row,)
        ).fetchone()
        if gone is not None:
            change.rows -= 1
            change.bytes -= gone[0]

    def _add_dead(self, change: Change, letter: tuple[object, ...], error: str) -> None:
        self._connection.execute(
            "INSERT INTO dead (topic, id, rev, seq, payload, created_wall, error)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*letter, error),
        )
        self._connection.execute(
            "DELETE FROM dead WHERE row <= (SELECT max(row) FROM dead) - ?", (_DEAD_KEPT,)
        )
        change.add("dead", 1)
        change.add(f"dropped:{letter[0]}", 1)

    def _row(self, stored: _Stored) -> Row:
        row, topic, key, rev, seq, payload, mono, wall, boot_id = stored
        message = Message(
            topic,
            payload,
            way="outbox",
            expiry_s=OUTBOX_EXPIRY_S,
            id=key,
            rev=rev,
            seq=seq,
        )
        return Row(
            row=row,
            message=message,
            epoch=self.epoch,
            created_mono_ns=mono,
            created_at=_EPOCH + timedelta(microseconds=wall // 1000),
            boot_id=boot_id,
            dropped_total=self._meta.get(f"dropped:{topic}", 0),
        )

    @contextlib.contextmanager
    def _changing(self, *, sync: bool = True) -> Iterator[Change]:
        """A transaction; its counters come into force when it has been committed."""
        change = Change(self._meta.get)
        with self._errors():
            self._connection.execute(f"PRAGMA synchronous={'FULL' if sync else 'NORMAL'}")
            with transaction(self._connection):
                yield change
                self._connection.executemany(
                    "INSERT INTO meta VALUES (?, ?)"
                    " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                    change.values.items(),
                )
        self._meta.update(change.values)
        self._rows += change.rows
        self._bytes += change.bytes

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            suspect(self._path, error)
            raise OutboxError(
                f"{self._path}: {error}", hint="look at the disk: full, read-only or worn out?"
            ) from error
