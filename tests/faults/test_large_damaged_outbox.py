"""F62 where the file is too large to be looked at on every start."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from edge.errors import OutboxError
from edge.health import OutboxHealth
from edge.outbox import Outbox
from edge.outbox.database import is_suspect, suspect
from edge.pipeline.ids import AlertIds
from edge.pipeline.store import Store
from edge.records import Message
from edge.stage import Stage
from tests.fakes import wait_until
from tests.helpers.stages import running

PAGE = 4096


def message(number: int) -> Message:
    """Half a page each."""
    payload = f'{{"n":{number}}}'.encode() + b" " * 2000
    return Message("t", payload, way="outbox", id=str(number), rev=1)


@pytest.fixture
def damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database beyond the bound of the check at the start, some of its middle wiped."""
    monkeypatch.setattr("edge.outbox.database._QUICK_CHECK_BYTES", 16 * PAGE)
    path = tmp_path / "outbox.db"
    outbox = Outbox.open(path, boot_id="b")
    outbox.append([message(number) for number in range(300)])
    outbox.close()
    content = bytearray(path.read_bytes())
    for page in range(20, len(content) // PAGE - 20, 3):
        content[page * PAGE : (page + 1) * PAGE] = bytes(PAGE)
    path.write_bytes(content)
    return path


def test_f62_damage_in_a_large_file_is_found_when_it_is_met(damaged: Path) -> None:
    """The check at the start passes it over; what reads it finds it, and it is set aside."""
    again = Outbox.open(damaged, boot_id="b")
    assert again.damaged == damaged.with_name("outbox.corrupt-1")
    assert again.counters().salvaged > 100
    (row,) = again.append([message(5000)])
    assert row.message.seq == again.counters().rows  # it counts in the new epoch, from 1
    again.close()
    calm = Outbox.open(damaged, boot_id="b")
    assert (calm.damaged, calm.epoch) == (None, again.epoch)
    calm.close()
    assert not list(damaged.parent.glob("*.suspect"))


def test_f62_without_a_second_look_a_large_file_stays_damaged(
    damaged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twin: an opening that suspects nothing fails, and fails again."""
    monkeypatch.setattr("edge.outbox.outbox.suspect", lambda path, error: None)
    for _ in range(2):
        with pytest.raises(OutboxError, match="malformed"):
            Outbox.open(damaged, boot_id="b")


def test_f62_an_index_that_does_not_fit_its_table_is_found(tmp_path: Path) -> None:
    """The check at the start cannot see it; the one of a file under suspicion does."""
    path = tmp_path / "outbox.db"
    outbox = Outbox.open(path, boot_id="b")
    outbox.append([message(number) for number in range(20)])
    outbox.close()
    # A row leaves the table behind the index's back.
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("PRAGMA writable_schema=ON")
        entry = raw.execute("SELECT * FROM sqlite_master WHERE name = 'outbox_seq'").fetchone()
        raw.execute("DELETE FROM sqlite_master WHERE name = 'outbox_seq'")
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("DELETE FROM outbox WHERE row = 5")
        raw.execute("PRAGMA writable_schema=ON")
        raw.execute("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", entry)
    unaware = Outbox.open(path, boot_id="b")
    assert unaware.damaged is None
    unaware.close()
    error = sqlite3.DatabaseError("database disk image is malformed")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    suspect(path, error)
    again = Outbox.open(path, boot_id="b")
    assert again.damaged is not None
    assert again.counters().salvaged == 19
    again.close()


def test_f62_damage_while_it_runs_is_looked_for_at_the_next_opening(damaged: Path) -> None:
    """SQLite met it in the middle of the work: the file is under suspicion until it was checked."""
    path = damaged.with_name("other.db")
    outbox = Outbox.open(path, boot_id="b")
    error = sqlite3.DatabaseError("database disk image is malformed")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    suspect(path, error)
    assert is_suspect(path)
    outbox.close()
    Outbox.open(path, boot_id="b").close()
    assert not is_suspect(path)


def test_f62_a_running_station_gets_over_it(damaged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its outbox thread opens a new file, the health says ``disk_corrupt``, and alerts go on."""
    monkeypatch.setattr("edge.pipeline.store.RETRY_S", 0.02)
    health = OutboxHealth(100_000, 64 << 20)
    store = Store(lambda: Outbox.open(damaged, boot_id="b"), health, AlertIds(), lambda: None)
    with running(Stage("outbox", store.run, interrupt=store.wake)):
        wait_until(store.ready.is_set)
        store.rows.serve()
        wait_until(lambda: [one.code for one in health.reasons()] == ["disk_corrupt"])
        store.put(message(1000))
        wait_until(lambda: store.accepted == 1)
    assert "salvaged" in health.reasons()[0].detail
