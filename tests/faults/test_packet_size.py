"""An alert that is larger than the broker takes: it is put aside and holds up nothing."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path

import pytest

from edge.records import Message
from edge.sinks.link import Link
from tests.fakes import wait_until
from tests.helpers.broker import Broker
from tests.helpers.chain import Chain
from tests.helpers.ledger import Ledger
from tests.helpers.odd_broker import OddBroker, Sent, puback
from tests.helpers.proxy import FaultProxy
from tests.helpers.scripted import disconnect
from tests.helpers.stages import ALERTS, alert_message


def large(number: int, size: int) -> Message:
    """An alert whose payload has about so many bytes."""
    message = alert_message(number)
    body = json.loads(message.payload)
    body["label"] = "x" * max(0, size - len(message.payload))
    return dataclasses.replace(message, payload=json.dumps(body).encode())


def test_f45_oversize_alert_blocks_nothing(tmp_path: Path) -> None:
    """What is larger than the broker takes goes to the dead letters, the next alert arrives within
    1 s, and the connection stays.
    """
    with (
        Broker(tmp_path, ["max_packet_size 2000"]) as broker,
        FaultProxy(broker.port) as proxy,
        Ledger(broker.port) as ledger,
        Chain(tmp_path, proxy.port).running() as chain,
    ):
        chain.wait_connected()
        began = time.monotonic()
        chain.accept_all([large(1, 3000), alert_message(2)])
        ledger.wait_number(2)
        assert time.monotonic() - began <= 1.0
        wait_until(lambda: chain.counted("dead") == 1)
        wait_until(lambda: chain.counted("rows") == 0)
        assert (ledger.numbers, len(proxy.moments)) == ({2}, 1)


def test_f45_broker_that_hangs_up_on_size_is_understood(tmp_path: Path) -> None:
    """A broker that names no limit and hangs up on what is too large (149) does so once for each
    such alert: it goes to the dead letters, and what is behind it arrives.
    """

    def answer(sent: Sent) -> bytes:
        return disconnect(149) if len(sent.body["label"]) > 1000 else puback(sent.mid)

    with OddBroker(answer) as broker, Chain(tmp_path, broker.port).running() as chain:
        chain.wait_connected()
        chain.accept_all([alert_message(1), large(2, 2000), large(3, 3000), alert_message(4)])
        wait_until(lambda: 4 in broker.seqs(ALERTS) and chain.counted("dead") == 2, 20.0)
        chain.drain()
        assert broker.connections <= 3
        assert broker.sent[-1].body["seq"] == 4
        assert broker.sent[-1].body["dropped_total"] == 2
    assert chain.outbox.stored() == []


def test_f46_limit_that_shrinks_is_learned_at_the_connect(tmp_path: Path) -> None:
    """After a reconnect to a broker that takes less, what it took before is too large and blocks
    nothing.
    """
    with (
        Broker(tmp_path, ["max_packet_size 4096"], durable=True) as broker,
        Ledger(broker.port) as ledger,
        Chain(tmp_path, broker.port).running() as chain,
    ):
        chain.accept_all([large(1, 3000), alert_message(2)])
        ledger.wait_count(2)
        broker.stop()
        chain.wait_disconnected()
        broker.configure(["max_packet_size 2000"], durable=True)
        broker.start()
        chain.wait_connected()
        began = time.monotonic()
        chain.accept_all([large(3, 3000), alert_message(4)])
        ledger.wait_number(4)
        assert time.monotonic() - began <= 1.0 + 1.5  # the subscriber has to come back as well
        wait_until(lambda: chain.counted("dead") == 1)
        assert ledger.numbers == {1, 2, 4}
        assert chain.health.status().reconnects == 1


def test_f45_twin_sent_all_the_same_it_blocks_what_is_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twin: without our own check the broker hangs up again and again, and the alert behind the
    large one does not come.
    """
    monkeypatch.setattr(Link, "packet_bytes", lambda _self, _message: 0)
    with (
        Broker(tmp_path, ["max_packet_size 2000"]) as broker,
        FaultProxy(broker.port) as proxy,
        Ledger(broker.port) as ledger,
        Chain(tmp_path, proxy.port).running() as chain,
    ):
        chain.wait_connected()
        chain.accept_all([large(1, 3000), alert_message(2)])
        wait_until(lambda: len(proxy.moments) >= 3, 20.0)
        assert 2 not in ledger.numbers
