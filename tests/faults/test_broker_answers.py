"""A broker that refuses, limits, miscounts or throws us out: each answer has its behaviour."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from edge.errors import BrokerRefused
from edge.sinks import link, mqtt
from edge.sinks.happening import Published
from edge.sinks.probe import probe
from tests.fakes import wait_until
from tests.helpers.broker import Broker
from tests.helpers.chain import UNBOUNDED, Chain, fill
from tests.helpers.ledger import Ledger
from tests.helpers.odd_broker import OddBroker, Sent, puback
from tests.helpers.proxy import FaultProxy
from tests.helpers.scripted import CONNACK, CONNACK_ONE_AT_A_TIME, connack, disconnect
from tests.helpers.stages import ALERTS

OTHER = ALERTS.replace("c1", "c2")


def test_f42_forbidden_topic_waits_and_others_flow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A topic that the access list forbids is parked with all its rows and named in the health; the
    others flow, and when it is allowed everything comes, in order but for a window's width.
    """
    monkeypatch.setattr("edge.pipeline.publish.PARK_S", 1.0)
    acl = tmp_path / "acl"
    allowed = "topic read #\ntopic write linesight/n1/availability\n"
    acl.write_text(f"{allowed}topic write {OTHER}\n")
    with (
        Broker(tmp_path, [f"acl_file {acl}"]) as broker,
        FaultProxy(broker.port) as proxy,
        Ledger(broker.port) as ledger,
        Chain(tmp_path, proxy.port).running() as chain,
    ):
        chain.accept(range(100))
        chain.accept(range(100, 105), camera="c2")
        ledger.wait_count(5)
        assert set(range(100, 105)) == ledger.numbers
        wait_until(lambda: chain.codes() == ["not_authorized"])
        assert chain.health.reasons()[0].detail.startswith(ALERTS)
        wait_until(lambda: chain.counted("rows") == 100)
        acl.write_text(f"{allowed}topic write linesight/n1/#\n")
        broker.reload()
        ledger.wait_count(105)
        wait_until(lambda: not chain.codes())
        assert ledger.duplicates == 0
        # The list may change while ten are on their way: the first is refused, the rest not.
        assert all(abs(at - seq) <= 10 for at, seq in enumerate(ledger.firsts(), 1))
        assert len(proxy.moments) == 1


def test_f42_quota_exceeded_comes_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reason 151 parks the topic, what was refused comes again, and nothing is lost or buried."""
    monkeypatch.setattr("edge.pipeline.publish.PARK_OTHER_S", 0.5)
    refused: list[int] = []

    def answer(sent: Sent) -> bytes:
        over = 3 <= sent.number <= 4
        refused.extend([sent.body["seq"]] * over)
        return puback(sent.mid, 151 if over else 0)

    with OddBroker(answer) as broker, Chain(tmp_path, broker.port).running() as chain:
        chain.accept(range(20))
        wait_until(lambda: set(broker.seqs(ALERTS)) == set(range(1, 21)) and len(refused) == 2)
        wait_until(lambda: broker.seqs(ALERTS).count(refused[1]) == 2)
        chain.drain()
        assert (broker.connections, chain.counted("dead")) == (1, 0)
    assert sorted([*range(1, 21), *refused]) == sorted(broker.seqs(ALERTS))
    assert chain.outbox.stored() == []


def test_f42_wrong_format_is_buried(tmp_path: Path) -> None:
    """Reason 153 moves a row to the dead letters, and the gap is announced."""
    with (
        OddBroker(lambda sent: puback(sent.mid, 153 if sent.number in (3, 4) else 0)) as broker,
        Chain(tmp_path, broker.port).running() as chain,
    ):
        chain.accept(range(10))
        wait_until(lambda: chain.counted("dead") == 2)
        chain.accept(range(10, 20))
        chain.drain()
        assert broker.connections == 1
    assert broker.seqs(ALERTS) == list(range(1, 21))
    assert broker.sent[-1].body["dropped_total"] == 2
    assert chain.outbox.stored() == []


def test_f43_no_subscriber_is_counted(tmp_path: Path) -> None:
    """What nobody listens to is acknowledged with reason 16: deleted, and counted."""
    with Broker(tmp_path) as broker, Chain(tmp_path, broker.port).running() as chain:
        chain.accept(range(20))
        wait_until(lambda: chain.counted("no_subscriber") == 20)
        chain.drain()
    assert chain.outbox.stored() == []


def test_f49_wrong_acknowledgements_are_ignored(tmp_path: Path) -> None:
    """PUBACKs of unknown ids, PUBACKs twice and those of the connection before delete nothing and
    end nothing: each row leaves on its own acknowledgement.
    """

    def answer(sent: Sent) -> bytes | None:
        if sent.connection == 1:
            return None if sent.number == 5 else puback(60_000 + sent.number)
        return puback(sent.mid) * 2 + puback(sent.mid + 30_000)

    def greet(connection: int) -> bytes:
        return CONNACK + b"".join(puback(mid) for mid in range(1, 12)) * (connection > 1)

    with OddBroker(answer, greet) as broker, Chain(tmp_path, broker.port).running() as chain:
        chain.wait_connected()
        chain.accept(range(20))
        wait_until(lambda: broker.connections == 2)
        chain.wait_connected()
        chain.drain()
        assert broker.connections == 2
    assert [s.body["seq"] for s in broker.sent if s.connection == 2] == list(range(1, 21))
    assert chain.outbox.stored() == []


def test_f49_twin_answered_nothing_leaves_nothing(tmp_path: Path) -> None:
    """The twin: with wrong acknowledgements alone every row stays on disk."""
    with (
        OddBroker(lambda sent: puback(sent.mid + 30_000) * 2) as broker,
        Chain(tmp_path, broker.port).running() as chain,
    ):
        chain.accept(range(20))
        wait_until(lambda: len(broker.sent) == 10)
        assert not broker.more_within(0.2)
    assert chain.outbox.stored() == list(range(20))


def test_f50_never_more_than_receive_maximum_in_flight(tmp_path: Path) -> None:
    """With a Receive Maximum of 1 nothing comes before the answer, whatever time it takes."""
    early: list[int] = []

    def answer(sent: Sent) -> bytes:
        if broker.more_within(0.02):
            early.append(sent.number)
        return puback(sent.mid)

    with (
        OddBroker(answer, lambda _: CONNACK_ONE_AT_A_TIME) as broker,
        Chain(tmp_path, broker.port).running() as chain,
    ):
        chain.accept(range(30))
        chain.drain()
    assert (broker.seqs(ALERTS), early) == (list(range(1, 31)), [])


def test_f50_twin_a_larger_window_is_seen(tmp_path: Path) -> None:
    """The twin: with the ten of our own window more than one alert is on its way, and a mosquitto
    that takes one at a time gets everything all the same.
    """
    early: list[int] = []

    def answer(sent: Sent) -> bytes:
        if broker.more_within(0.02):
            early.append(sent.number)
        return puback(sent.mid)

    fill(tmp_path, range(30))
    with OddBroker(answer) as broker, Chain(tmp_path, broker.port).running() as chain:
        chain.drain()
    assert early
    with (
        Broker(tmp_path, [UNBOUNDED, "max_inflight_messages 1"]) as real,
        Ledger(real.port) as ledger,
        Chain(tmp_path, real.port).running() as chain,
    ):
        chain.accept(range(100, 300))
        ledger.wait_count(200)
        assert (ledger.in_order, chain.health.status().reconnects) == (True, 0)


def test_f51_exception_in_a_callback_ends_the_connection_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception inside our own callback costs the connection; within 5 s there is a new one and
    everything arrives.
    """
    calls = [0]

    def failing(mid: int, code: int) -> Published:
        calls[0] += 1
        if calls[0] == 5:
            raise RuntimeError("injected")
        return Published(mid, code)

    monkeypatch.setattr(link, "Published", failing)
    with (
        Broker(tmp_path) as broker,
        Ledger(broker.port) as ledger,
        Chain(tmp_path, broker.port).running() as chain,
    ):
        chain.accept(range(50))
        chain.wait_disconnected()
        began = time.monotonic()
        chain.wait_connected()
        assert time.monotonic() - began <= 5.0
        ledger.wait_count(50)
        assert chain.stage.alive
        assert ledger.in_order
        assert chain.health.status().reconnects == 1


def test_f52_taken_over_session_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When another client takes our id (0x8E) we say so and stay away, 30 s by default; then
    everything that waited is delivered.
    """
    assert mqtt._TAKEN_OVER_WAIT_S >= 30.0
    monkeypatch.setattr(mqtt, "_TAKEN_OVER_WAIT_S", 3.0)

    def greet(connection: int) -> bytes:
        return CONNACK + disconnect(0x8E) * (connection == 1)

    with (
        OddBroker(connack=greet) as broker,
        FaultProxy(broker.port) as proxy,
        Chain(tmp_path, proxy.port).running() as chain,
    ):
        wait_until(lambda: chain.codes() == ["client_id_conflict"])
        chain.accept(range(5))
        wait_until(lambda: broker.seqs(ALERTS) == [1, 2, 3, 4, 5])
        first, second = proxy.moments
        assert second - first >= 3.0
        assert not chain.codes()


def test_f52_broker_of_the_old_protocol_is_refused_by_name() -> None:
    """A broker that knows MQTT 3.1.1 only is not spoken to in it unless the configuration says so,
    and the text names the setting.
    """
    for reply in (connack(0x84), bytes([0x20, 2, 0, 1])):
        with (
            OddBroker(connack=lambda _, reply=reply: reply) as broker,  # type: ignore[misc]
            pytest.raises(BrokerRefused, match="does not speak MQTT 5") as caught,
        ):
            probe(mqtt.MqttSettings("127.0.0.1", "sut", broker.port))
        assert 'protocol = "3.1.1"' in caught.value.hint
