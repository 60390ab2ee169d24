"""What every sink promises; see ``edge.protocols.Sink``."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge.protocols import Connected, Delivered, Sink, SinkEvent
from edge.sinks.mqtt import MqttSettings, MqttSink
from edge.sinks.stdout import StdoutSink
from tests.helpers.broker import Broker, Subscriber
from tests.helpers.sinks import connect, message, poll_until


@dataclass
class Bench:
    """A sink that was not opened yet, and what arrives at its far end as (topic, text)."""

    sink: Sink
    arrived: Callable[[int], list[tuple[str, str]]]


def _is(kind: type[SinkEvent]) -> Callable[[SinkEvent], bool]:
    return lambda event: isinstance(event, kind)


@pytest.fixture(params=["stdout", "mqtt-5", "mqtt-3.1.1"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """One of the sinks."""
    if request.param == "stdout":
        stream = io.StringIO()

        def lines(count: int) -> list[tuple[str, str]]:
            rows = [json.loads(line) for line in stream.getvalue().splitlines()]
            assert len(rows) >= count
            return [(row["topic"], json.dumps(row["payload"])) for row in rows]

        sink = StdoutSink(stream)
        yield Bench(sink, lines)
        sink.close(1.0)
        return
    with Broker(tmp_path) as broker, Subscriber(broker.port, "t/#") as subscriber:

        def heard(count: int) -> list[tuple[str, str]]:
            return [(m.topic, m.text) for m in subscriber.wait_for(lambda got: len(got) >= count)]

        protocol = "5" if request.param == "mqtt-5" else "3.1.1"
        settings = MqttSettings(
            "127.0.0.1", "conformance", broker.port, protocol="5" if protocol == "5" else "3.1.1"
        )
        with_broker = MqttSink(settings)
        yield Bench(with_broker, heard)
        with_broker.close(1.0)


def test_is_a_sink(bench: Bench) -> None:
    """It has every method of the protocol."""
    assert isinstance(bench.sink, Sink)


def test_not_open_takes_nothing(bench: Bench) -> None:
    """Before ``open`` and the ``Connected`` that follows it, ``send`` returns None."""
    assert bench.sink.send(message("t/a")) is None
    assert list(bench.sink.poll(0.0)) == []


def test_connected_comes_first(bench: Bench) -> None:
    """The first event after ``open`` is one ``Connected`` with room for at least one message."""
    bench.sink.open()
    events = poll_until(bench.sink, _is(Connected))
    assert len(events) == 1
    assert isinstance(events[0], Connected)
    assert events[0].receive_maximum >= 1


@pytest.mark.parametrize("qos", [0, 1])
def test_delivers_in_order_and_says_so(bench: Bench, qos: int) -> None:
    """Each message arrives, in order, and exactly one ``Delivered`` names its token."""
    connect(bench.sink)
    tokens: list[int] = []
    events: list[SinkEvent] = []
    for number in range(30):
        while (token := bench.sink.send(message("t/a", str(number), qos=qos))) is None:
            events += bench.sink.poll(1.0)
        tokens.append(token)
    deadline = time.monotonic() + 10.0
    while len(events) < 30 and time.monotonic() < deadline:
        events += bench.sink.poll(0.1)
    assert len(set(tokens)) == 30
    assert [event.token for event in events if isinstance(event, Delivered)] == tokens
    assert all(event.reason < 128 for event in events if isinstance(event, Delivered))
    assert bench.arrived(30) == [("t/a", str(number)) for number in range(30)]


def test_poll_waits_and_returns_nothing(bench: Bench) -> None:
    """With nothing to do ``poll`` takes its time, no less and not much more."""
    connect(bench.sink)
    start = time.monotonic()
    events = bench.sink.poll(0.2)
    assert list(events) == []
    assert 0.19 <= time.monotonic() - start < 1.0


def test_wake_ends_the_wait(bench: Bench) -> None:
    """``wake`` from another thread makes ``poll`` return long before its time."""
    connect(bench.sink)
    timer = threading.Timer(0.1, bench.sink.wake)
    timer.start()
    start = time.monotonic()
    events = bench.sink.poll(10.0)
    timer.join()
    assert list(events) == []
    assert time.monotonic() - start < 2.0


def test_a_wake_is_not_lost(bench: Bench) -> None:
    """A ``wake`` that comes before ``poll`` ends the next wait, and only that one."""
    connect(bench.sink)
    bench.sink.wake()
    bench.sink.wake()
    start = time.monotonic()
    bench.sink.poll(10.0)
    assert time.monotonic() - start < 2.0
    bench.sink.poll(0.1)
    assert time.monotonic() - start >= 0.1


def test_close_sends_the_farewell(bench: Bench) -> None:
    """``close`` delivers the farewell behind everything else, twice closing is harmless."""
    connect(bench.sink)
    bench.sink.send(message("t/a", "1"))
    bench.sink.close(5.0, message("t/bye", "2"))
    assert bench.arrived(2) == [("t/a", "1"), ("t/bye", "2")]
    bench.sink.close(5.0, message("t/bye", "2"))
    bench.sink.wake()
    assert bench.sink.send(message("t/a")) is None
    assert list(bench.sink.poll(0.0)) == []


def test_close_without_open(bench: Bench) -> None:
    """A sink that was never opened closes without a word."""
    bench.sink.close(1.0, message("t/bye"))
    bench.sink.open()
    bench.sink.close(1.0)
