"""A disk that fails a sync (F61) or takes its time (F79), under the real outbox and its thread."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from edge.errors import OutboxError
from edge.outbox import Outbox
from edge.records import Message
from tests.fakes import wait_until
from tests.helpers.apsw_connection import connector
from tests.helpers.disk import Disk
from tests.helpers.stages import OutboxRig, alert_message


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """A disk under the outbox that notes everything, and fails or waits when told to."""
    made = Disk("failing")
    monkeypatch.setattr("edge.outbox.database.connect", connector(made.vfs.name))
    yield made
    made.vfs.unregister()


class BadSyncs:
    """Makes the next syncs fail with an I/O error, as a dying card does."""

    def __init__(self, disk: Disk) -> None:
        self.left = 0
        disk.on_operation = self

    def __call__(self, what: str, path: Path) -> None:
        if what == "sync" and self.left:
            self.left -= 1
            error = apsw.IOError("disk I/O error")
            error.extendedresult = apsw.SQLITE_IOERR_FSYNC  # type: ignore[attr-defined]
            error.result = apsw.SQLITE_IOERR  # type: ignore[attr-defined]
            raise error


def small(number: int) -> Message:
    """A message for an outbox without a station."""
    return Message("t", b"x" * 300, way="outbox", id=str(number), rev=1)


def after_cuts(disk: Disk, end: int, folder: Path) -> Iterator[set[str]]:
    """Ids that are there when the power goes at ``end`` of the log, in 20 ways."""
    for seed in range(20):
        [(_, files)] = disk.cuts([end], random.Random(seed))
        left = folder / f"{seed}"
        left.mkdir()
        for name, content in files.items():
            (left / name).write_bytes(content)
        outbox = Outbox.open(left / "outbox.db", boot_id="b")
        yield {str(row.message.id) for row in outbox.peek(1000)}
        outbox.close()


def failed_syncs(
    disk: Disk, path: Path, failures: int, *, reopen: bool = True
) -> tuple[set[str], int]:
    """Accept messages around failed syncs; returns the ids of all that were accepted, and
    how long the disk's log was then.

    A deletion is in the log, not yet synced, when the sync of the next message fails. The kernel
    calls those pages clean then, whether they have reached the disk or not.
    """
    bad = BadSyncs(disk)
    outbox = Outbox.open(path, boot_id="b")
    first = outbox.append([small(number) for number in range(10)])
    outbox.ack([first[0].row])
    accepted = {str(row.message.id) for row in first[1:]}
    bad.left = failures
    for number in range(10, 15):
        while str(number) not in accepted:
            try:
                outbox.append([small(number)])
                accepted.add(str(number))
            except OutboxError:
                outbox = opened_anew(outbox, path) if reopen else outbox
    end = len(disk.log)
    outbox.close()
    return accepted, end


def opened_anew(outbox: Outbox, path: Path) -> Outbox:
    """As the outbox thread does it: close, and open until that works."""
    while True:
        outbox.close()
        with contextlib.suppress(OutboxError):
            return Outbox.open(path, boot_id="b")


@pytest.mark.parametrize("failures", range(1, 7))
def test_f61_after_a_failed_sync_the_database_is_opened_anew(
    disk: Disk, tmp_path: Path, failures: int
) -> None:
    """What is accepted after one to six failed syncs survives a power cut: closing, or else
    opening, writes anew what the kernel has forgotten to write.
    """
    accepted, end = failed_syncs(disk, tmp_path / "outbox.db", failures)
    for left in after_cuts(disk, end, tmp_path):
        assert accepted <= left


def test_f61_repeating_on_the_same_handle_is_caught(disk: Disk, tmp_path: Path) -> None:
    """The twin: who only tries again after the failed sync loses messages that were accepted."""
    accepted, end = failed_syncs(disk, tmp_path / "outbox.db", 1, reopen=False)
    assert any(accepted - left for left in after_cuts(disk, end, tmp_path))


def test_f61_trusting_the_log_when_opening_is_caught(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other twin: an opening that goes on behind a log that it only read loses messages."""
    with monkeypatch.context() as patch:
        patch.setattr("edge.outbox.database.connect", connector(disk.vfs.name, without_checkpoint))
        accepted, end = failed_syncs(disk, tmp_path / "outbox.db", 2)
    assert any(accepted - left for left in after_cuts(disk, end, tmp_path))


def without_checkpoint(sql: str) -> str:
    """The twin's switch."""
    return "SELECT 1" if "wal_checkpoint" in sql else sql


def test_f61_the_outbox_thread_never_repeats_a_failed_sync(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three failed syncs: the thread opens the database anew, and then all is stored in order."""
    monkeypatch.setattr("edge.pipeline.store.RETRY_S", 0.02)
    bad = BadSyncs(disk)
    rig = OutboxRig(tmp_path)
    opened: list[Outbox] = []

    def opens() -> Outbox:
        opened.append(rig.open())
        return opened[-1]

    rig.store._open_outbox = opens
    with rig.running() as store:
        store.put(alert_message(0))
        wait_until(lambda: store.accepted == 1)
        bad.left = 3
        for number in range(1, 30):
            store.put(alert_message(number))
        wait_until(lambda: store.accepted == 30)
    assert bad.left == 0
    assert len(opened) >= 2
    assert rig.stored() == list(range(30))


def test_f79_a_slow_disk_never_blocks_capture(disk: Disk, tmp_path: Path) -> None:
    """While a sync hangs, whoever has an alert hands it over at once; all are stored later."""
    release, hangs = threading.Event(), threading.Event()

    def hang(what: str, path: Path) -> None:
        if what == "sync" and armed:
            hangs.set()
            assert release.wait(30)

    armed: list[bool] = []
    disk.on_operation = hang
    rig = OutboxRig(tmp_path)
    with rig.running() as store:
        armed.append(True)
        store.put(alert_message(0))
        assert hangs.wait(10)
        longest = 0.0
        for number in range(1, 500):
            message = alert_message(number)
            began = time.monotonic()
            store.put(message)
            longest = max(longest, time.monotonic() - began)
        assert store.accepted == 0
        armed.clear()
        release.set()
        wait_until(lambda: store.accepted == 500)
    assert longest < 0.5
    assert rig.stored() == list(range(500))


def test_f79_storing_in_the_callers_thread_is_caught(disk: Disk, tmp_path: Path) -> None:
    """The twin: an append that is not handed over waits as long as the disk hangs."""
    release, hangs = threading.Event(), threading.Event()
    outbox = Outbox.open(tmp_path / "outbox.db", boot_id="b")

    def hang(what: str, path: Path) -> None:
        if what == "sync":
            hangs.set()
            assert release.wait(30)

    def capture() -> None:
        outbox.append([small(0)])

    disk.on_operation = hang
    thread = threading.Thread(target=capture)
    thread.start()
    assert hangs.wait(10)
    thread.join(0.5)
    assert thread.is_alive()
    release.set()
    thread.join(10)
    outbox.close()
