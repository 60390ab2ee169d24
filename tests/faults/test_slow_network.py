"""A path that is slow, flaps, or whose name server hangs: slow and correct, and nobody waits."""

from __future__ import annotations

import gc
import itertools
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge.health import Health
from edge.health.machine import rss_mb
from edge.outbox import Outbox
from edge.pipeline import AlertIds, Camera, Pipeline
from edge.sinks import mqtt
from edge.sinks.mqtt import MqttSettings, MqttSink
from tests.fakes import FakeRule, FakeSource, FakeTask, FakeTracker, wait_until
from tests.helpers.broker import Broker
from tests.helpers.chain import UNBOUNDED, Chain
from tests.helpers.ledger import Ledger
from tests.helpers.proxy import FaultProxy
from tests.helpers.stages import BOOT, STATION

FPS = 20.0
WATCH_S = 4.0
LONG = os.environ.get("LINESIGHT_FAULTS_LONG") == "1"


class Station:
    """A whole pipeline with one camera; every frame is an alert of two revisions."""

    def __init__(self, folder: Path, settings: MqttSettings) -> None:
        ids = AlertIds()
        self.health = Health(["c1"], is_clock_synced=lambda: True)
        self.ended: list[int] = []
        self.source = FakeSource(gap_s=1.0 / FPS, endless=True)
        rule = FakeRule(ids.next, each=True)
        self.pipeline = Pipeline(
            station=STATION,
            cameras=[Camera("c1", self.source, "latest", FakeTracker(), rule, max_age_ms=1000)],
            tasks=[FakeTask()],
            sink=MqttSink(settings, rng=random.Random(1)),
            open_outbox=lambda: Outbox.open(folder / "outbox.db", boot_id=BOOT),
            ids=ids,
            health=self.health,
            end_process=self.ended.append,
        )

    @contextmanager
    def running(self) -> Iterator[Station]:
        """Started, and stopped at the end."""
        self.pipeline.start()
        try:
            yield self
        finally:
            self.pipeline.stop()

    def fps(self) -> float:
        """Frames a second, over ``WATCH_S``; the threads are looked after meanwhile."""
        before, began = self.source.given, time.monotonic()
        while time.monotonic() - began < WATCH_S:
            assert self.pipeline.tick()
            time.sleep(0.05)
        return (self.source.given - before) / (time.monotonic() - began)


def test_f56_slow_path_is_correct_and_capture_does_not_notice(tmp_path: Path) -> None:
    """At 1 kB/s, one byte a packet and 200 ms late, alerts arrive in order over one connection and
    the camera keeps its rate within 5 %; afterwards all that waited arrives.
    """
    with (
        Broker(tmp_path, [UNBOUNDED]) as broker,
        FaultProxy(broker.port) as proxy,
        Ledger(broker.port, "linesight/+/cam/+/alert") as ledger,
        Station(tmp_path, MqttSettings("127.0.0.1", "sut", proxy.port)).running() as station,
    ):
        ledger.wait_count(10)
        for _ in range(3):  # other programs share this machine
            proxy.heal()
            plain = station.fps()
            proxy.slow(1000.0, latency_s=0.2, chunk=1)
            before = len(ledger.counts)
            slow = station.fps()
            print(f"capture: {plain:.2f} frames/s, {slow:.2f} while the path is slow")
            assert 1 <= len(ledger.counts) - before <= 40
            if abs(slow / plain - 1.0) <= 0.05:
                break
        else:
            pytest.fail(f"{plain} and {slow} frames/s")
        proxy.heal()
        stored = station.pipeline.store.accepted
        ledger.wait_count(stored)
        assert ledger.firsts()[:stored] == list(range(1, stored + 1))
        assert (ledger.duplicates, len(proxy.moments)) == (0, 1)


def resolving(monkeypatch: pytest.MonkeyPatch, answer: Callable[[int], int]) -> list[int]:
    """Make ``broker.test`` a name that resolves to the port that ``answer`` gives for each try."""
    resolve: Any = socket.getaddrinfo
    tries: list[int] = []

    def look_up(host: str, *arguments: Any, **more: Any) -> Any:
        if host != "broker.test":
            return resolve(host, *arguments, **more)
        tries.append(len(tries) + 1)
        return resolve("127.0.0.1", answer(len(tries)), type=socket.SOCK_STREAM)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return tries


def test_f57_name_is_resolved_anew_at_each_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name server that fails, an address that is dead, and a broker that has moved: each attempt
    asks again, and everything arrives at the address that holds now.
    """
    with (
        Broker(tmp_path, [UNBOUNDED]) as broker,
        FaultProxy(broker.port) as old,
        FaultProxy(broker.port) as new,
        Ledger(broker.port) as ledger,
    ):
        moved = threading.Event()

        def answer(count: int) -> int:
            if count == 1:
                raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
            return new.port if moved.is_set() else old.port

        tries = resolving(monkeypatch, answer)
        chain = Chain(tmp_path, 1883, host="broker.test", insecure=True)
        with chain.running():
            wait_until(lambda: chain.codes() == ["broker_unreachable"])
            assert "host name not resolved" in chain.health.reasons()[0].detail
            chain.accept(range(10))
            ledger.wait_count(10)
            moved.set()
            old.refuse()
            chain.accept(range(10, 20))
            ledger.wait_count(20)
            assert ledger.in_order
        assert (len(old.moments), len(new.moments), len(tries)) == (1, 1, 3)


def test_f57_resolver_that_hangs_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the look-up of a name hangs, frames are judged, alerts are stored and the watchdog is
    content for 120 s; after that it is not.
    """
    hangs, shift_s = threading.Event(), [0.0]
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + shift_s[0])
    monkeypatch.setattr("edge.health.heartbeat.time", clock)

    def answer(_count: int) -> int:
        hangs.wait(60.0)
        return 1

    tries = resolving(monkeypatch, answer)
    settings = MqttSettings("broker.test", "sut", insecure=True)
    with Station(tmp_path, settings).running() as station:
        wait_until(lambda: tries == [1])
        try:
            for _ in range(13):
                shift_s[0] += 9.0
                frames, stored = station.source.given, station.pipeline.store.accepted
                wait_until(station.pipeline.tick)
                wait_until(lambda n=frames: station.source.given > n)  # type: ignore[misc]
                wait_until(lambda n=stored: station.pipeline.store.accepted > n)  # type: ignore[misc]
            assert (tries, station.ended) == ([1], [])
            shift_s[0] += 9.0
            wait_until(lambda: not station.pipeline.tick())
            assert station.ended[:1] == [1]
        finally:
            hangs.set()


def flap(proxy: FaultProxy, chain: Chain, seconds: float, *, first: int = 0) -> int:
    """2 s up, 2 s down, in turn by resets and by silence, while 20 alerts a second are accepted,
    numbered from ``first`` on; returns how many.
    """
    until = time.monotonic() + seconds
    phase = itertools.cycle([proxy.heal, proxy.refuse, proxy.heal, proxy.blackhole])
    number, change = 0, 0.0
    while (now := time.monotonic()) < until:
        if now >= change:
            next(phase)()
            change = now + 2.0
        chain.accept([first + number])
        number += 1
        time.sleep(0.05)
    proxy.heal()
    return number


@pytest.mark.timeout(420)
def test_f58_flapping_loses_nothing_and_stays_calm(tmp_path: Path) -> None:
    """A path that comes and goes each 2 s loses nothing, is dialled once a second at most, and
    memory stays flat: 30 s here, 5 minutes with LINESIGHT_FAULTS_LONG=1.
    """
    with (
        Broker(tmp_path, [UNBOUNDED]) as broker,
        FaultProxy(broker.port) as proxy,
        Ledger(broker.port, keep=False) as ledger,
        Chain(tmp_path, proxy.port).running() as chain,
    ):
        chain.accept(range(10**6, 10**6 + 200))
        ledger.wait_count(200)
        count = flap(proxy, chain, 8.0)  # what a reconnect needs is there from then on
        gc.collect()
        before = rss_mb()
        count += flap(proxy, chain, 300.0 if LONG else 30.0, first=count)
        ledger.wait_count(200 + count, 60.0)
        gc.collect()
        grown = rss_mb() - before
        moments = list(proxy.moments)
        rate = len(moments) / (moments[-1] - moments[0])
        print(f"flapping: {len(moments)} connects, {rate:.2f}/s, {grown:+.1f} MiB")
        assert ledger.numbers >= set(range(count))
        assert ledger.in_order
        assert all(later - one >= 0.95 for one, later in itertools.pairwise(moments))
        assert grown <= 4.0


def test_f58_twin_hasty_reconnecting_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twin: without the back-off the same flapping is dialled many times a second."""
    monkeypatch.setattr(mqtt, "_BACKOFF_FIRST_S", 0.02)
    monkeypatch.setattr(mqtt, "_BACKOFF_CAP_S", 0.02)
    monkeypatch.setattr(mqtt, "_CONNECT_SPACING_S", 0.0)
    with FaultProxy(1) as proxy, Chain(tmp_path, proxy.port).running() as chain:
        flap(proxy, chain, 3.0)
        assert len(proxy.moments) > 6
