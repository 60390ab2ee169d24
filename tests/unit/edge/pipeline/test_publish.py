"""The publish thread between a real outbox and a broker in memory."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from edge.errors import MessageRefused, SinkError
from edge.messages import encode_availability, encode_reply
from edge.protocols import Delivered, Refused
from edge.records import Command, Message
from tests.fakes import FakeSink, wait_until
from tests.helpers.stages import (
    ALERTS,
    STATION,
    OutboxRig,
    PublishRig,
    alert_message,
    number_of,
    numbers,
    publishing,
    running,
)

ONLINE = "linesight/n1/availability"


@pytest.fixture
def outbox(tmp_path: Path) -> OutboxRig:
    """A store on a real database."""
    return OutboxRig(tmp_path)


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
        answer=lambda m: MessageRefused("4097 bytes") if m.id and m.id.endswith("-1") else 0
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


def test_a_command_reaches_the_inbox_and_junk_does_not(outbox: OutboxRig) -> None:
    """A ping is queued with its txn; what is refused ends nothing (F89)."""
    sink = FakeSink()
    with publishing(outbox, sink) as rig:
        sink.receive("linesight/n1/cmd/ping", b"\xff{")
        sink.receive("linesight/n1/cmd/format_disk", b"{}")
        sink.receive("linesight/n1/cmd/ping", b'{"txn": "t1"}', response_topic="me/here")
        sink.receive("linesight/n1/cmd/ping", b'{"txn": "t1"}')
        wait_until(lambda: any("/reply/" in message.topic for message in sink.sent))
        command = rig.inbox.get()
    assert command is not None
    assert (command.txn, command.response_topic) == ("t1", "me/here")
    assert rig.inbox.get() is None
    [reply] = [json.loads(m.payload) for m in sink.sent if "/reply/" in m.topic]
    assert (reply["txn"], reply["code"]) == ("t1", "replayed")


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


def test_what_waited_for_a_connection_is_no_time_to_the_acknowledgement(outbox: OutboxRig) -> None:
    """The twin: rows of before a restart, of an outage, and those that were in flight when it
    began are delivered and not counted; the next alert of the connection is.
    """
    sink = FakeSink(reachable=False, prompt=False)
    with outbox.running():
        outbox.store.put(alert_message(1))  # a run of before left it
        wait_until(lambda: outbox.store.accepted == 1)
        rig = PublishRig(outbox, sink)
        with running(rig.stage()):
            sink.connect()
            wait_until(lambda: numbers(sink) == [1])
            wait_until(lambda: sink.acknowledge() == 0 and outbox.store.drained)
            outbox.store.put(alert_message(2))
            wait_until(lambda: numbers(sink) == [1, 2])
            sink.disconnect()  # 2 is in flight
            wait_until(lambda: not rig.health.is_connected)
            outbox.store.put(alert_message(3))
            wait_until(lambda: outbox.store.accepted == 3)
            sink.connect()
            wait_until(lambda: numbers(sink) == [1, 2, 2, 3])
            wait_until(lambda: sink.acknowledge() == 0 and outbox.store.drained)
            assert rig.health.puback_ms.look() == (0, None)
            outbox.store.put(alert_message(4))
            wait_until(lambda: numbers(sink)[-1] == 4)
            wait_until(lambda: sink.acknowledge() >= 0 and rig.health.puback_ms.look()[0])
    assert rig.health.puback_ms.drain()[0] == 1
    assert outbox.stored() == []


def test_the_message_behind_a_gap_announces_it(outbox: OutboxRig) -> None:
    """Rows were read ahead when one before them was buried; the next one that is sent says so."""
    too_large = {3, 4}
    sink = FakeSink(
        answer=lambda m: (
            MessageRefused("too large") if m.way == "outbox" and number_of(m) in too_large else 0
        )
    )
    with outbox.running():
        for n in range(1, 41):
            outbox.store.put(alert_message(n))
        wait_until(lambda: outbox.store.accepted == 40)
        rig = PublishRig(outbox, sink)
        with running(rig.stage()):
            wait_until(lambda: numbers(sink)[-1:] == [40])
        wait_until(lambda: outbox.health.status(0).dead == 2)
        assert outbox.store.dropped_total(ALERTS) == 2
    found = [(body(m)["seq"], body(m)["dropped_total"]) for m in sink.rows()]
    assert found == [(1, 0), (2, 0), *((n, 2) for n in range(5, 41))]


def test_a_broken_sink_ends_the_stage_and_buries_nothing(outbox: OutboxRig) -> None:
    """What says that nothing can be sent any more ends the thread; every row stays on disk."""
    broken = SinkError("standard output: Broken pipe")
    sink = FakeSink(answer=lambda m: broken if m.way == "outbox" else 0)
    with outbox.running():
        outbox.store.put(alert_message(1))
        outbox.store.put(alert_message(2))
        stage = PublishRig(outbox, sink).stage()
        with pytest.raises(SinkError, match="Broken pipe"), running(stage):
            wait_until(lambda: not stage.alive)
    assert outbox.stored() == [1, 2]
    assert outbox.health.status(0).dead == 0


@pytest.mark.parametrize(
    "payload",
    [
        b"[1]",
        b'{"clock": {}, "mono_ns": 1}',
        b'{"clock": 3, "mono_ns": 1}',
        b'{"clock": {"synced": false}}',
        b'{"clock": {"synced": false}, "mono_ns": "x"}',
        b"[" * 60_000,
    ],
)
def test_a_damaged_row_is_buried_and_the_next_is_sent(outbox: OutboxRig, payload: bytes) -> None:
    """Whatever stands in a row, the publish thread goes on with the next one."""
    sink = FakeSink()
    with publishing(outbox, sink):
        outbox.store.put(replace(alert_message(1), payload=payload))
        outbox.store.put(alert_message(2))
        wait_until(lambda: numbers(sink) == [2])
        wait_until(lambda: outbox.health.status(0).dead == 1)
    assert outbox.stored() == []


def test_the_cause_of_being_disconnected_is_followed(
    outbox: OutboxRig, caplog: pytest.LogCaptureFixture
) -> None:
    """Each new cause is logged once and is the one connection reason of the health."""
    sink = FakeSink(reachable=False)

    def codes(rig: PublishRig) -> list[str]:
        return [reason.code for reason in rig.health.reasons()]

    with caplog.at_level("WARNING"), publishing(outbox, sink) as rig:
        wait_until(lambda: codes(rig) == ["broker_unreachable"])
        for _ in range(3):
            sink.disconnect("wrong password", "not_authorized")
        wait_until(lambda: codes(rig) == ["not_authorized"])
        sink.disconnect("certificate has expired", "tls_failed")
        wait_until(lambda: codes(rig) == ["tls_failed"])
        sink.connect()
        wait_until(lambda: codes(rig) == [])
        sink.disconnect("certificate has expired", "tls_failed")
        wait_until(lambda: codes(rig) == ["tls_failed"])
    told = [r.getMessage().rpartition(": ")[2] for r in caplog.records if "not connected" in r.msg]
    assert told == ["no broker", "wrong password", *["certificate has expired"] * 2]


@pytest.mark.parametrize("reason", [135, 151])
def test_refused_state_is_sent_again(
    outbox: OutboxRig, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    """A retained slot that the broker refused is offered again later, without a reconnect."""
    monkeypatch.setattr("edge.pipeline.publish.PARK_S", 0.2)
    monkeypatch.setattr("edge.pipeline.publish.PARK_OTHER_S", 0.2)
    topic = "linesight/n1/cam/c1/state"
    answers = {topic: [reason, reason]}
    asked: list[str] = []

    def answer(message: Message) -> int:
        asked.append(message.topic)
        return answers[message.topic].pop() if answers.get(message.topic) else 0

    class Settling(FakeSink):
        def _settle(self, token: int, message: Message) -> None:
            code = answer(message)
            self._events.append(Delivered(token, code) if code < 128 else Refused(token, code))

    sink = Settling()
    with publishing(outbox, sink) as rig:
        rig.publisher.publish(latest(topic))
        wait_until(lambda: asked.count(topic) == 3)
        wait_until(lambda: not rig.health.reasons())
        assert not rig.publisher._again
    assert sink.connected is False
    assert asked.count(topic) == 3
