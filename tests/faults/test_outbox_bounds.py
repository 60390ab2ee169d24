"""An outbox of another version (F65), and one that is full (F66)."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.errors import OutboxError
from edge.outbox import Outbox
from edge.outbox.change import Change
from edge.records import LotEntry, Message


def message(number: int) -> Message:
    """One of many."""
    return Message("t", b"{}", way="outbox", id=str(number), rev=1)


def ids(outbox: Outbox) -> list[int]:
    """What waits, oldest first."""
    return [int(str(row.message.id)) for row in outbox.peek(10_000)]


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A database of version 1, which knew no diaries, with ten messages."""
    path = tmp_path / "outbox.db"
    outbox = Outbox.open(path, boot_id="b")
    outbox.append([message(number) for number in range(10)])
    outbox.close()
    raw = sqlite3.connect(path)
    raw.execute("DROP TABLE lot")
    raw.execute("DROP INDEX outbox_seq")
    raw.execute("PRAGMA user_version=1")
    raw.close()
    return path


class Interrupted(sqlite3.Connection):
    """A disk that is full just before the migration says that it is done."""

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        if sql.startswith("PRAGMA user_version="):
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        return super().execute(sql, parameters)


def interrupt(path: Path, patch: pytest.MonkeyPatch) -> None:
    """Open the database with a migration that does not get to its end."""
    patch.setattr(
        "edge.outbox.database.connect",
        lambda path: sqlite3.connect(path, isolation_level=None, factory=Interrupted),
    )
    with pytest.raises(OutboxError, match="full"):
        Outbox.open(path, boot_id="b")


def migrated(path: Path) -> bool:
    """Whether the next start finds all the messages, and takes diaries."""
    outbox = Outbox.open(path, boot_id="b")
    outbox.append([], [LotEntry("l", 0, "{}")])
    whole = ids(outbox) == list(range(10)) and outbox.lots() == [LotEntry("l", 0, "{}")]
    outbox.close()
    return whole and not list(path.parent.glob("*.corrupt-*"))


def test_f65_an_interrupted_migration_is_done_again(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A migration that is cut short has changed nothing: the next start does it, with every row."""
    with monkeypatch.context() as patch:
        interrupt(old, patch)
    assert migrated(old)


def test_f65_a_migration_in_pieces_is_caught(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin: without its transaction the migration leaves a database that is taken for a
    damaged one.
    """

    @contextlib.contextmanager
    def nothing(connection: sqlite3.Connection) -> Iterator[None]:
        yield

    with monkeypatch.context() as patch:
        patch.setattr("edge.outbox.database.transaction", nothing)
        interrupt(old, patch)
    assert not migrated(old)


def test_f65_a_newer_database_is_refused_and_left_alone(old: Path) -> None:
    """The text names both versions, and the file stays as it was."""
    raw = sqlite3.connect(old)
    raw.execute("PRAGMA user_version=9")
    raw.close()
    before = old.read_bytes()
    with pytest.raises(OutboxError, match=r"newer LineSight \(schema 9, this one knows 2\)"):
        Outbox.open(old, boot_id="b")
    assert old.read_bytes() == before


class Forgetful(Outbox):
    """Evicts and does not count it."""

    def _evict(self, change: Change) -> None:
        kept = dict(change.values)
        super()._evict(change)
        change.values = kept


def overflow(path: Path, kind: type[Outbox]) -> tuple[list[int], int, list[int], int]:
    """1,000 messages into room for 100, then a restart: what waits, the count, seqs, the gap."""
    outbox = kind.open(path, max_rows=100, boot_id="b")
    for start in range(0, 1000, 16):
        outbox.append([message(number) for number in range(start, min(start + 16, 1000))])
    outbox.close()
    outbox = kind.open(path, max_rows=100, boot_id="b")
    rows = outbox.peek(1000)
    found = (
        ids(outbox),
        outbox.counters().dropped_oldest,
        [row.message.seq or 0 for row in rows],
        rows[0].dropped_total,
    )
    outbox.close()
    return found


def test_f66_a_full_outbox_keeps_the_newest_and_says_so(tmp_path: Path) -> None:
    """Of 1,000 messages the newest 100 stay; the 900 are counted, also after a restart, and the
    first message that goes out tells of the gap.
    """
    waiting, dropped, seqs, gap = overflow(tmp_path / "outbox.db", Outbox)
    assert waiting == list(range(900, 1000))
    assert (dropped, gap) == (900, 900)
    assert seqs == list(range(901, 1001))


def test_f66_an_eviction_that_is_not_counted_is_caught(tmp_path: Path) -> None:
    """The twin: without the count a consumer sees a gap that nobody explains."""
    _, dropped, seqs, gap = overflow(tmp_path / "outbox.db", Forgetful)
    assert (dropped, gap) != (seqs[0] - 1, seqs[0] - 1)
