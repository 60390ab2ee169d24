"""Rows that stay until their consumer has confirmed them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge.inbox import CommandRefused, parse_ack
from edge.records import Confirmation
from tests.fakes import FakeSink, wait_until
from tests.helpers.stages import (
    ALERTS,
    STATION,
    OutboxRig,
    alert_message,
    numbers,
    publishing,
)

ACK = "linesight/n1/cmd/ack"


@pytest.fixture
def outbox(tmp_path: Path) -> OutboxRig:
    """A store on a real database."""
    return OutboxRig(tmp_path)


def confirm(sink: FakeSink, seq: int, *, topic: str = ALERTS, epoch: str | None = None) -> None:
    """A consumer confirms what it has, up to a number."""
    own: dict[str, Any] = json.loads(sink.rows()[0].payload)
    body = {"epoch": epoch or own["epoch"], "topic": topic, "seq": seq}
    sink.receive(ACK, json.dumps(body).encode())


def test_what_is_confirmed_leaves_the_disk(outbox: OutboxRig) -> None:
    """Everything of the topic up to the number; the broker's word alone deletes nothing."""
    sink = FakeSink()
    with publishing(outbox, sink, app_ack=True):
        for n in range(10):
            outbox.store.put(alert_message(n))
        outbox.store.put(alert_message(100, camera="c2"))
        wait_until(lambda: len(sink.rows()) == 11)
        confirm(sink, 6)
        wait_until(lambda: outbox.health.status(0).rows == 5, timeout_s=5.0)
    assert outbox.stored() == [6, 7, 8, 9, 100]


def test_the_brokers_word_is_enough_by_default(outbox: OutboxRig) -> None:
    """The twin: without ``ack = "app"`` rows leave with their PUBACK, and an ack is no command."""
    sink = FakeSink()
    with publishing(outbox, sink):
        for n in range(3):
            outbox.store.put(alert_message(n))
        wait_until(lambda: len(sink.rows()) == 3)
        confirm(sink, 1)
        wait_until(lambda: outbox.store.drained)
    assert outbox.stored() == []


def test_rows_come_again_after_a_connect(outbox: OutboxRig) -> None:
    """Unconfirmed ones, in their order: what a broker has acknowledged and forgot is not lost."""
    sink = FakeSink()
    with publishing(outbox, sink, app_ack=True) as rig:
        for n in range(5):
            outbox.store.put(alert_message(n))
        wait_until(lambda: len(sink.rows()) == 5)
        confirm(sink, 2)
        wait_until(lambda: outbox.health.status(0).rows == 3, timeout_s=5.0)
        sink.disconnect()
        wait_until(lambda: not rig.health.is_connected)
        sink.connect()
        wait_until(lambda: len(sink.rows()) == 8)
    assert numbers(sink) == [0, 1, 2, 3, 4, 2, 3, 4]


def test_rows_come_again_when_nobody_confirms(
    outbox: OutboxRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A while after their PUBACK, over the same connection, and not before."""
    monkeypatch.setattr("edge.pipeline.publish.CONFIRM_S", 0.5)
    monkeypatch.setattr("edge.pipeline.publish.LOOK_AGAIN_S", 0.05)
    monkeypatch.setattr("edge.pipeline.publish.POLL_S", 0.05)
    sink = FakeSink()
    with publishing(outbox, sink, app_ack=True):
        outbox.store.put(alert_message(1))
        wait_until(lambda: len(sink.rows()) == 1)
        outbox.store.put(alert_message(2))
        wait_until(lambda: len(sink.rows()) == 2)
        assert numbers(sink) == [1, 2]
        wait_until(lambda: len(sink.rows()) >= 4)
        confirm(sink, 2)
        wait_until(lambda: outbox.health.status(0).rows == 0, timeout_s=5.0)
    assert numbers(sink)[:4] == [1, 2, 1, 2]


def test_new_rows_go_on_while_old_ones_rest(outbox: OutboxRig) -> None:
    """A consumer that is away holds up nobody: more rows than are read ahead at once go out."""
    sink = FakeSink()
    with publishing(outbox, sink, app_ack=True):
        for n in range(300):
            outbox.store.put(alert_message(n))
        wait_until(lambda: len(sink.rows()) == 300)
        confirm(sink, 299)
        wait_until(lambda: outbox.health.status(0).rows == 1, timeout_s=5.0)
    assert numbers(sink) == list(range(300))


def test_rested_rows_do_not_hold_up_new_ones(
    outbox: OutboxRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many nobody confirms, and however soon they have rested: what was never sent goes
    first.
    """
    monkeypatch.setattr("edge.pipeline.publish.CONFIRM_S", 0.01)
    monkeypatch.setattr("edge.pipeline.publish.LOOK_AGAIN_S", 0.0)
    sink = FakeSink()
    with publishing(outbox, sink, app_ack=True):
        for start in range(0, 2000, 500):
            for n in range(start, start + 500):
                outbox.store.put(alert_message(n))
            wait_until(lambda start=start: outbox.store.accepted == start + 500)  # type: ignore[misc]
        wait_until(lambda: 1999 in numbers(sink), timeout_s=20.0)
        sent = numbers(sink)
    assert list(dict.fromkeys(sent)) == list(range(2000))


def test_a_topic_without_a_consumer_is_held_back(
    outbox: OutboxRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PUBACK 16: nobody took it. It is tried again by itself, alone, and others of its topic do not
    overtake it; another topic flows.
    """
    monkeypatch.setattr("edge.pipeline.publish.NO_CONSUMER_S", 0.1)
    there = [False]
    sink = FakeSink(answer=lambda one: 16 if one.topic == ALERTS and not there[0] else 0)
    with publishing(outbox, sink, app_ack=True):
        for n in range(20):
            outbox.store.put(alert_message(n))
        outbox.store.put(alert_message(100, camera="c2"))
        wait_until(lambda: 100 in numbers(sink) and numbers(sink).count(0) >= 3)
        assert set(numbers(sink)) == {0, 100}
        there[0] = True
        wait_until(lambda: 19 in numbers(sink))
    own = [n for n in numbers(sink) if n != 100]
    assert own[own.index(1) - 1 :] == list(range(20))


def test_a_stream_of_confirmations_does_not_hold_up_alerts(outbox: OutboxRig) -> None:
    """Thousands of them are one each for epoch and topic, and what comes in is stored between."""
    with outbox.running() as store:
        for n in range(500):
            store.put(alert_message(n))
        wait_until(lambda: store.accepted == 500)
        for n in range(20_000):
            store.confirm(Confirmation("f" * 16, ALERTS, n + 1))
            store.confirm(Confirmation("e" * 16, f"{ALERTS}/{n}", 1))
        store.put(alert_message(1000))
        wait_until(lambda: store.accepted == 501, timeout_s=5.0)
        assert len(store._confirmations) <= 1000


@pytest.mark.parametrize("other", ["f" * 16, ""])
def test_another_epoch_confirms_nothing(outbox: OutboxRig, other: str) -> None:
    """Its numbers mean other messages."""
    sink = FakeSink()
    with publishing(outbox, sink, app_ack=True):
        for n in range(3):
            outbox.store.put(alert_message(n))
        wait_until(lambda: len(sink.rows()) == 3)
        sink.receive(ACK, json.dumps({"epoch": other, "topic": ALERTS, "seq": 3}).encode())
        confirm(sink, 1)
        wait_until(lambda: outbox.health.status(0).rows == 2, timeout_s=5.0)
    assert outbox.stored() == [1, 2]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"junk",
        b"[]",
        b'{"epoch": "a", "topic": "t"}',
        b'{"epoch": "a", "topic": "t", "seq": "3"}',
        b'{"epoch": "a", "topic": "linesight/n1/x", "seq": true}',
        b'{"epoch": "a", "topic": "linesight/n1/x", "seq": false}',
        b'{"epoch": "a", "topic": "linesight/n1/x", "seq": 0}',
        b'{"epoch": "a", "topic": "linesight/n1/x", "seq": -100000000000000000000000}',
        b'{"epoch": "a", "topic": "linesight/n1/x", "seq": 100000000000000000000000}',
        b'{"epoch": "a", "topic": "linesight/n1/\\ud800", "seq": 1}',
        b'{"epoch": "a", "topic": "linesight/n2/x", "seq": 1}',
        b'{"epoch": 5, "topic": "t", "seq": 3}',
        b"[" * 100,
        b" " * 70_000,
    ],
)
def test_what_is_no_confirmation_is_refused(payload: bytes) -> None:
    """F89: it confirms nothing, and the thread that reads it goes on."""
    with pytest.raises(CommandRefused):
        parse_ack(payload, STATION.topics)


def test_a_confirmation_names_epoch_topic_and_number() -> None:
    """More keys than these are left alone."""
    body = {"epoch": "a", "topic": ALERTS, "seq": 3, "who": "qa"}
    payload = json.dumps(body).encode()
    assert parse_ack(payload, STATION.topics) == Confirmation("a", ALERTS, 3)


def test_junk_on_the_topic_harms_nothing(outbox: OutboxRig) -> None:
    """Numbers that no database holds and bytes that are no JSON: the next one still counts."""
    sink = FakeSink()
    with publishing(outbox, sink, app_ack=True):
        outbox.store.put(alert_message(1))
        wait_until(lambda: len(sink.rows()) == 1)
        for payload in (b"\xff", b"{}", b'{"epoch": "x", "topic": "t", "seq": -5}'):
            sink.receive(ACK, payload)
        confirm(sink, 2**62)
        wait_until(lambda: outbox.health.status(0).rows == 0, timeout_s=5.0)
    assert outbox.stored() == []
