"""The publish thread between a real outbox and a broker in memory."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge.errors import SinkError
from edge.messages import encode_availability, encode_reply
from edge.records import Command, Message
from tests.fakes import FakeSink, wait_until
from tests.helpers.stages import (
    ALERTS,
    STATION,
    OutboxRig,
    PublishRig,
    alert_message,
    number_of,
    running,
)

ONLINE = "linesight/n1/availability"


@pytest.fixture
def outbox(tmp_path: Path) -> OutboxRig:
    """A store on a real database."""
    return OutboxRig(tmp_path)


@contextmanager
def publishing(outbox: OutboxRig, sink: FakeSink) -> Iterator[PublishRig]:
    """Store and publisher at work; at the end the publisher stops first, at once."""
    with outbox.running():
        rig = PublishRig(outbox, sink)
        with running(rig.stage()):
            yield rig


def numbers(sink: FakeSink) -> list[int]:
    """The alerts that were sent, in order."""
    return [number_of(message) for message in sink.rows()]


def body(message: Message) -> dict[str, object]:
    """A message's JSON object."""
    found = json.loads(message.payload)
    assert isinstance(found, dict)
    return found


def latest(topic: str, payload: bytes = b"x") -> Message:
    """A retained message."""
    return Message(topic, payload, way="latest", retain=True)


def test_after_a_connect_state_comes_before_rows_and_online_last_of_it(outbox: OutboxRig) -> None:
    """Subscribe, then every retained slot, then ``online``, then the outbox's rows."""
    sink = FakeSink(reachable=False)
    with publishing(outbox, sink) as rig:
        for n in range(3):
            outbox.store.put(alert_message(n))
        rig.publisher.publish(latest("linesight/n1/info"))
        rig.publisher.publish(latest("linesight/n1/cam/c1/state"))
        wait_until(lambda: outbox.store.accepted == 3)
        assert sink.sent == []
        sink.connect()
        wait_until(lambda: len(sink.sent) == 6)
    assert sink.subscribed == [("linesight/n1/cmd/+", "linesight/n1/cam/+/cmd/+")]
    assert [message.topic for message in sink.sent] == [
        "linesight/n1/info",
        "linesight/n1/cam/c1/state",
        ONLINE,
        ALERTS,
        ALERTS,
        ALERTS,
    ]
    assert sink.sent[2].payload == b"online"
    assert sink.farewell == encode_availability(False, STATION)
    assert outbox.stored() == []


def test_rows_are_sealed_when_they_are_sent(outbox: OutboxRig) -> None:
    """The wire has seq, epoch and dropped_total; a row older than the connection is a replay."""
    sink = FakeSink(reachable=False)
    with publishing(outbox, sink):
        outbox.store.put(alert_message(1))
        wait_until(lambda: outbox.store.accepted == 1)
        sink.connect()
        wait_until(lambda: len(sink.rows()) == 1)
        outbox.store.put(alert_message(2))
        wait_until(lambda: len(sink.rows()) == 2)
    first, second = (body(message) for message in sink.rows())
    assert first["replayed"] is True
    assert "replayed" not in second
    assert (first["seq"], second["seq"]) == (1, 2)
    assert first["epoch"] == second["epoch"]
    assert second["dropped_total"] == 0


def test_only_an_acknowledgement_deletes_a_row(outbox: OutboxRig) -> None:
    """Rows that were sent and not acknowledged are still on disk after the stop."""
    sink = FakeSink(prompt=False)
    with publishing(outbox, sink):
        for n in range(5):
            outbox.store.put(alert_message(n))
        wait_until(lambda: len(sink.rows()) == 5)
    assert outbox.stored() == [0, 1, 2, 3, 4]


def test_the_window_is_kept_and_order_too(outbox: OutboxRig) -> None:
    """Never more in flight than the sink takes; every row comes once, in order."""
    sink = FakeSink(prompt=False, window=4)
    with publishing(outbox, sink):
        for n in range(50):
            outbox.store.put(alert_message(n))
        while len(sink.rows()) < 50:
            wait_until(lambda: sink.inflight)
            assert sink.inflight <= 4
            sink.acknowledge()
        wait_until(lambda: sink.acknowledge() == 0 and outbox.store.drained)
    assert numbers(sink) == list(range(50))


def test_what_was_in_flight_is_offered_again_from_the_oldest(outbox: OutboxRig) -> None:
    """After a disconnect everything unacknowledged comes again in order; duplicates are counted."""
    sink = FakeSink(prompt=False, window=10)
    with publishing(outbox, sink) as rig:
        for n in range(20):
            outbox.store.put(alert_message(n))
        wait_until(lambda: len(sink.rows()) == 9)  # one place is `online`'s
        sink.disconnect()
        wait_until(lambda: not rig.health.is_connected)
        sink.connect()
        wait_until(lambda: len(sink.rows()) == 18)
        wait_until(lambda: sink.acknowledge() >= 0 and len(sink.rows()) == 29)
        wait_until(lambda: sink.acknowledge() == 0 and outbox.store.drained)
    assert numbers(sink) == [*range(9), *range(20)]
    assert rig.health.duplicates_possible == 9
    assert rig.health.status().reconnects == 1
    assert outbox.stored() == []


def test_a_backlog_drains_without_a_new_alert(outbox: OutboxRig) -> None:
    """2,000 waiting rows go out by themselves after the connect (F47)."""
    sink = FakeSink(reachable=False)
    with publishing(outbox, sink):
        for start in range(0, 2000, 500):
            for n in range(start, start + 500):
                outbox.store.put(alert_message(n))
            wait_until(lambda start=start: outbox.store.accepted == start + 500)  # type: ignore[misc]
        sink.connect()
        wait_until(lambda: len(sink.rows()) == 2000)
    assert numbers(sink) == list(range(2000))
    assert outbox.health.lost == 0


def test_a_forbidden_topic_is_parked_and_others_flow(
    outbox: OutboxRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reason 135 keeps the rows, names the topic in the health, lets other topics pass, and is
    tried again later (F42).
    """
    monkeypatch.setattr("edge.pipeline.publish.PARK_S", 0.3)
    forbidden = [True]
    sink = FakeSink(
        answer=lambda message: 135 if message.topic == ALERTS and forbidden[0] else 0,
    )
    with publishing(outbox, sink) as rig:
        for n in range(30):
            outbox.store.put(alert_message(n))
        outbox.store.put(alert_message(100, camera="c2"))
        wait_until(lambda: 100 in numbers(sink))
        assert [reason.code for reason in rig.health.reasons()] == ["not_authorized"]
        assert ALERTS in rig.health.reasons()[0].detail
        forbidden[0] = False
        sink.sent.clear()
        wait_until(lambda: numbers(sink)[-1:] == [29])
        wait_until(lambda: not rig.health.reasons())
    assert numbers(sink) == list(range(30))
    assert outbox.stored() == []


def test_a_refusal_that_will_never_change_buries_the_row(outbox: OutboxRig) -> None:
    """Reason 153 moves the row to the dead letters and the next one is delivered."""
    sink = FakeSink(answer=lambda m: 153 if m.id and m.id.endswith("-1") else 0)
    with publishing(outbox, sink):
        for n in range(3):
            outbox.store.put(alert_message(n))
        wait_until(lambda: len(sink.rows()) == 3)
        wait_until(lambda: outbox.health.status(0).dead == 1)
    assert outbox.stored() == []


def test_an_oversize_row_is_buried_and_blocks_nothing(outbox: OutboxRig) -> None:
    """What the sink can never send goes to the dead letters; the next row is sent (F45)."""
    sink = FakeSink(
        answer=lambda m: SinkError("larger than 4096 bytes") if m.id and m.id.endswith("-1") else 0
    )
    with publishing(outbox, sink):
        for n in range(3):
            outbox.store.put(alert_message(n))
        wait_until(lambda: numbers(sink) == [0, 2])
        wait_until(lambda: outbox.health.status(0).dead == 1)
    assert outbox.stored() == []


def test_no_subscriber_is_an_acknowledgement_that_is_counted(outbox: OutboxRig) -> None:
    """Reason 16 deletes the row and shows in the counters (F43)."""
    sink = FakeSink(answer=lambda message: 16)
    with publishing(outbox, sink):
        outbox.store.put(alert_message(1))
        wait_until(lambda: outbox.health.status(0).no_subscriber == 1)
    assert outbox.stored() == []


def test_a_retained_slot_holds_the_newest_value(outbox: OutboxRig) -> None:
    """While not connected only the last value of a topic is kept, and sent after each connect."""
    sink = FakeSink(reachable=False)
    with publishing(outbox, sink) as rig:
        for n in range(5):
            rig.publisher.publish(latest("linesight/n1/health", b"%d" % n))
        sink.connect()
        wait_until(lambda: len(sink.sent) == 2)
        sink.disconnect()
        sink.connect()
        wait_until(lambda: len(sink.sent) == 4)
    health = [m.payload for m in sink.sent if m.topic == "linesight/n1/health"]
    assert health == [b"4", b"4"]


def test_a_transient_message_is_dropped_when_not_connected(outbox: OutboxRig) -> None:
    """A reply goes out when connected and is never sent late."""
    reply = encode_reply(Command("ping", "t", None, {}, None, None, 0), STATION, ok=True, code="ok")
    sink = FakeSink(reachable=False)
    with publishing(outbox, sink) as rig:
        rig.publisher.publish(reply)
        sink.connect()
        wait_until(lambda: rig.health.is_connected)
        rig.publisher.publish(latest("linesight/n1/health"))
        wait_until(lambda: len(sink.sent) == 2)
        rig.publisher.publish(reply)
        wait_until(lambda: len(sink.sent) == 3)
    assert [message.topic for message in sink.sent].count(reply.topic) == 1


def test_a_command_reaches_the_inbox_and_junk_is_counted(outbox: OutboxRig) -> None:
    """A ping is queued with its txn; junk is refused by code and ends nothing (F89)."""
    sink = FakeSink()
    with publishing(outbox, sink) as rig:
        sink.receive("linesight/n1/cmd/ping", b"\xff{")
        sink.receive("linesight/n1/cmd/format_disk", b"{}")
        sink.receive("linesight/n1/cmd/ping", b'{"txn": "t1"}', response_topic="me/here")
        sink.receive("linesight/n1/cmd/ping", b'{"txn": "t1"}')
        wait_until(lambda: sum(rig.inbox.refused.values()) == 3)
        command = rig.inbox.get()
    assert command is not None
    assert (command.txn, command.response_topic) == ("t1", "me/here")
    assert rig.inbox.get() is None
    assert rig.inbox.refused == {"junk": 1, "unknown_verb": 1, "replayed": 1}


def test_a_stop_drains_what_waits(outbox: OutboxRig) -> None:
    """Asked to stop, a connected publisher sends the rest and then says offline."""
    sink = FakeSink(prompt=False)
    with outbox.running():
        rig = PublishRig(outbox, sink)
        with running(rig.stage()) as stage:
            wait_until(lambda: rig.health.is_connected)
            for n in range(40):
                outbox.store.put(alert_message(n))
            rig.publisher.drain_until = time.monotonic() + 10
            stage.request_stop()
            while stage.alive:
                sink.acknowledge()
                time.sleep(0.002)
    assert numbers(sink) == list(range(40))
    assert outbox.stored() == []
    assert sink.farewell is not None


def test_a_stop_without_a_broker_does_not_wait(outbox: OutboxRig) -> None:
    """When the broker is known to be away, a stop leaves the rest on disk at once."""
    sink = FakeSink(reachable=False)
    with outbox.running():
        rig = PublishRig(outbox, sink)
        stage = rig.stage()
        with running(stage):
            outbox.store.put(alert_message(1))
            wait_until(rig.health.reasons)
            rig.publisher.drain_until = time.monotonic() + 60
            began = time.monotonic()
        assert time.monotonic() - began < 1
    assert outbox.stored() == [1]


def test_a_stop_ends_at_its_deadline(outbox: OutboxRig) -> None:
    """A broker that acknowledges nothing cannot hold the stop beyond ``drain_until``."""
    sink = FakeSink(prompt=False)
    with outbox.running():
        rig = PublishRig(outbox, sink)
        with running(rig.stage()):
            outbox.store.put(alert_message(1))
            wait_until(lambda: sink.rows())
            rig.publisher.drain_until = time.monotonic() + 0.3
            began = time.monotonic()
        assert 0.1 < time.monotonic() - began < 2
    assert outbox.stored() == [1]


def test_the_time_to_the_acknowledgement_is_measured(outbox: OutboxRig) -> None:
    """``puback_ms`` is capture to PUBACK, of alerts of this connection only."""
    sink = FakeSink(prompt=False)
    with publishing(outbox, sink) as rig:
        wait_until(lambda: rig.health.is_connected)
        outbox.store.put(alert_message(1))
        wait_until(sink.rows)
        time.sleep(0.05)
        sink.acknowledge()
        wait_until(lambda: rig.health.puback_ms._values)
        percentiles = rig.health.puback_ms.drain()[1]
    assert percentiles is not None
    assert 50 <= percentiles.p50 < 5000
