"""A path that swallows, never answers, or resets: it is noticed in time and nothing is lost."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from edge.sinks import mqtt
from edge.sinks.link import Link
from tests.fakes import wait_until
from tests.helpers.broker import Broker
from tests.helpers.certificates import authority
from tests.helpers.chain import UNBOUNDED, Chain, fill
from tests.helpers.ledger import Ledger
from tests.helpers.proxied import Direction
from tests.helpers.proxy import FaultProxy

KEEPALIVE_S = 3
RESETS = 200
LAST = 10**6


@pytest.mark.parametrize("directions", [(), ("up",), ("down",)], ids=["both", "up", "down"])
def test_f53_blackhole_is_seen_and_survived(
    tmp_path: Path, directions: tuple[Direction, ...]
) -> None:
    """A path that swallows everything, or one direction, is noticed within twice the keepalive;
    what waited is delivered within 2 s of the first CONNACK when it is back.
    """
    with (
        Broker(tmp_path, [UNBOUNDED]) as broker,
        FaultProxy(broker.port) as proxy,
        Ledger(broker.port) as ledger,
        Chain(tmp_path, proxy.port, keepalive_s=KEEPALIVE_S).running() as chain,
    ):
        chain.accept(range(100))
        ledger.wait_count(100)
        proxy.blackhole(*directions)
        began = time.monotonic()
        chain.accept(range(100, 300))
        wait_until(lambda: time.monotonic() - began >= 0.8)
        chain.sink.wake()  # what else happens must not delay it
        chain.wait_disconnected(4 * KEEPALIVE_S)
        seen_s = time.monotonic() - began
        proxy.heal()
        chain.wait_connected()
        began = time.monotonic()
        ledger.wait_count(300)
        back_s = time.monotonic() - began
        print(f"blackhole {directions}: seen after {seen_s:.2f} s, redelivered in {back_s:.2f} s")
        chain.drain()
        assert seen_s <= 2 * KEEPALIVE_S + 0.5
        assert back_s <= 2.0
        assert ledger.in_order
    assert chain.outbox.stored() == []


def test_f53_one_way_drop_is_seen_and_survived(tmp_path: Path) -> None:
    """The same when only what goes to the broker is lost, as behind a router that forgot us."""
    with (
        Broker(tmp_path, [UNBOUNDED]) as broker,
        FaultProxy(broker.port) as proxy,
        Ledger(broker.port) as ledger,
        Chain(tmp_path, proxy.port, keepalive_s=KEEPALIVE_S).running() as chain,
    ):
        chain.accept(range(100))
        ledger.wait_count(100)
        proxy.drop("up")
        began = time.monotonic()
        chain.accept(range(100, 300))
        chain.wait_disconnected(4 * KEEPALIVE_S)
        assert time.monotonic() - began <= 2 * KEEPALIVE_S + 0.5
        proxy.heal()
        chain.wait_connected()
        began = time.monotonic()
        ledger.wait_count(300)
        assert time.monotonic() - began <= 2.0
        assert ledger.in_order


def test_f53_twin_an_unwatched_connection_is_not_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twin: without looking after the keepalive the same blackhole goes unnoticed."""
    monkeypatch.setattr(Link, "keep_alive", lambda _self: None)
    with (
        Broker(tmp_path) as broker,
        FaultProxy(broker.port) as proxy,
        Chain(tmp_path, proxy.port, keepalive_s=1).running() as chain,
    ):
        chain.wait_connected()
        proxy.blackhole()
        with pytest.raises(AssertionError, match="disconnected"):
            chain.wait_disconnected(2 * 1 + 0.5)


def test_f54_no_connack_is_given_up_at_the_keepalive(tmp_path: Path) -> None:
    """A connection that is taken and never answered is given up after one keepalive; when somebody
    answers again everything is delivered.
    """
    with (
        Broker(tmp_path) as broker,
        FaultProxy(broker.port) as proxy,
        Ledger(broker.port) as ledger,
    ):
        proxy.silence()
        with Chain(tmp_path, proxy.port, keepalive_s=2).running() as chain:
            chain.accept(range(10))
            wait_until(lambda: len(proxy.moments) == 1)
            wait_until(lambda: chain.codes() == ["broker_unreachable"])
            assert 1.5 <= time.monotonic() - proxy.moments[0] <= 2.0 + 0.5
            proxy.heal()
            ledger.wait_count(10)
            assert ledger.in_order


def test_f54_silent_tls_handshake_is_given_up_after_5_s(tmp_path: Path) -> None:
    """A TLS handshake that nobody answers is given up after 5 s, and the station lives."""
    ca = authority(tmp_path, "ca")
    with FaultProxy(1) as proxy:
        proxy.silence()
        with Chain(tmp_path, proxy.port, ca=ca.cert).running() as chain:
            wait_until(lambda: len(proxy.moments) == 1)
            wait_until(lambda: chain.codes() == ["broker_unreachable"])
            assert 4.5 <= time.monotonic() - proxy.moments[0] <= 5.0 + 1.0
            assert "no answer within 5 s" in chain.health.reasons()[0].detail


def reset_often(folder: Path, monkeypatch: pytest.MonkeyPatch, *, early: bool) -> set[int]:
    """200 connections, each reset after some bytes; the pauses between them are cut short."""
    monkeypatch.setattr(mqtt, "_BACKOFF_FIRST_S", 0.02)
    monkeypatch.setattr(mqtt, "_BACKOFF_CAP_S", 0.02)
    monkeypatch.setattr(mqtt, "_CONNECT_SPACING_S", 0.0)
    monkeypatch.setattr(mqtt, "_TAKEN_OVER_WAIT_S", 0.02)
    chance = random.Random(55)
    fill(folder, [*range(4000), LAST])
    with (
        Broker(folder, [UNBOUNDED]) as broker,
        FaultProxy(broker.port) as proxy,
        Ledger(broker.port) as ledger,
    ):
        proxy.reset_after(lambda: chance.randrange(1, 20_000))
        with Chain(folder, proxy.port, early=early).running() as chain:
            wait_until(lambda: proxy.resets >= RESETS or LAST in ledger.numbers, 60.0)
            assert proxy.resets >= RESETS or early
            proxy.heal()
            ledger.wait_number(LAST, 30.0)
            chain.wait_connected()
            chain.drain()
            assert chain.stage.failure is None
        print(f"{proxy.resets} resets, {ledger.duplicates} duplicates of {len(ledger.counts)}")
        assert ledger.in_order
    assert chain.outbox.stored() == []
    return set(range(4000)) - ledger.numbers


def test_f55_resets_at_random_bytes_lose_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """200 connections are reset in the middle of anything: 0 of 4,000 alerts are lost."""
    assert reset_often(tmp_path, monkeypatch, early=False) == set()


def test_f55_twin_deleting_before_the_acknowledgement_loses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twin: rows that are deleted when they are sent are found missing after such resets."""
    assert reset_often(tmp_path, monkeypatch, early=True)
