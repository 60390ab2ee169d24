"""A damaged outbox (F62): set aside, and what can be read of it goes on."""

from __future__ import annotations

import errno
import random
import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.errors import OutboxError
from edge.outbox import Outbox
from edge.outbox.salvage import salvage
from edge.records import LotEntry, Message

PAGE = 4096
ROWS = 300
TOPICS = ("a", "b")
LOTS = [LotEntry(f"l{number // 20}", number % 20, "{}" + " " * 200) for number in range(60)]
Damage = Callable[[random.Random, bytearray], None]


def message(number: int) -> Message:
    """One of many, the payload tells its number."""
    payload = f'{{"n":{number}}}'.encode() + b" " * 500
    return Message(TOPICS[number % 2], payload, way="outbox", id=str(number), rev=1)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A folder as ``kill -9`` leaves it: 250 messages in the database, the rest in its log."""
    path = tmp_path / "good" / "outbox.db"
    outbox = Outbox.open(path, boot_id="b")
    outbox.append([], LOTS)
    outbox.append([message(number) for number in range(250)])
    outbox.close()
    outbox = Outbox.open(path, boot_id="b")
    outbox.append([message(number) for number in range(250, ROWS)])
    killed = tmp_path / "killed"
    shutil.copytree(path.parent, killed)
    outbox.close()
    assert (killed / "outbox.db-wal").stat().st_size > 0
    return killed


def flip_bits(rng: random.Random, content: bytearray) -> None:
    """A card that forgets: ten bits anywhere."""
    for _ in range(10):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)


def wipe_pages(rng: random.Random, content: bytearray) -> None:
    """A worn-out card: three pages of nothing, but for the first."""
    for _ in range(3):
        page = rng.randrange(3, len(content) // PAGE)
        content[page * PAGE : (page + 1) * PAGE] = bytes(PAGE)


def cut_short(rng: random.Random, content: bytearray) -> None:
    """A file system that lost the end, in the middle of a page."""
    del content[rng.randrange(len(content) // 4, len(content)) :]


ALTERED = {"flip_bits": 10, "wipe_pages": 0, "cut_short": 0}
"""Messages that may come through altered: SQLite has no checksums in its pages."""

SHARE = {"flip_bits": 0.85, "wipe_pages": 0.85, "cut_short": 0.5}
"""Of what was there, how much comes through at least; cutting takes three eighths of it away."""


def harm(good: Path, folder: Path, file: str, seed: int, damage: Damage) -> Path:
    """A copy of the folder with one file damaged; returns the database's path."""
    shutil.copytree(good, folder)
    content = bytearray((folder / file).read_bytes())
    damage(random.Random(seed), content)
    (folder / file).write_bytes(content)
    return folder / "outbox.db"


def check_whole(outbox: Outbox, differing: int) -> int:
    """Order and ``seq`` are right, at most ``differing`` payloads are not; returns the rows."""
    rows = outbox.peek(10_000)
    seqs: Counter[str] = Counter()
    numbers = [_number(row.message) for row in rows]
    wrong = sum(row.message != _as_stored(row.message) for row in rows)
    assert wrong <= differing
    assert numbers == sorted(set(numbers)) or wrong
    for row in rows:
        seqs[row.message.topic] += 1
        assert row.message.seq == seqs[row.message.topic]
    return len(rows)


def _number(found: Message) -> int:
    return int(found.id) if found.id is not None and found.id.isdecimal() else -1


def _as_stored(found: Message) -> Message:
    want = message(_number(found))
    return Message(
        want.topic,
        want.payload,
        way="outbox",
        expiry_s=found.expiry_s,
        id=want.id,
        rev=1,
        seq=found.seq,
    )


def rescued(good: Path, folder: Path, damage: Damage, tries: int) -> tuple[int, int, int]:
    """Damage many copies: how many were set aside, rows and diary entries that came out of them."""
    aside = rows = entries = 0
    for seed in range(tries):
        path = harm(good, folder / f"{seed}", "outbox.db", seed, damage)
        began = time.monotonic()
        outbox = Outbox.open(path, boot_id="b")
        assert time.monotonic() - began < 5.0
        if path.with_name("outbox.corrupt-1").exists():
            aside += 1
            found = check_whole(outbox, ALTERED[damage.__name__])
            assert found + len(outbox.lots()) == outbox.counters().salvaged
            assert set(outbox.lots()) <= set(LOTS) or damage is flip_bits
            rows += found
            entries += len(outbox.lots())
            [again] = outbox.append([message(9999)])
            assert again.message.topic == "b"
        outbox.close()
    return aside, rows, entries


@pytest.mark.parametrize("damage", [flip_bits, wipe_pages, cut_short])
def test_f62_what_can_be_read_is_salvaged(good: Path, tmp_path: Path, damage: Damage) -> None:
    """Of 20 databases with bits flipped, pages wiped or the end cut off most rows come through, in
    order and with new ``seq``; the start takes less than 5 s.
    """
    aside, rows, entries = rescued(good, tmp_path / "tries", damage, 20)
    print(f"{damage.__name__}: {aside} set aside, {rows} rows and {entries} entries salvaged")
    assert aside >= 5
    assert rows > aside * ROWS * SHARE[damage.__name__]
    assert entries > aside * len(LOTS) * SHARE[damage.__name__]


@pytest.mark.parametrize("content", [b"", b"garbage" * 3000])
def test_f62_a_file_of_nothing_or_garbage_starts_anew(
    good: Path, tmp_path: Path, content: bytes
) -> None:
    """A file with nothing to read in it costs its messages, but for those in its log, never the
    start.
    """
    path = tmp_path / "killed" / "outbox.db"
    path.write_bytes(content)
    began = time.monotonic()
    outbox = Outbox.open(path, boot_id="b")
    assert time.monotonic() - began < 5.0
    assert check_whole(outbox, 0) <= (ROWS - 240 if content else 0)
    assert len(outbox.append([message(9999)])) == 1
    outbox.close()
    assert path.with_name("outbox.corrupt-1").exists() == (content != b"")


def test_f62_losing_the_readable_rows_is_caught(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twin: a start that only sets the file aside is found to lose what could be read."""
    monkeypatch.setattr("edge.outbox.database.salvage", lambda aside, fresh: 0)
    aside, rows, entries = rescued(good, tmp_path / "tries", wipe_pages, 5)
    assert aside > 0
    assert rows == entries == 0


def test_f62_flips_in_the_log_cost_only_what_is_behind_them(good: Path, tmp_path: Path) -> None:
    """A log with flipped bits is read up to them: the database and what was before stay whole."""
    for seed in range(20):
        path = harm(good, tmp_path / f"{seed}", "outbox.db-wal", seed, flip_bits)
        began = time.monotonic()
        outbox = Outbox.open(path, boot_id="b")
        assert time.monotonic() - began < 5.0
        assert 250 <= check_whole(outbox, 0) <= ROWS
        assert outbox.lots() == LOTS
        outbox.close()


def test_f62_salvage_reads_the_log_and_changes_nothing(good: Path, tmp_path: Path) -> None:
    """Messages that were only in the log of the damaged database come out of it, and the files
    that were set aside stay as they are.
    """

    def cut(rng: random.Random, content: bytearray) -> None:
        del content[20 * PAGE :]

    path = harm(good, tmp_path / "harmed", "outbox.db", 0, cut)
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    Outbox.open(tmp_path / "fresh.db", boot_id="b").close()
    fresh = sqlite3.connect(tmp_path / "fresh.db", isolation_level=None)
    salvage(path, fresh)
    ids = {int(key) for (key,) in fresh.execute("SELECT id FROM outbox")}
    fresh.close()
    assert ids >= set(range(260, ROWS))
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == before


@pytest.mark.parametrize(
    "cause", [sqlite3.OperationalError("disk is full"), OSError(errno.EIO, "")]
)
def test_f62_salvage_cut_short_is_done_again(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cause: Exception
) -> None:
    """When the start ends while rows are copied the next start copies them, once."""

    def dies(aside: Path, fresh: sqlite3.Connection) -> int:
        salvage(aside, fresh)
        raise cause

    path = harm(good, tmp_path / "harmed", "outbox.db", 1, wipe_pages)
    with monkeypatch.context() as patch:
        patch.setattr("edge.outbox.database.salvage", dies)
        with pytest.raises(OutboxError):
            Outbox.open(path, boot_id="b")
    outbox = Outbox.open(path, boot_id="b")
    rows = outbox.counters().rows
    outbox.close()
    assert rows > ROWS / 2
    path.write_bytes(b"")  # later the new one is lost too: what was sent long ago stays away
    outbox = Outbox.open(path, boot_id="b")
    assert outbox.counters().rows == 0
    outbox.close()


def test_f62_salvage_ends_in_time(tmp_path: Path) -> None:
    """A large database with every other page wiped holds the start up no longer than allowed."""
    path = tmp_path / "outbox.db"
    outbox = Outbox.open(path, boot_id="b")
    for start in range(0, 20_000, 1000):
        outbox.append([message(number) for number in range(start, start + 1000)])
    outbox.close()
    content = bytearray(path.read_bytes())
    for page in range(6, len(content) // PAGE, 2):
        content[page * PAGE : (page + 1) * PAGE] = bytes(PAGE)
    path.write_bytes(content)
    began = time.monotonic()
    outbox = Outbox.open(path, boot_id="b")
    took = time.monotonic() - began
    print(f"{outbox.counters().salvaged} of 20,000 in {took:.2f} s")
    outbox.close()
    assert took < 5.0
