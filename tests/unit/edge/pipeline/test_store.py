"""The outbox thread on a real database."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest

from edge.errors import OutboxError, OutboxLocked
from edge.outbox import Outbox, Row
from edge.pipeline.store import QUEUE
from edge.records import LotEntry, LotForgotten, Message
from edge.stage import stop_all
from tests.fakes import wait_until
from tests.helpers.stages import ALERTS, OutboxRig, alert_message, number_of


def take(rig: OutboxRig, count: int) -> list[Row]:
    """The next rows for the publish thread."""
    rows: list[Row] = []

    def more() -> bool:
        row = rig.store.rows.next_row()
        if row is not None:
            rows.append(row)
        return len(rows) >= count

    wait_until(more, what=f"{count} rows, got {len(rows)}")
    return rows


def numbers(rows: Sequence[Row]) -> list[int]:
    """The alerts in these rows."""
    return [number_of(row.message) for row in rows]


class SickOutbox(Outbox):
    """A disk that fails when told to: ``sick`` is consulted before each write."""

    sick: Callable[[], bool] = staticmethod(lambda: False)
    slow: threading.Event | None = None

    def append(
        self, messages: Sequence[Message], lots: Sequence[LotEntry | LotForgotten] = ()
    ) -> tuple[Row, ...]:
        if SickOutbox.slow is not None:
            SickOutbox.slow.wait(10)
        if SickOutbox.sick():
            raise OutboxError("outbox.db: database or disk is full")
        return super().append(messages, lots)


@pytest.fixture
def rig(tmp_path: Path) -> OutboxRig:
    """A store on a real database."""
    return OutboxRig(tmp_path)


@pytest.fixture
def sick_rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OutboxRig:
    """A rig whose disk can be made sick; recovery is tried every 20 ms."""
    monkeypatch.setattr("edge.pipeline.store.RETRY_S", 0.02)
    monkeypatch.setattr(SickOutbox, "slow", None)
    rig = OutboxRig(tmp_path)

    def reopen() -> Outbox:
        return SickOutbox.open(rig.path, boot_id="b")

    rig.store._open_outbox = reopen
    return rig


def test_what_is_put_is_on_disk_after_the_stop(rig: OutboxRig) -> None:
    """Everything that came in before the stop is committed before the thread ends."""
    with rig.running() as store:
        for n in range(100):
            store.put(alert_message(n))
    assert rig.stored() == list(range(100))
    assert rig.store.accepted == 100


def test_rows_come_out_in_order_and_go_when_acknowledged(rig: OutboxRig) -> None:
    """Rows are offered oldest first; acknowledged ones leave the disk, the others stay."""
    with rig.running() as store:
        for n in range(200):
            store.put(alert_message(n))
        store.rows.serve()
        rows = take(rig, 150)
        assert numbers(rows) == list(range(150))
        for row in rows[:120]:
            store.ack(row, no_subscriber=False)
    assert rig.stored() == list(range(120, 200))


def test_a_new_row_is_announced(rig: OutboxRig) -> None:
    """While served, the publish thread is woken for a message that comes later."""
    with rig.running() as store:
        store.rows.serve()
        store.put(alert_message(1))
        wait_until(lambda: rig.news)
        assert numbers(take(rig, 1)) == [1]


def test_after_a_reconnect_everything_unacknowledged_comes_again_in_order(rig: OutboxRig) -> None:
    """``suspend`` and ``serve`` offer again what was sent or read ahead, not what was acked."""
    with rig.running() as store:
        for n in range(50):
            store.put(alert_message(n))
        store.rows.serve()
        rows = take(rig, 20)
        for row in rows[:5]:
            store.ack(row, no_subscriber=False)
        store.rows.suspend(rows[5:])
        assert store.rows.next_row() is None
        store.rows.serve()
        assert numbers(take(rig, 45)) == list(range(5, 50))


def test_nothing_is_offered_twice_while_it_is_out(rig: OutboxRig) -> None:
    """Beginning anew without a disconnect leaves out what the publish thread still has."""
    with rig.running() as store:
        for n in range(10):
            store.put(alert_message(n))
        store.rows.serve()
        out = take(rig, 4)
        store.rows.serve()
        assert numbers(take(rig, 6)) == list(range(4, 10))
        store.rows.release(out[1])
        store.rows.serve()
        assert numbers(take(rig, 1)) == [1]


def test_parked_topics_are_passed_over(rig: OutboxRig) -> None:
    """A parked topic's rows wait, however many, while others flow; unparked they come in order."""
    with rig.running() as store:
        for n in range(300):
            store.put(alert_message(n))
        store.put(alert_message(1000, camera="c2"))
        store.rows.serve(parked=frozenset({ALERTS}))
        assert numbers(take(rig, 1)) == [1000]
        wait_until(lambda: store.drained)
        store.rows.serve()
        assert numbers(take(rig, 300)) == list(range(300))


def test_a_buried_row_goes_to_the_dead_letters(rig: OutboxRig) -> None:
    """A row that can never be delivered leaves the queue and is counted."""
    with rig.running() as store:
        store.put(alert_message(1))
        store.put(alert_message(2))
        store.rows.serve()
        store.bury(take(rig, 1)[0], "too large")
        assert numbers(take(rig, 1)) == [2]
    assert rig.stored() == [2]
    assert rig.health.status(0).dead == 1


def test_no_subscriber_is_counted(rig: OutboxRig) -> None:
    """An acknowledgement with reason 16 deletes the row and is counted (F43)."""
    with rig.running() as store:
        store.put(alert_message(1))
        store.rows.serve()
        store.ack(take(rig, 1)[0], no_subscriber=True)
    assert rig.stored() == []
    assert rig.health.status(0).no_subscriber == 1


def test_ids_are_reserved_before_ready(rig: OutboxRig) -> None:
    """The first id has the database's epoch, and no number is given again after a restart."""
    with rig.running():
        first = [rig.ids.next() for _ in range(3)]
    again = OutboxRig(rig.path.parent)
    with again.running():
        second = [again.ids.next() for _ in range(3)]
    epoch = first[0].split("-")[0]
    assert all(one.startswith(f"{epoch}-") for one in first + second)
    assert not set(first) & set(second)


def test_a_new_block_comes_before_the_old_is_used_up(rig: OutboxRig) -> None:
    """5,000 ids in a row all have the stored epoch when the disk keeps up."""
    with rig.running():
        epoch = rig.ids.next().split("-")[0]
        made = set()
        for n in range(5000):
            if n % 400 == 0:
                wait_until(lambda: not rig.ids.low)
            made.add(rig.ids.next())
    assert len(made) == 5000
    assert all(one.startswith(f"{epoch}-") for one in made)


def test_a_second_instance_is_refused(rig: OutboxRig) -> None:
    """The outbox's owner is named to the second one, whose stage fails (F63)."""
    other = OutboxRig(rig.path.parent)
    with rig.running(), pytest.raises(OutboxLocked), other.running():
        pass


def test_a_slow_disk_blocks_nobody(sick_rig: OutboxRig, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a commit hangs, 500 messages are put without a wait, and all are stored later (F79)."""
    release = threading.Event()
    monkeypatch.setattr(SickOutbox, "slow", release)
    with sick_rig.running() as store:
        store.put(alert_message(0))
        began = time.monotonic()
        for n in range(1, 500):
            store.put(alert_message(n))
        assert time.monotonic() - began < 1.0
        release.set()
    assert sick_rig.stored() == list(range(500))
    assert sick_rig.health.lost == 0


def test_past_the_bound_the_oldest_gives_way_and_is_counted(
    sick_rig: OutboxRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory holds 1,000 messages; with more the oldest go, exactly counted."""
    release = threading.Event()
    monkeypatch.setattr(SickOutbox, "slow", release)
    with sick_rig.running() as store:
        store.put(alert_message(0))
        wait_until(lambda: store._storing == 1)
        for n in range(1, QUEUE + 101):
            store.put(alert_message(n))
        assert sick_rig.health.lost == 100
        release.set()
    assert sick_rig.stored() == [0, *range(101, QUEUE + 101)]


def test_a_disk_that_fails_and_recovers_loses_nothing(
    sick_rig: OutboxRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While writes fail messages wait in memory and ``disk_full`` is a reason; then all are stored
    in order and the reason goes (F59).
    """
    failures = itertools.chain([False, True, True, True], itertools.repeat(False))
    monkeypatch.setattr(SickOutbox, "sick", staticmethod(lambda: next(failures)))
    with sick_rig.running() as store:
        store.put(alert_message(0))
        wait_until(lambda: store.accepted == 1)
        for n in range(1, 40):
            store.put(alert_message(n))
        wait_until(lambda: [r.code for r in sick_rig.health.reasons()] == ["disk_full"])
        wait_until(lambda: store.accepted == 40)
        wait_until(lambda: not sick_rig.health.reasons())
        store.rows.serve()
        assert numbers(take(sick_rig, 40)) == list(range(40))
    assert sick_rig.stored() == list(range(40))


def test_a_disk_that_never_recovers_fails_the_stage_at_the_stop(
    sick_rig: OutboxRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages that could not be stored make the stop a failure, not a silent loss."""
    monkeypatch.setattr(SickOutbox, "sick", staticmethod(lambda: True))
    stage = sick_rig.stage()
    stage.start()
    sick_rig.store.put(alert_message(0))
    wait_until(sick_rig.health.reasons)
    stop_all([stage], time.monotonic() + 5)
    with pytest.raises(OutboxError, match="disk is full"):
        stage.check()


def test_rows_of_a_replaced_database_are_never_deleted_by_old_acks(
    rig: OutboxRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the file was replaced, an acknowledgement of the old row 1 leaves the new row 1."""
    with rig.running() as store:
        store.put(alert_message(1))
        store.rows.serve()
        old = take(rig, 1)[0]
        store.rows.restart(replaced=True)  # what recovery does when the epoch has changed
        store.ack(old, no_subscriber=False)
    assert rig.stored() == [1]


def test_a_disk_that_takes_rows_and_deletes_none_stays_a_failure(
    sick_rig: OutboxRig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """While deleting fails ``disk_full`` stands, although opening works each time; it works again
    once, when the rows are really gone.
    """
    failures = itertools.chain([True] * 5, itertools.repeat(False))
    tried: list[float] = []

    def ack(self: Outbox, rows: Iterable[int], *, no_subscriber: int = 0) -> None:
        tried.append(time.monotonic())
        if next(failures):
            raise OutboxError("outbox.db: database or disk is full")
        Outbox.ack(self, rows, no_subscriber=no_subscriber)

    monkeypatch.setattr(SickOutbox, "sick", staticmethod(lambda: False))
    monkeypatch.setattr(SickOutbox, "ack", ack, raising=False)
    with caplog.at_level("WARNING"), sick_rig.running() as store:
        store.put(alert_message(1))
        store.rows.serve()
        store.ack(take(sick_rig, 1)[0], no_subscriber=False)
        wait_until(lambda: len(tried) == 6)
        wait_until(lambda: not sick_rig.health.reasons())
    assert caplog.text.count("works again") == 1
    assert caplog.text.count("wait in memory") == 1
    assert sick_rig.stored() == []
