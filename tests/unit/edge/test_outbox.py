"""The outbox on real files."""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge.errors import OutboxError, OutboxLocked, OutboxUnwritable
from edge.outbox import Outbox
from edge.outbox.database import cannot_open
from edge.outbox.outbox import MAX_PAYLOAD_BYTES
from edge.records import LotEntry, LotForgotten, Message

TOPIC = "linesight/n/cam/door/alert"


def alert(number: int, topic: str = TOPIC, *, size: int = 2, rev: int = 1) -> Message:
    """A message for the outbox."""
    payload = b"{}" + b" " * (size - 2)
    return Message(topic, payload, way="outbox", expiry_s=604800, id=f"{number}", rev=rev)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database goes."""
    return tmp_path / "state" / "outbox.db"


@pytest.fixture
def outbox(path: Path) -> Iterator[Outbox]:
    """A new outbox."""
    opened = Outbox.open(path, boot_id="boot-1")
    yield opened
    opened.close()


def ids(outbox: Outbox) -> list[str | None]:
    """Ids of what waits, oldest first."""
    return [row.message.id for row in outbox.peek(1000)]


def test_gives_back_what_was_stored(outbox: Outbox) -> None:
    """A row carries the message with its seq, and when and in which boot it was stored."""
    before = datetime.now(UTC)
    [row] = outbox.append([alert(7, size=100)])
    assert outbox.peek(10) == [row]
    assert row.message.payload == b"{}" + b" " * 98
    assert (row.message.id, row.message.rev, row.message.seq) == ("7", 1, 1)
    assert (row.message.qos, row.message.retain, row.message.expiry_s) == (1, False, 604800)
    assert (row.epoch, row.boot_id, row.dropped_total) == (outbox.epoch, "boot-1", 0)
    assert abs((row.created_at - before).total_seconds()) < 5.0
    assert len(outbox.epoch) == 16
    assert int(outbox.epoch, 16) >= 0


def test_seq_is_contiguous_per_topic(outbox: Outbox) -> None:
    """Each topic counts for itself from 1, whatever lies between."""
    rows = outbox.append([alert(1, "a"), alert(2, "b"), alert(3, "a")])
    rows += outbox.append([alert(4, "b")])
    assert [(row.message.topic, row.message.seq) for row in rows] == [
        ("a", 1), ("b", 1), ("a", 2), ("b", 2),
    ]  # fmt: skip


def test_acknowledged_rows_go_and_numbers_never_return(outbox: Outbox, path: Path) -> None:
    """An emptied outbox goes on counting rows and seqs, also when it is opened again."""
    [first] = outbox.append([alert(1)])
    outbox.ack([first.row, 999])
    assert outbox.peek(10) == []
    outbox.close()
    again = Outbox.open(path, boot_id="boot-2")
    assert again.epoch == outbox.epoch
    [second] = again.append([alert(2)])
    assert second.row > first.row
    assert second.message.seq == 2
    again.close()


def test_peek_pages(outbox: Outbox) -> None:
    """``peek`` goes on behind the row that it is given."""
    outbox.append([alert(number) for number in range(10)])
    first = outbox.peek(4)
    assert [row.message.id for row in outbox.peek(3, first[-1].row)] == ["4", "5", "6"]


def test_offered_twice_is_stored_once(outbox: Outbox) -> None:
    """A batch that is offered again after an error adds only what is missing."""
    outbox.append([alert(1)])
    added = outbox.append([alert(1), alert(2), alert(1, rev=2)])
    assert [(row.message.id, row.message.rev, row.message.seq) for row in added] == [
        ("2", 1, 2), ("1", 2, 3),
    ]  # fmt: skip
    assert outbox.counters().rows == 3


def test_full_by_rows(path: Path) -> None:
    """Of 1,000 messages into room for 100 the newest 100 stay; 900 are counted, also later."""
    outbox = Outbox.open(path, max_rows=100, boot_id="b")
    for start in range(0, 1000, 7):
        outbox.append([alert(number) for number in range(start, min(start + 7, 1000))])
    assert ids(outbox) == [str(number) for number in range(900, 1000)]
    assert outbox.peek(1)[0].message.seq == 901
    assert outbox.peek(1)[0].dropped_total == 900
    outbox.close()
    outbox = Outbox.open(path, max_rows=100, boot_id="b")
    assert outbox.counters().dropped_oldest == 900
    assert outbox.counters().rows == 100
    assert outbox.peek(1)[0].dropped_total == 900
    outbox.close()


def test_full_by_bytes(path: Path) -> None:
    """The oldest leave until the payloads fit; the topic that lost them counts them."""
    outbox = Outbox.open(path, max_bytes=100_000, boot_id="b")
    outbox.append([alert(1, "a", size=60_000)])
    outbox.append([alert(2, "b", size=30_000), alert(3, "b", size=30_000)])
    assert ids(outbox) == ["2", "3"]
    counters = outbox.counters()
    assert (counters.bytes, counters.dropped_oldest) == (60_000, 1)
    assert outbox.append([alert(4, "a")])[0].dropped_total == 1
    assert outbox.peek(1)[0].dropped_total == 0
    outbox.close()


def test_buried_rows_leave_a_gap(outbox: Outbox, path: Path) -> None:
    """A buried row is gone from the queue and counted in its topic's ``dropped_total``."""
    rows = outbox.append([alert(1), alert(2)])
    outbox.bury(rows[0].row, "larger than the broker takes")
    outbox.bury(12345, "was never there")
    [left] = outbox.peek(10)
    assert (left.message.seq, left.dropped_total) == (2, 1)
    assert (outbox.counters().dead, outbox.counters().rows) == (1, 1)
    outbox.close()
    with sqlite3.connect(path) as raw:
        assert raw.execute("SELECT id, error FROM dead").fetchall() == [
            ("1", "larger than the broker takes")
        ]
    raw.close()


def test_dead_letters_are_bounded(outbox: Outbox, path: Path) -> None:
    """Of 130 buried rows the last 100 are kept, and all are counted."""
    for row in outbox.append([alert(number) for number in range(130)]):
        outbox.bury(row.row, "no")
    assert outbox.counters().dead == 130
    outbox.close()
    raw = sqlite3.connect(path)
    assert raw.execute("SELECT count(*), min(id + 0) FROM dead").fetchone() == (100, 30)
    raw.close()


def test_too_large_goes_to_the_dead_letters(outbox: Outbox) -> None:
    """A message that can never be sent does not stop those around it."""
    size = MAX_PAYLOAD_BYTES + 1
    rows = outbox.append([alert(1), alert(2, size=size), alert(3, size=size - 1)])
    assert [(row.message.id, row.message.seq) for row in rows] == [("1", 1), ("3", 3)]
    assert rows[1].dropped_total == 1
    assert outbox.counters().dead == 1


def test_only_outbox_messages(outbox: Outbox) -> None:
    """A message that goes another way is a mistake of the caller."""
    with pytest.raises(ValueError, match="does not go through the outbox"):
        outbox.append([Message("t", b"", way="transient")])


def test_ids_are_never_given_twice(outbox: Outbox, path: Path) -> None:
    """Blocks follow each other from 1, over a restart too, whether they were used or not."""
    assert outbox.reserve_ids() == range(1, 1001)
    assert outbox.reserve_ids(10) == range(1001, 1011)
    outbox.close()
    again = Outbox.open(path, boot_id="b")
    assert again.reserve_ids() == range(1011, 2011)
    again.close()


def test_counters(outbox: Outbox, path: Path) -> None:
    """Rows, bytes, unheard messages and the oldest one's age are counted."""
    assert outbox.counters().oldest_s == 0.0
    rows = outbox.append([alert(1, size=10), alert(2, size=20)])
    outbox.ack([rows[0].row], no_subscriber=1)
    counters = outbox.counters()
    assert (counters.rows, counters.bytes, counters.no_subscriber) == (1, 20, 1)
    assert 0.0 <= counters.oldest_s < 5.0
    outbox.close()
    later = Outbox.open(path, boot_id="another boot")
    assert later.counters().oldest_s >= 0
    assert 0.0 <= later.counters().oldest_s < 5.0
    later.close()


def test_second_instance_is_named(outbox: Outbox, path: Path) -> None:
    """A second process is told who owns the outbox, at once, with exit code 78."""
    code = (
        "import sys, pathlib\n"
        "from edge.outbox import Outbox\n"
        "from edge.errors import OutboxLocked\n"
        "try:\n"
        "    Outbox.open(pathlib.Path(sys.argv[1]), boot_id='b')\n"
        "except OutboxLocked as error:\n"
        "    print(error)\n"
        "    sys.exit(error.exit_code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 78, done.stderr
    assert f"another instance (pid {os.getpid()}) owns {path.parent}" in done.stdout
    outbox.close()
    Outbox.open(path, boot_id="b").close()


def test_second_instance_in_one_process(outbox: Outbox, path: Path) -> None:
    """The lock holds within one process as well."""
    with pytest.raises(OutboxLocked):
        Outbox.open(path, boot_id="b")


@pytest.mark.parametrize("damage", ["garbage", "truncated", "flipped", "foreign"])
def test_damaged_file_is_set_aside(path: Path, damage: str) -> None:
    """A damaged database is moved aside and a new one with a new epoch takes its place, with what
    could be read of the old.
    """
    outbox = Outbox.open(path, boot_id="b")
    outbox.append([alert(number, size=1000) for number in range(200)])
    outbox.close()
    good = path.read_bytes()
    if damage == "foreign":
        path.unlink()
        raw = sqlite3.connect(path)
        raw.execute("CREATE TABLE cats (name)")
        raw.close()
    else:
        path.write_bytes(
            {
                "garbage": os.urandom(len(good)),
                "truncated": good[: len(good) // 2],
                "flipped": good[:4096] + bytes(b ^ 0xFF for b in good[4096:40960]) + good[40960:],
            }[damage]
        )
    fresh = Outbox.open(path, boot_id="b")
    assert fresh.epoch != outbox.epoch
    salvaged = fresh.counters().salvaged
    assert len(fresh.peek(1000)) == salvaged
    assert (salvaged > 50) == (damage == "truncated")
    fresh.append([alert(1)])
    fresh.close()
    assert path.with_name("outbox.corrupt-1").exists()


def test_two_damaged_files_are_kept(path: Path) -> None:
    """Of many damaged databases the last two are kept."""
    for number in range(4):
        Outbox.open(path, boot_id="b").close()
        path.write_bytes(b"garbage %d" % number)
    Outbox.open(path, boot_id="b").close()
    kept = sorted(path.parent.glob("outbox.corrupt-*"))
    assert [(file.name, file.read_bytes()) for file in kept] == [
        ("outbox.corrupt-3", b"garbage 2"), ("outbox.corrupt-4", b"garbage 3"),
    ]  # fmt: skip


def test_empty_file_is_a_new_outbox(path: Path) -> None:
    """A file of no bytes, as a power cut may leave it, is filled."""
    path.parent.mkdir()
    path.touch()
    outbox = Outbox.open(path, boot_id="b")
    outbox.append([alert(1)])
    outbox.close()
    assert not list(path.parent.glob("*corrupt*"))


def test_newer_schema_is_refused(outbox: Outbox, path: Path) -> None:
    """A database of a newer version is left alone."""
    outbox.close()
    raw = sqlite3.connect(path)
    raw.execute("PRAGMA user_version=3")
    raw.close()
    with pytest.raises(OutboxError, match="written by a newer LineSight"):
        Outbox.open(path, boot_id="b")
    assert not list(path.parent.glob("*corrupt*"))


def test_a_diary_is_kept_until_its_report(outbox: Outbox, path: Path) -> None:
    """Entries come back in their order after a restart; the report takes them in its commit."""
    entries = [LotEntry("a-1", 0, "{1}"), LotEntry("a-1", 1, "{3}"), LotEntry("a-2", 0, "{2}")]
    outbox.append([alert(1)], entries)
    outbox.append([], [LotEntry("a-1", 1, "{3}")])  # offered again after an error: once is enough
    outbox.close()
    again = Outbox.open(path, boot_id="b")
    assert again.lots() == entries
    again.append([alert(2)], [LotForgotten("a-1")])
    assert again.lots() == [LotEntry("a-2", 0, "{2}")]
    assert [row.message.id for row in again.peek(10)] == [alert(1).id, alert(2).id]
    again.close()


def test_what_goes_together_is_stored_together(outbox: Outbox) -> None:
    """A commit that fails has stored neither the message nor the entry."""
    with pytest.raises(ValueError, match="does not go through the outbox"):
        outbox.append([alert(1), Message("t", b"", way="latest")], [LotEntry("a-1", 0, "{}")])
    assert (outbox.lots(), outbox.peek(10)) == ([], [])


def test_an_outbox_of_version_1_gets_its_diaries(outbox: Outbox, path: Path) -> None:
    """What it holds stays; a lot can be written down in it."""
    outbox.append([alert(1)])
    outbox.close()
    raw = sqlite3.connect(path)
    raw.execute("DROP TABLE lot")
    raw.execute("DROP INDEX outbox_seq")
    raw.execute("PRAGMA user_version=1")
    raw.close()
    again = Outbox.open(path, boot_id="b")
    assert (again.epoch, len(again.peek(10)), again.lots()) == (outbox.epoch, 1, [])
    again.append([], [LotEntry("a-1", 0, "{}")])
    assert len(again.lots()) == 1
    again.close()
    assert not list(path.parent.glob("*corrupt*"))


def test_unwritable_place(tmp_path: Path) -> None:
    """A state directory that cannot be written is named, with exit code 78."""
    (tmp_path / "file").touch()
    with pytest.raises(OutboxUnwritable, match="state directory not writable") as caught:
        Outbox.open(tmp_path / "file" / "outbox.db", boot_id="b")
    assert caught.value.exit_code == 78
    with pytest.raises(OutboxUnwritable, match="state directory not writable"):
        Outbox.open(Path("/proc/linesight/outbox.db"), boot_id="b")


@pytest.mark.parametrize("name", ["outbox.db", "outbox.db.lock"])
def test_symbolic_links_are_refused(path: Path, tmp_path: Path, name: str) -> None:
    """A link planted in the state directory is not followed."""
    path.parent.mkdir()
    target = tmp_path / "precious"
    target.write_bytes(b"precious")
    path.with_name(name).symlink_to(target)
    with pytest.raises(OutboxUnwritable):
        Outbox.open(path, boot_id="b")
    assert target.read_bytes() == b"precious"


def test_files_are_private(outbox: Outbox, path: Path) -> None:
    """Nobody else may read what waits."""
    outbox.append([alert(1)])
    for file in path.parent.iterdir():
        assert file.stat().st_mode & 0o077 == 0, file
    assert path.parent.stat().st_mode & 0o077 == 0


def test_full_disk_changes_nothing(tmp_path: Path, outbox: Outbox) -> None:
    """When the disk fails the call raises ``OutboxError`` and nothing of it has happened."""
    outbox.append([alert(1)])
    before = outbox.counters()
    # SQLite's own limit stands for the disk's.
    pages = outbox._connection.execute("PRAGMA page_count").fetchone()[0]
    outbox._connection.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(OutboxError, match="full"):
        outbox.append([alert(number, size=5000) for number in range(2, 12)])
    assert ids(outbox) == ["1"]
    after = outbox.counters()
    assert (after.rows, after.bytes) == (before.rows, before.bytes)
    outbox._connection.execute("PRAGMA max_page_count=1000000")
    assert outbox.append([alert(2)])[0].message.seq == 2


def test_settings_are_durable(outbox: Outbox) -> None:
    """The pragmas that durability rests on are in force, also after a relaxed deletion."""
    rows = outbox.append([alert(1)])
    outbox.ack([rows[0].row])
    outbox.append([alert(2)])

    def pragma(name: str) -> object:
        return outbox._connection.execute(f"PRAGMA {name}").fetchone()[0]

    assert pragma("journal_mode") == "wal"
    assert pragma("synchronous") == 2
    assert pragma("locking_mode") == "exclusive"
    assert pragma("wal_autocheckpoint") == 200
    assert pragma("journal_size_limit") == 1 << 20


def test_log_stays_small(outbox: Outbox, path: Path) -> None:
    """The write-ahead log does not grow beyond its checkpoint (about 0.8 MB)."""
    for number in range(500):
        [row] = outbox.append([alert(number, size=1000)])
        outbox.ack([row.row])
    assert path.with_name("outbox.db-wal").stat().st_size < 1_100_000


def test_close_twice(outbox: Outbox) -> None:
    """Closing twice is harmless."""
    outbox.close()
    outbox.close()


def test_a_file_that_another_program_holds_is_no_configuration_mistake(path: Path) -> None:
    """A lock of another SQLite client ends the start with exit code 1, so that the service manager
    tries again; the outbox opens as soon as the other has let go.
    """
    Outbox.open(path, boot_id="b").close()
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(OutboxError, match="database is locked") as caught:
        Outbox.open(path, boot_id="b")
    assert caught.value.exit_code == 1
    assert "another program" in caught.value.hint
    release = threading.Timer(0.2, other.close)
    release.start()
    Outbox.open(path, boot_id="b").close()
    release.join()


def sqlite_error(code: int) -> sqlite3.Error:
    """As SQLite's driver raises it."""
    error = sqlite3.OperationalError("no")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PermissionError(errno.EACCES, "no"), 78),
        (OSError(errno.EROFS, "no"), 78),
        (OSError(errno.ENOSPC, "no"), 1),
        (OSError(errno.EMFILE, "no"), 1),
        (sqlite_error(sqlite3.SQLITE_CANTOPEN), 78),
        (sqlite_error(sqlite3.SQLITE_READONLY_DIRECTORY), 78),
        (sqlite_error(sqlite3.SQLITE_FULL), 1),
        (sqlite_error(sqlite3.SQLITE_IOERR_WRITE), 1),
        (sqlite_error(sqlite3.SQLITE_BUSY_RECOVERY), 1),
        (sqlite3.ProgrammingError("no"), 1),
    ],
)
def test_only_what_people_must_mend_keeps_the_service_down(
    error: sqlite3.Error | OSError, code: int
) -> None:
    """78, after which systemd does not restart, is for missing rights; 1 for what may pass."""
    assert cannot_open(Path("state/outbox.db"), error).exit_code == code


def test_a_probe_writes_and_changes_nothing(outbox: Outbox, path: Path) -> None:
    """It goes through on a disk that works, fails on a full one, and loses no number."""
    first = outbox.reserve_ids(10)
    outbox.probe()
    assert outbox.reserve_ids(10).start == first.stop
    outbox._connection.execute("PRAGMA query_only=ON")
    with pytest.raises(OutboxError):
        outbox.probe()


def test_losses_are_told_by_topic(outbox: Outbox) -> None:
    """``dropped`` counts what was buried, for the topic it was on."""
    [row] = outbox.append([Message("a", b"{}", way="outbox", id="1", rev=1)])
    outbox.append([Message("b", b"{}", way="outbox", id="2", rev=1)])
    assert outbox.dropped() == {}
    outbox.bury(row.row, "no")
    assert outbox.dropped() == {"a": 1}
