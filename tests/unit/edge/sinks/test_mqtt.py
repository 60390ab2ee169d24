"""The MQTT sink against a real mosquitto."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from edge.errors import BrokerRefused, BrokerUnreachable, ConfigError, MessageRefused
from edge.protocols import Connected, Delivered, Disconnected, Received, Refused
from edge.records import Message, ReasonCode
from edge.sinks.mqtt import MqttSettings, MqttSink
from edge.sinks.probe import probe
from tests.helpers.broker import Broker, Subscriber, free_port
from tests.helpers.scripted import (
    CONNACK,
    CONNACK_ONE_AT_A_TIME,
    ScriptedBroker,
    connack,
    disconnect,
)
from tests.helpers.sinks import connect, message, poll_until

WILL = Message("s/n/availability", b"offline", way="latest", retain=True)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A durable broker."""
    with Broker(tmp_path, durable=True) as running:
        yield running


class NewSink(Protocol):
    """Makes sinks that are closed when the test ends, however it ends."""

    def __call__(self, settings: MqttSettings, will: Message | None = None) -> MqttSink: ...


@pytest.fixture
def new_sink() -> Iterator[NewSink]:
    """See ``NewSink``."""
    with contextlib.ExitStack() as stack:

        def make(settings: MqttSettings, will: Message | None = None) -> MqttSink:
            sink = MqttSink(settings, will)
            stack.callback(sink.close, 1.0)
            return sink

        yield make


class Always(random.Random):
    """No chance at all: 0 for the shortest delays, 1 for the longest."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self._value = value

    def random(self) -> float:
        return self._value


def settings(broker: Broker, client_id: str = "sut", **more: object) -> MqttSettings:
    """How to reach the broker."""
    return MqttSettings("127.0.0.1", client_id, broker.port, **more)  # type: ignore[arg-type]


def test_window_is_the_brokers(new_sink: NewSink, tmp_path: Path) -> None:
    """With a Receive Maximum of 1 no second message leaves before the first is acknowledged."""
    with Broker(tmp_path, ["max_inflight_messages 1"]) as broker:
        sink = new_sink(settings(broker))
        assert connect(sink).receive_maximum == 1
        for _ in range(3):
            token = sink.send(message("t"))
            assert token is not None
            assert sink.send(message("t")) is None
            poll_until(sink, lambda event, token=token: event == Delivered(token, 16))  # type: ignore[misc]


def test_window_is_ten(new_sink: NewSink, broker: Broker) -> None:
    """With a patient broker at most ten messages are in flight."""
    sink = new_sink(settings(broker))
    assert connect(sink).receive_maximum == 10
    broker.pause()
    sent = [sink.send(message("t", str(number))) for number in range(12)]
    assert [token is None for token in sent] == [False] * 10 + [True] * 2
    broker.resume()
    poll_until(sink, lambda event: isinstance(event, Delivered) and event.token == sent[9])
    assert sink.send(message("t")) is not None


def test_broker_killed_and_back(new_sink: NewSink, broker: Broker) -> None:
    """A killed broker gives ``Disconnected``, its return ``Connected``; nothing is sent again."""
    with Subscriber(broker.port, "t", client_id="keeper") as subscriber:
        sink = new_sink(settings(broker))
        connect(sink)
        broker.pause()
        assert sink.send(message("t", "in flight")) is not None
        broker.kill()
        events = poll_until(sink, lambda event: isinstance(event, Disconnected))
        assert not any(isinstance(event, Delivered) for event in events)
        assert sink.send(message("t", "not connected")) is None
        broker.start()
        poll_until(sink, lambda event: isinstance(event, Connected))
        last = sink.send(message("t", "after"))
        poll_until(sink, lambda event: isinstance(event, Delivered) and event.token == last)
        subscriber.wait_for(lambda messages: any(m.text == "after" for m in messages))
        assert [m.text for m in subscriber.messages] == ["after"]


def test_paho_alone_sends_again(broker: Broker) -> None:
    """The twin: paho with its own queue, which we do not use, sends an old message again."""
    with Subscriber(broker.port, "t", client_id="keeper") as subscriber:
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id="alone")
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        client.publish("t", "before", qos=1).wait_for_publish(10.0)
        broker.pause()
        client.publish("t", "in flight", qos=1)
        broker.kill()
        broker.start()
        subscriber.wait_for(lambda messages: [m.text for m in messages][1:] == ["in flight"])
        client.disconnect()
        client.loop_stop()


def test_never_two_connects_within_a_second(new_sink: NewSink, tmp_path: Path) -> None:
    """While nobody listens, attempts are at least 1 s apart, and each says why it failed."""
    sink = new_sink(MqttSettings("127.0.0.1", "sut", free_port()))
    sink.open()
    moments = []
    for _ in range(3):
        events = poll_until(sink, lambda event: isinstance(event, Disconnected))
        moments.append(time.monotonic())
        assert isinstance(events[0], Disconnected)
        assert "connection refused" in events[0].reason
        assert events[0].code == "broker_unreachable"
    assert all(later - earlier >= 1.0 for earlier, later in itertools.pairwise(moments))


def test_forbidden_topic_is_refused(new_sink: NewSink, tmp_path: Path) -> None:
    """A topic that the access list forbids gives ``Refused`` with reason 135."""
    acl = tmp_path / "acl"
    acl.write_text("topic write allowed\n")
    with Broker(tmp_path, [f"acl_file {acl}"]) as broker:
        sink = new_sink(settings(broker))
        connect(sink)
        token = sink.send(message("forbidden"))
        assert token is not None
        assert poll_until(sink, lambda event: isinstance(event, Refused)) == [Refused(token, 135)]
        token = sink.send(message("allowed"))
        assert poll_until(sink, lambda event: isinstance(event, Delivered)) == [
            Delivered(token or 0, 16)
        ]


@pytest.mark.parametrize("limit", [100, 129, 130, 131, 16386, 16387, 16388])
def test_limit_is_exact(new_sink: NewSink, tmp_path: Path, limit: int) -> None:
    """The largest packet within the broker's limit passes, one byte more is refused at once."""

    def packet(size: int) -> int:
        rest = 2 + len("topic") + 2 + 1 + size  # topic, packet id, property length, payload
        return 1 + (1 if rest < 128 else 2 if rest < 16384 else 3) + rest

    largest = max(size for size in range(limit) if packet(size) <= limit)
    with Broker(tmp_path, [f"max_packet_size {limit}"]) as broker:
        sink = new_sink(settings(broker))
        assert connect(sink).max_packet == limit
        with pytest.raises(MessageRefused, match=f"topic: {packet(largest + 1)} bytes"):
            sink.send(message("topic", "x" * (largest + 1)))
        token = sink.send(message("topic", "x" * largest))
        poll_until(sink, lambda event: event == Delivered(token or 0, 16))


@pytest.mark.parametrize("topic", ["", "a/+", "a/#", "a\0b", "x" * 65536])
def test_impossible_topic(new_sink: NewSink, broker: Broker, topic: str) -> None:
    """A topic that MQTT cannot publish to is refused here and the connection stays."""
    sink = new_sink(settings(broker))
    connect(sink)
    with pytest.raises(MessageRefused, match="not a topic"):
        sink.send(message(topic))
    assert sink.send(message("t")) is not None


def test_expiry_and_response_data_travel(new_sink: NewSink, broker: Broker) -> None:
    """Expiry and correlation data of a message reach the subscriber as MQTT 5 properties."""
    with Subscriber(broker.port, "t") as subscriber:
        sink = new_sink(settings(broker))
        connect(sink)
        sent = Message(
            "t", b"{}", way="transient", expiry_s=60, properties={"correlation_data": "beef"}
        )
        sink.send(sent)
        sink.poll(1.0)
        [heard] = subscriber.wait_for(lambda messages: len(messages) == 1)
        assert heard.properties["MessageExpiryInterval"] in (59, 60)
        assert heard.properties["CorrelationData"] == "beef"


def test_receives_with_marks(new_sink: NewSink, broker: Broker) -> None:
    """A message comes in with its response data; retained ones are marked, live ones too."""
    sink = new_sink(settings(broker))
    connect(sink)
    with Subscriber(broker.port) as other:
        other.publish("c/1", b"old", retain=True)
        sink.subscribe(["c/+"])
        [old] = poll_until(sink, lambda event: isinstance(event, Received))
        assert old == Received("c/1", b"old", True, None, None)
        other.publish("c/2", b"live", retain=True)
        [live] = poll_until(sink, lambda event: isinstance(event, Received))
        assert live == Received("c/2", b"live", True, None, None)
        other.publish("c/3", b"plain")
        [plain] = poll_until(sink, lambda event: isinstance(event, Received))
        assert plain == Received("c/3", b"plain", False, None, None)


def test_more_than_64_kib_does_not_come_in(new_sink: NewSink, broker: Broker) -> None:
    """The broker drops what is larger than we take, and the connection stays."""
    sink = new_sink(settings(broker))
    connect(sink)
    sink.subscribe(["c/+"])
    with Subscriber(broker.port) as other:
        other.publish("c/1", b"x" * (1 << 20))
        other.publish("c/2", b"small")
    [event] = poll_until(sink, lambda event: isinstance(event, Received))
    assert isinstance(event, Received)
    assert event.topic == "c/2"


PUBLISHER = textwrap.dedent("""
    import sys
    from edge.protocols import Connected
    from edge.records import Message
    from edge.sinks.mqtt import MqttSettings, MqttSink
    will = Message("s/n/availability", b"offline", way="latest", retain=True)
    sink = MqttSink(MqttSettings("127.0.0.1", "victim", int(sys.argv[1])), will)
    sink.open()
    while True:
        if any(isinstance(event, Connected) for event in sink.poll(1.0)):
            print("connected", flush=True)
""")


def test_will_after_kill(broker: Broker) -> None:
    """When a publisher is killed the broker says ``offline`` for it, 5 s later."""
    with Subscriber(broker.port, "s/#") as subscriber:
        command = [sys.executable, "-c", PUBLISHER, str(broker.port)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as victim:
            assert victim.stdout is not None
            assert victim.stdout.readline() == "connected\n"
            os.kill(victim.pid, signal.SIGKILL)
            start = time.monotonic()
        [heard] = subscriber.wait_for(lambda messages: len(messages) == 1, timeout_s=15.0)
        assert (heard.topic, heard.text) == ("s/n/availability", "offline")
        assert time.monotonic() - start >= 4.0


def test_clean_close_says_offline_and_no_will(new_sink: NewSink, broker: Broker) -> None:
    """A clean close publishes the farewell, and the will never comes."""
    with Subscriber(broker.port, "s/#") as subscriber:
        sink = new_sink(settings(broker), WILL)
        connect(sink)
        farewell = Message("s/n/availability", b"offline", way="latest", retain=True)
        sink.close(5.0, farewell)
        subscriber.wait_for(lambda messages: len(messages) == 1)
        with pytest.raises(TimeoutError):
            subscriber.wait_for(lambda messages: len(messages) > 1, timeout_s=6.0)


def test_close_is_bounded_by_a_silent_broker(new_sink: NewSink, broker: Broker) -> None:
    """A broker that does not answer delays ``close`` by no more than its time."""
    sink = new_sink(settings(broker))
    connect(sink)
    broker.pause()
    start = time.monotonic()
    sink.close(0.5, message("bye"))
    assert 0.4 <= time.monotonic() - start < 1.5
    broker.resume()


def test_silent_listener_is_given_up(new_sink: NewSink, tmp_path: Path) -> None:
    """A listener that takes connections and says nothing is given up after one keepalive."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        sink = new_sink(MqttSettings("127.0.0.1", "sut", port, keepalive_s=1))
        sink.open()
        start = time.monotonic()
        [event] = poll_until(sink, lambda event: isinstance(event, Disconnected))
        assert 0.9 <= time.monotonic() - start < 2.5
        assert isinstance(event, Disconnected)
        assert "does not answer as an MQTT broker" in event.reason


def test_unanswered_dial_does_not_hold_up_poll(new_sink: NewSink, tmp_path: Path) -> None:
    """While an address does not answer, ``poll`` keeps its time and ``wake`` works."""
    with socket.socket() as full:  # a backlog of 0 that is full does not answer a third connect
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        sink = new_sink(MqttSettings("127.0.0.1", "sut", port))
        sink.open()
        start = time.monotonic()
        assert list(sink.poll(0.2)) == []
        threading.Timer(0.1, sink.wake).start()
        assert list(sink.poll(3.0)) == []
        assert time.monotonic() - start < 1.5
        [event] = poll_until(sink, lambda event: isinstance(event, Disconnected))
        assert isinstance(event, Disconnected)
        assert event.reason.endswith("no answer within 5 s")
        assert 4.5 <= time.monotonic() - start < 7.0
        for filler in fillers:
            filler.close()


def test_paused_broker_is_noticed(new_sink: NewSink, broker: Broker) -> None:
    """A broker that stops answering is noticed within twice the keepalive (and a bit)."""
    sink = new_sink(settings(broker, keepalive_s=1))
    connect(sink)
    broker.pause()
    start = time.monotonic()
    poll_until(sink, lambda event: isinstance(event, Disconnected))
    assert time.monotonic() - start < 3.5
    broker.resume()
    poll_until(sink, lambda event: isinstance(event, Connected))


def test_taken_over_does_not_fight(new_sink: NewSink) -> None:
    """When another client takes our id over (0x8E), we say so once and stay away for long."""
    with ScriptedBroker(CONNACK + disconnect(0x8E)) as broker:
        sink = new_sink(MqttSettings("127.0.0.1", "sut", broker.port))
        connect(sink)
        [event] = poll_until(sink, lambda event: isinstance(event, Disconnected))
        assert isinstance(event, Disconnected)
        assert "another client took over the id 'sut'" in event.reason
        assert event.code == "client_id_conflict"
        assert list(sink.poll(2.5)) == []
        assert broker.connections == 1


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_two_stations_with_one_id_do_not_fight(broker: Broker, protocol: str) -> None:
    """Although mosquitto closes the older connection without a word, one of the two soon notices,
    says so and stays away, and the other stays connected.
    """
    with contextlib.ExitStack() as stack:
        how = settings(broker, protocol=protocol)
        sinks = [MqttSink(how, rng=Always(0.0)), MqttSink(how, rng=Always(0.0))]
        for sink in sinks:
            stack.callback(sink.close, 1.0)
            sink.open()
        conflict: Disconnected | None = None
        deadline = time.monotonic() + 20.0
        while conflict is None and time.monotonic() < deadline:
            for sink in sinks:
                for event in sink.poll(0.05):
                    if isinstance(event, Disconnected) and event.code == "client_id_conflict":
                        conflict, away = event, sink
        assert conflict is not None
        assert "another client seems to use the id 'sut'" in conflict.reason
        [stays] = [sink for sink in sinks if sink is not away]
        quiet_until = time.monotonic() + 3.0
        while time.monotonic() < quiet_until:
            assert list(away.poll(0.05)) == []
            assert not any(isinstance(event, Disconnected) for event in stays.poll(0.05))
        assert stays.send(message("t")) is not None
        assert broker.log().count("New client connected") <= 8


def test_the_back_off_grows_while_connections_do_not_last(new_sink: NewSink) -> None:
    """A broker that greets and throws us out each time is left alone for longer and longer."""
    with ScriptedBroker(CONNACK + disconnect(0x8B)) as broker:
        sink = MqttSink(MqttSettings("127.0.0.1", "sut", broker.port), rng=Always(1.0))
        sink.open()
        moments = []
        for _ in range(3):
            poll_until(sink, lambda event: isinstance(event, Disconnected))
            moments.append(time.monotonic())
        sink.close(1.0)
        first, second = (later - earlier for earlier, later in itertools.pairwise(moments))
        assert 0.9 <= first < 1.8
        assert 1.9 <= second < 3.0


def test_farewell_keeps_the_brokers_window(new_sink: NewSink) -> None:
    """With a full window the farewell goes with QoS 0, else with QoS 1: a broker hangs up on who
    sends more than its Receive Maximum, and the will would follow.
    """
    with ScriptedBroker(CONNACK_ONE_AT_A_TIME) as broker:
        for in_flight, first_byte in ((True, 0x31), (False, 0x33)):
            sink = new_sink(MqttSettings("127.0.0.1", "sut", broker.port))
            connect(sink)
            if in_flight:
                assert sink.send(message("t/a")) is not None
            sink.close(0.5, message("t/bye", "offline", retain=True))
            packet = bytes([first_byte, 2 + 5 + (0 if in_flight else 2) + 1 + 7, 0, 5]) + b"t/bye"
            assert packet in broker.rest()


def test_other_goodbyes_are_answered_soon(new_sink: NewSink) -> None:
    """The twin: after any other DISCONNECT the next attempt comes within the back-off."""
    with ScriptedBroker(CONNACK + disconnect(0x8B)) as broker:
        sink = new_sink(MqttSettings("127.0.0.1", "sut", broker.port))
        connect(sink)
        [event] = poll_until(sink, lambda event: isinstance(event, Disconnected))
        assert isinstance(event, Disconnected)
        assert event.reason.endswith("connection lost: server shutting down")
        poll_until(sink, lambda event: isinstance(event, Connected), timeout_s=2.5)


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (connack(0x84), "does not speak MQTT 5"),
        (bytes([0x20, 2, 0, 1]), "does not speak MQTT 5"),  # as a 3.1.1 broker says it
        (connack(0x85), "client id 'sut-check' refused"),
        (connack(0x88), "refused: server unavailable"),
    ],
)
def test_refusals_are_told_apart(reply: bytes, text: str) -> None:
    """Each refusal of the broker gets a line of its own."""
    with ScriptedBroker(reply) as broker, pytest.raises(BrokerRefused, match=text):
        probe(MqttSettings("127.0.0.1", "sut", broker.port))


@pytest.mark.parametrize(
    "junk",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\xff" * 64,
        bytes([0x20, 0]),
        bytes([0x20, 3, 0, 0x7F, 0]),
        bytes([0x20, 4, 0, 0, 9, 9]),
        CONNACK + bytes([0x40, 1, 0]),
        CONNACK + bytes([0x40, 3, 0, 1, 0x7F]),
        CONNACK + bytes([0x30, 5, 0, 2, 0xFF, 0xFE, 9]),
        CONNACK + bytes([0x30, 1, 0]),
    ],
)
def test_junk_ends_the_connection_only(new_sink: NewSink, junk: bytes) -> None:
    """Bytes that are no MQTT never raise: they end the connection, and it is tried again."""
    with ScriptedBroker(junk) as broker:
        sink = new_sink(MqttSettings("127.0.0.1", "sut", broker.port, keepalive_s=1))
        sink.open()
        poll_until(sink, lambda event: isinstance(event, Disconnected))
        poll_until(sink, lambda event: isinstance(event, Disconnected))
        assert broker.connections >= 2


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Broker]:
    """A broker that knows one user, ``cam`` with the password ``s3cret``."""
    passwords = tmp_path / "passwords"
    command = ["mosquitto_passwd", "-c", "-b", str(passwords), "cam", "s3cret"]
    subprocess.run(command, check=True, capture_output=True)
    lines = ["allow_anonymous false", f"password_file {passwords}"]
    with Broker(tmp_path, lines) as running:
        yield running


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_wrong_password_is_not_authorised(guarded: Broker, protocol: str) -> None:
    """A wrong password is ``not authorised`` and stands in no text; the right one works."""
    wrong = settings(guarded, username="cam", password="wr0ng", protocol=protocol)
    with pytest.raises(BrokerRefused, match="not authorised") as caught:
        probe(wrong)
    assert "wr0ng" not in f"{caught.value} {wrong!r}"
    probe(settings(guarded, username="cam", password="s3cret", protocol=protocol))


def test_why_not_connected_has_a_code(new_sink: NewSink, guarded: Broker) -> None:
    """What the health message calls it comes with the event: here a wrong password."""
    sink = new_sink(settings(guarded, username="cam", password="wr0ng"))
    sink.open()
    [event] = poll_until(sink, lambda event: isinstance(event, Disconnected))
    assert isinstance(event, Disconnected)
    assert event.code == "not_authorized"


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (connack(0x87), "not_authorized"),
        (connack(0x8A), "not_authorized"),
        (connack(0x88), "broker_unreachable"),
        (CONNACK + disconnect(0x87), "not_authorized"),
        (CONNACK + disconnect(0x8E), "client_id_conflict"),
        (CONNACK + disconnect(0x8B), "broker_unreachable"),
    ],
)
def test_codes_are_told_apart(new_sink: NewSink, reply: bytes, code: ReasonCode) -> None:
    """Each word of the broker's gets the right one of the health message's codes."""
    with ScriptedBroker(reply) as broker:
        sink = new_sink(MqttSettings("127.0.0.1", "sut", broker.port))
        sink.open()
        events = poll_until(sink, lambda event: isinstance(event, Disconnected))
        assert [event.code for event in events if isinstance(event, Disconnected)] == [code]


def test_probe_leaves_no_trace(new_sink: NewSink, broker: Broker) -> None:
    """``probe`` does not disturb a station that is connected with the same settings."""
    sink = new_sink(settings(broker))
    connect(sink)
    probe(settings(broker))
    assert list(sink.poll(0.3)) == []


def test_probe_finds_nobody() -> None:
    """``probe`` names the address when nobody listens, and a name that does not exist."""
    port = free_port()
    with pytest.raises(BrokerUnreachable, match=f"127.0.0.1:{port}: connection refused"):
        probe(MqttSettings("127.0.0.1", "sut", port))
    with pytest.raises(BrokerUnreachable, match=r"no-such-host\.invalid:1883: host name not"):
        probe(MqttSettings("no-such-host.invalid", "sut", insecure=True))


def test_plain_tcp_to_others_needs_leave() -> None:
    """Plain TCP to another host is a mistake unless ``insecure`` says that it is meant."""
    with pytest.raises(ConfigError, match="plain TCP to another host"):
        MqttSettings("broker.example", "sut")
    MqttSettings("broker.example", "sut", insecure=True)
    MqttSettings("broker.example", "sut", ca=Path("ca.pem"))
    with pytest.raises(ConfigError, match="plain TCP to another host"):
        MqttSettings("broker.localhost", "sut")  # many resolvers ask the network for it
    for local in ("localhost", "LOCALHOST.", "127.0.0.1", "127.8.8.8", "::1", "[::1]"):
        MqttSettings(local, "sut")


def test_brackets_are_no_part_of_an_address() -> None:
    """An IPv6 address in brackets is dialled without them and shown with them, once."""
    for host in ("::1", "[::1]"):
        bracketed = MqttSettings(host, "sut", 1883)
        assert (bracketed.host, bracketed.address) == ("::1", "[::1]:1883")


def test_paho_takes_our_socket(new_sink: NewSink, broker: Broker) -> None:
    """The one seam of paho that we override is there: exactly one connection is opened."""
    sink = new_sink(settings(broker))
    connect(sink)
    # One from the helper's wait for the port, which says nothing, and ours.
    assert broker.log().count("New client connected") == 1
