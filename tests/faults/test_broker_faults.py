"""A broker that is absent, killed, or does not get through with its answers: nothing is lost."""

from __future__ import annotations

import time
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from tests.fakes import wait_until
from tests.helpers.broker import Broker, Subscriber
from tests.helpers.chain import UNBOUNDED, Chain, fill
from tests.helpers.ledger import Ledger
from tests.helpers.proxy import FaultProxy

LAST = 10**6
"""Number of the alert behind all others."""


def test_f38_broker_that_comes_late_gets_everything(tmp_path: Path) -> None:
    """Without a broker alerts accumulate; all come in order within 15 s of its appearance."""
    broker = Broker(tmp_path, [UNBOUNDED])
    with broker, Ledger(broker.port):
        broker.stop()  # it knows its subscriber from here on
    with Chain(tmp_path, broker.port).running() as chain:
        chain.accept(range(1000))
        wait_until(lambda: chain.codes() == ["broker_unreachable"])
        began = time.monotonic()
        with broker, Ledger(broker.port) as ledger:
            ledger.wait_count(1000, 20.0)
            assert time.monotonic() - began <= 15.0 + 1.0
    assert ledger.firsts() == list(range(1, 1001))


def killed(folder: Path, *, early: bool) -> set[int]:
    """Kill the broker three times, each time with ten alerts on their way; which are lost?

    What it had acknowledged by then is on its disk: the ten are in its socket, unread.
    """
    with (
        Broker(folder, [UNBOUNDED], durable=True) as broker,
        FaultProxy(broker.port) as proxy,
        Ledger(broker.port) as ledger,
        Chain(folder, proxy.port, early=early).running() as chain,
    ):
        for start in (0, 300, 600):
            if start:
                ledger.wait_number(start - 1)
            chain.wait_connected()
            proxy.blackhole("up")
            chain.accept(range(start, start + 300))
            wait_until(lambda: len(chain.sink._in_flight) == 10)
            broker.settle()
            broker.pause()
            proxy.heal()
            broker.restart()
            chain.wait_disconnected()
        chain.accept([*range(900, 1000), LAST])
        ledger.wait_number(LAST, 30.0)
        chain.drain()
        assert ledger.in_order
    return set(range(1000)) - ledger.numbers


def test_f39_no_accepted_alert_is_lost_with_the_broker(tmp_path: Path) -> None:
    """A broker that saves on changes is killed three times: 0 of 1,000 accepted alerts are lost."""
    assert killed(tmp_path, early=False) == set()


def test_f39_twin_deleting_before_the_acknowledgement_loses(tmp_path: Path) -> None:
    """The twin: rows that are deleted when they are sent are found missing after the same kills."""
    assert 0 < len(killed(tmp_path, early=True)) <= 30


@pytest.mark.parametrize("durable", [False, True])
def test_f40_broker_default_autosave_loses_acked(tmp_path: Path, durable: bool) -> None:
    """Acknowledged alerts are gone with a killed broker that saves by default each 1,800 s, which
    no sender can help; one that saves on changes has kept them.
    """
    with Broker(tmp_path, [UNBOUNDED], durable=durable) as broker:
        with Ledger(broker.port):
            pass  # a subscriber that is away from here on
        with Chain(tmp_path, broker.port).running() as chain:
            chain.accept(range(50))
            chain.drain()
        assert chain.outbox.stored() == []
        broker.settle()
        broker.restart()
        with Ledger(broker.port) as ledger, Chain(tmp_path, broker.port).running() as chain:
            chain.accept([LAST])
            ledger.wait_number(LAST)
        assert ledger.numbers - {LAST} == (set(range(50)) if durable else set())


def test_f41_lost_acknowledgement_gives_a_duplicate_with_the_same_id(tmp_path: Path) -> None:
    """When PUBACKs get lost each alert comes twice with the same id, revision and sequence, and the
    DUP flag says nothing.
    """
    with (
        Broker(tmp_path) as broker,
        FaultProxy(broker.port) as proxy,
        Ledger(broker.port) as ledger,
        Chain(tmp_path, proxy.port).running() as chain,
    ):
        chain.wait_connected()
        proxy.drop("down")
        chain.accept(range(5))
        ledger.wait_count(5)
        proxy.heal()
        ledger.wait_for(lambda _: ledger.duplicates == 5)
        chain.drain()
        assert set(ledger.counts.values()) == {2}
        assert not any(message.dup for message in ledger.messages)
        assert ledger.firsts() == [1, 2, 3, 4, 5]
        assert chain.health.duplicates_possible == 5


def cut(folder: Path, *, early: bool) -> set[int]:
    """Cut the link in the middle of a backlog, so that neither end is told; which are lost?"""
    fill(folder, [*range(3000), LAST])
    with (
        Broker(folder, [UNBOUNDED]) as broker,
        FaultProxy(broker.port) as proxy,
        Ledger(broker.port) as ledger,
        Chain(folder, proxy.port, early=early).running() as chain,
    ):
        ledger.wait_count(200)
        proxy.cut()
        chain.wait_disconnected()
        assert LAST not in ledger.numbers
        ledger.wait_number(LAST, 30.0)
        chain.drain()
        assert ledger.in_order
        assert ledger.duplicates <= 10
    return set(range(3000)) - ledger.numbers


def test_f44_silent_cut_in_a_backlog_loses_nothing(tmp_path: Path) -> None:
    """Rows leave the disk on their PUBACK only: 0 of 3,000 are lost by a cut that nobody sees."""
    assert cut(tmp_path, early=False) == set()


def test_f44_twin_deleting_before_the_acknowledgement_loses(tmp_path: Path) -> None:
    """The twin: rows that are deleted when they are sent are found missing after the same cut."""
    assert cut(tmp_path, early=True)


def alone(port: int) -> paho.Client:
    """A client as many programs have it: paho with its thread and its queue."""
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="alone")
    client.reconnect_delay_set(1, 1)
    client.connect("127.0.0.1", port, keepalive=2)
    client.loop_start()
    wait_until(client.is_connected)
    return client


def test_f44_twin_pahos_queue_as_the_outbox_loses(tmp_path: Path) -> None:
    """The twin: what paho has queued is gone with the process, without a word."""
    with (
        Broker(tmp_path) as broker,
        FaultProxy(broker.port) as proxy,
        Subscriber(broker.port, "t") as subscriber,
    ):
        first = alone(proxy.port)
        proxy.cut()
        results = [first.publish("t", str(n), qos=1).rc for n in range(20)]
        assert results == [MQTTErrorCode.MQTT_ERR_SUCCESS] * 20
        first.loop_stop()  # the process dies
        second = alone(proxy.port)
        second.publish("t", "after", qos=1).wait_for_publish(10.0)
        subscriber.wait_for(lambda heard: [m.text for m in heard][-1:] == ["after"])
        second.disconnect()
        second.loop_stop()
    assert [message.text for message in subscriber.messages] == ["after"]


def test_f44_twin_pahos_queue_as_the_outbox_duplicates(tmp_path: Path) -> None:
    """The twin: ``publish`` says "not connected" and sends all the same, later; who sends again
    what was refused sends it twice.
    """
    with (
        Broker(tmp_path) as broker,
        FaultProxy(broker.port) as proxy,
        Subscriber(broker.port, "t") as subscriber,
    ):
        client = alone(proxy.port)
        proxy.refuse()
        wait_until(lambda: not client.is_connected())
        texts = [str(n) for n in range(10)]
        refused = [
            text
            for text in texts
            if client.publish("t", text, qos=1).rc == MQTTErrorCode.MQTT_ERR_NO_CONN
        ]
        assert refused == texts
        proxy.heal()
        wait_until(client.is_connected)
        for text in refused:
            client.publish("t", text, qos=1).wait_for_publish(10.0)
        subscriber.wait_for(lambda heard: len(heard) == 20)
        client.disconnect()
        client.loop_stop()
    assert sorted(message.text for message in subscriber.messages) == sorted(texts * 2)
