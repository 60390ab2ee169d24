"""kill -9 of the broker in the middle of a backlog (F39, F44): no row is lost."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from edge.messages import SealContext, encode_alert, seal
from edge.outbox import Outbox
from edge.protocols import Connected, Delivered, Disconnected
from edge.sinks.mqtt import MqttSettings, MqttSink
from tests.helpers.alerts import ALERT, STATION
from tests.helpers.broker import Broker, Subscriber

ROWS = 400
CONTEXT = SealContext("boot", clock_synced=True, connected_since_mono_ns=0, wall_offset_ns=0)


def drain(outbox: Outbox, sink: MqttSink, broker: Broker, *, early: bool) -> None:
    """Send every row as the publish thread does, while the broker is killed three times.

    Each time ten messages are on the way: written to the socket, not yet read by the broker.
    ``early`` breaks the guarantee: a row is deleted when it is sent, not when it is acknowledged.
    """
    kills = [ROWS // 4, ROWS // 2, 3 * ROWS // 4]
    sent = after = 0
    connected = False
    in_flight: dict[int, int] = {}
    deadline = time.monotonic() + 60.0
    sink.open()
    while outbox.counters().rows and time.monotonic() < deadline:
        due = bool(kills) and sent >= kills[0]
        kill = due and connected and not in_flight
        if kill:
            kills.pop(0)
            broker.settle()
            broker.pause()
        for row in [] if due and not kill else outbox.peek(10, after):
            token = sink.send(replace(row.message, payload=seal(row, CONTEXT)))
            if token is None:
                break
            in_flight[token] = row.row
            after = row.row
            sent += 1
            if early:
                outbox.ack([row.row])
        if kill:
            broker.restart()
        for event in sink.poll(0.2):
            match event:
                case Delivered():
                    outbox.ack([in_flight.pop(event.token)])
                case Connected() | Disconnected():
                    connected = isinstance(event, Connected)
                    in_flight.clear()
                    after = 0
    assert not kills
    assert outbox.counters().rows == 0


def lost(directory: Path, *, early: bool) -> int:
    """How many of the alerts never reached a subscriber with a persistent session."""
    outbox = Outbox.open(directory / "outbox.db", boot_id="boot")
    alerts = [replace(ALERT, id=f"{outbox.epoch}-{number}", rev=1) for number in range(ROWS)]
    outbox.append([encode_alert(alert, STATION, encoded_ns=10**10) for alert in alerts])
    topic = STATION.topics.alert(ALERT.header.camera)
    with (
        Broker(directory, durable=True) as broker,
        Subscriber(broker.port, topic, client_id="keeper") as subscriber,
    ):
        sink = MqttSink(MqttSettings("127.0.0.1", "sut", broker.port))
        try:
            drain(outbox, sink, broker, early=early)
        finally:
            sink.close(1.0)
            outbox.close()
        with Subscriber(broker.port) as last:
            last.publish(topic, b"the end")
        heard = subscriber.wait_for(lambda got: any(one.text == "the end" for one in got))
    wanted = [alert.id for alert in alerts]
    first_time = list(dict.fromkeys(one for one in (_id(m.text) for m in heard) if one))
    assert first_time == [one for one in wanted if one in set(first_time)], "out of order"
    return ROWS - len(first_time)


def _id(text: str) -> str | None:
    return text.split('"id":"', 1)[1].split('"', 1)[0] if '"id":"' in text else None


def test_no_row_is_lost(tmp_path: Path) -> None:
    """After three kills of the broker every alert has arrived, in order."""
    assert lost(tmp_path, early=False) == 0


def test_deleting_early_is_caught(tmp_path: Path) -> None:
    """The twin: deleting rows when they are sent is found to lose some."""
    assert lost(tmp_path, early=True) > 0
