"""The demo's broker and the subscriber that watches it, over real sockets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edge.demo.broker import EmbeddedBroker
from edge.demo.subscriber import Subscriber
from edge.errors import BrokerRefused, BrokerUnreachable
from edge.sinks.mqtt_settings import MqttSettings
from tests.helpers.broker import Broker, free_port


@pytest.fixture
def embedded() -> Iterator[EmbeddedBroker]:
    """A running embedded broker."""
    with EmbeddedBroker() as broker:
        yield broker


def settings(port: int, protocol: Literal["5", "3.1.1"] = "3.1.1") -> MqttSettings:
    """How to reach a broker on this machine."""
    return MqttSettings(host="127.0.0.1", client_id="", port=port, protocol=protocol)


def publish(port: int, topic: str, payload: bytes, *, retain: bool = False) -> None:
    """Publish once with QoS 1 and wait for the acknowledgement."""
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv311)
    client.connect("127.0.0.1", port)
    client.loop_start()
    client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(10.0)
    client.disconnect()
    client.loop_stop()


def test_what_a_station_says_reaches_the_fleet(embedded: EmbeddedBroker) -> None:
    """Retained messages come on subscribing, later ones as they are published."""
    publish(embedded.port, "r/n1/availability", b"online", retain=True)
    with Subscriber(settings(embedded.port), "r") as subscriber:
        assert subscriber.wait_for(lambda fleet: "n1" in fleet.stations, 10.0)
        publish(embedded.port, "r/n2/availability", b"online")
        assert subscriber.wait_for(lambda fleet: "n2" in fleet.stations, 10.0)
        publish(embedded.port, "other/n3/availability", b"online")
        assert not subscriber.wait_for(lambda fleet: "n3" in fleet.stations, 0.1)


def test_broker_and_subscriber_leave_no_thread() -> None:
    """Both end their threads, in whatever order they are left."""
    before = set(threading.enumerate())
    with EmbeddedBroker() as broker:
        subscriber = Subscriber(settings(broker.port), "r")
        subscriber.__enter__()
    subscriber.__exit__(None, None, None)
    assert set(threading.enumerate()) == before
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", broker.port), timeout=1.0)


def test_two_embedded_brokers_do_not_meet() -> None:
    """Each takes a port of its own."""
    with EmbeddedBroker() as one, EmbeddedBroker() as two:
        assert one.port != two.port


def test_nobody_there_is_said_at_once() -> None:
    """Without a broker the error names host and port."""
    port = free_port()
    with pytest.raises(BrokerUnreachable, match=str(port)):
        Subscriber(settings(port), "r").__enter__()


def test_a_listener_that_says_nothing_is_given_up() -> None:
    """A port that accepts and stays silent is an unreachable broker."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(BrokerUnreachable, match="no answer"):
            Subscriber(settings(port), "r", connect_s=0.3).__enter__()


def test_a_wrong_password_is_refused(tmp_path: Path) -> None:
    """A broker that refuses us is told apart from one that is not there."""
    with Broker(tmp_path, ["allow_anonymous false"]) as broker, pytest.raises(BrokerRefused):
        Subscriber(settings(broker.port, "5"), "r").__enter__()


def test_the_subscription_comes_back_with_the_broker(tmp_path: Path) -> None:
    """After the broker was killed and started again, messages come as before."""
    with Broker(tmp_path) as broker, Subscriber(settings(broker.port, "5"), "r") as subscriber:
        broker.restart()
        publish(broker.port, "r/n1/availability", b"online", retain=True)
        assert subscriber.wait_for(lambda fleet: "n1" in fleet.stations, 15.0)
