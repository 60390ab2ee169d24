"""A wall clock that jumps, or is not right at boot: no alert is lost, late or expired by it."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge.messages import OUTBOX_EXPIRY_S, encode_alert
from edge.outbox import Outbox
from edge.records import Message
from tests.fakes import make_alert, make_frame, make_observation, wait_until
from tests.helpers.broker import Broker, Heard
from tests.helpers.chain import UNBOUNDED, Chain
from tests.helpers.ledger import Ledger
from tests.helpers.proxy import FaultProxy
from tests.helpers.stages import STATION, alert_message

YEAR_S = 365 * 24 * 3600.0
JUMPS_S = (YEAR_S, -3600.0, -time.time())
"""A year on, an hour back, 1970."""
DAY_NS = 24 * 3600 * 10**9


class Clock:
    """The wall clock, put forward or back; the monotonic one goes on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shift_s = 0.0
        real = time.time_ns
        monkeypatch.setattr(time, "time_ns", lambda: real() + int(self.shift_s * 1e9))


def of(ledger: Ledger) -> list[Heard]:
    """The alerts as they came."""
    return [message for message in ledger.messages if message.topic.endswith("/alert")]


def test_f67_wall_clock_jumps_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A year on, an hour back, 1970: alerts of before, of then and of after arrive in order,
    and an outage is noticed and ended in its usual time.
    """
    clock = Clock(monkeypatch)
    with (
        Broker(tmp_path, [UNBOUNDED]) as broker,
        FaultProxy(broker.port) as proxy,
        Ledger(broker.port) as ledger,
        Chain(tmp_path, proxy.port).running() as chain,
    ):
        ledger_count = 0
        for jump_s in JUMPS_S:
            chain.wait_connected()
            proxy.refuse()
            chain.wait_disconnected(5.0)
            chain.accept(range(ledger_count, ledger_count + 50))
            clock.shift_s = jump_s
            chain.accept(range(ledger_count + 50, ledger_count + 100))
            ledger_count += 100
            proxy.heal()
            ledger.wait_count(ledger_count, 9.0 + 2.0)  # the longest back-off is 8 s
        assert ledger.firsts() == list(range(1, 301))
        assert ledger.duplicates <= 30  # what was in flight at each outage
        assert chain.counted("dropped_oldest") == 0
        assert all(m.properties["MessageExpiryInterval"] > OUTBOX_EXPIRY_S - 60 for m in of(ledger))


def unsynced(number: int) -> Message:
    """An alert of a station whose clock says 1970."""
    observation = make_observation(make_frame("c1", number))
    header = replace(observation.header, captured_at=datetime(1970, 1, 1, tzinfo=UTC))
    alert = make_alert(replace(observation, header=header), key=f"{0:016x}-{number}")
    station = replace(STATION, clock_synced=False)
    return encode_alert(alert, station, encoded_ns=time.monotonic_ns())


def test_f68_unsynced_clock_is_told_and_corrected(tmp_path: Path) -> None:
    """An alert of before the first synchronisation says so, with boot and monotonic time; when the
    clock is set before it is sent it carries the right time.
    """
    synced = [False]
    with (
        Broker(tmp_path) as broker,
        Ledger(broker.port) as ledger,
        Chain(tmp_path, broker.port, is_clock_synced=lambda: synced[0]).running() as chain,
    ):
        chain.accept_all([unsynced(1)])
        ledger.wait_number(1)
        broker.pause()
        chain.wait_disconnected()
        chain.accept_all([unsynced(2)])
        synced[0] = True
        broker.resume()
        ledger.wait_number(2)
        first, second = (json.loads(message.payload) for message in of(ledger))
    assert first["clock"] == {"synced": False}
    assert first["ts"].startswith("1970-01-01")
    assert (first["boot"], first["mono_ns"] > 0) == (STATION.boot_id, True)
    assert second["clock"] == {"synced": True}
    assert abs(datetime.fromisoformat(second["ts"]) - datetime.now(UTC)) < timedelta(seconds=60)


def test_f68_twin_another_boot_is_not_corrected(tmp_path: Path) -> None:
    """The twin: monotonic time of an earlier boot says nothing about now, so nothing is claimed."""
    outbox = Outbox.open(tmp_path / "outbox.db", boot_id="before")
    outbox.append([unsynced(1)])
    outbox.close()
    with (
        Broker(tmp_path) as broker,
        Ledger(broker.port) as ledger,
        Chain(tmp_path, broker.port).running(),
    ):
        ledger.wait_number(1)
        [message] = of(ledger)
    assert json.loads(message.payload)["clock"] == {"synced": False}


@pytest.mark.parametrize("age_days", [0, 30, 20_000, -400])
def test_f70_outbox_expires_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, age_days: int
) -> None:
    """However old a row is by the wall clock, of this boot or another, it is delivered, and the
    broker is given the full 7 days.
    """
    for boot in ("before", STATION.boot_id):
        outbox = Outbox.open(tmp_path / "outbox.db", boot_id=boot)
        with monkeypatch.context() as patched:
            now = time.time_ns()
            patched.setattr(time, "time_ns", lambda now=now: now - age_days * DAY_NS)
            outbox.append([alert_message(number + 10 * (boot == "before")) for number in range(5)])
        outbox.close()
    with (
        Broker(tmp_path) as broker,
        Ledger(broker.port) as ledger,
        Chain(tmp_path, broker.port).running() as chain,
    ):
        ledger.wait_count(10)
        chain.drain()
        expiries = {message.properties["MessageExpiryInterval"] for message in of(ledger)}
    assert expiries <= {OUTBOX_EXPIRY_S, OUTBOX_EXPIRY_S - 1}
    assert chain.outbox.stored() == []


def test_f70_twin_a_short_expiry_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin: given 1 s, the broker throws alerts away for a subscriber that is away longer."""
    monkeypatch.setattr("edge.outbox.outbox.OUTBOX_EXPIRY_S", 1)
    with Broker(tmp_path, [UNBOUNDED]) as broker:
        with Ledger(broker.port):
            pass
        with Chain(tmp_path, broker.port).running() as chain:
            chain.accept(range(5))
            chain.drain()
            began = time.monotonic()
            wait_until(lambda: time.monotonic() - began > 2.5)
        monkeypatch.undo()
        with Ledger(broker.port) as ledger, Chain(tmp_path, broker.port).running() as chain:
            chain.accept([9])
            ledger.wait_number(9)
            assert ledger.numbers == {9}
