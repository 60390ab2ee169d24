"""The service and a broker that is late, or a station that is killed: nothing accepted is lost."""

from __future__ import annotations

import contextlib
import json
import socket
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

from tests.fakes import wait_until
from tests.helpers.broker import Broker, Heard, Subscriber, free_port
from tests.helpers.station import PLAYFUL, Station, config_text

ALERTS = "linesight/n1/cam/door/alert"
LIVE = PLAYFUL + "&live=1"


def sequence(heard: Sequence[Heard]) -> list[int]:
    """The ``seq`` of each alert that came."""
    return [json.loads(message.payload)["seq"] for message in heard if message.topic == ALERTS]


def accepted(state_dir: Path) -> int:
    """How many alerts the outbox ever took on the topic; while no station runs."""
    database = sqlite3.connect(state_dir / "outbox.db")
    try:
        row = database.execute(
            "SELECT value FROM meta WHERE key = ?", (f"seq:{ALERTS}",)
        ).fetchone()
        return int(row[0]) if row else 0
    finally:
        database.close()


def test_a_broker_that_comes_late_gets_everything_in_order(tmp_path: Path) -> None:
    """Alerts accumulate on disk while there is no broker; then all come in order (F38)."""
    broker = Broker(tmp_path)
    text = config_text(tmp_path / "state", broker.port, {"door": LIVE})
    with Station(tmp_path, text) as station:
        wait_until(lambda: station.log.count(" end: ") >= 2, 30, "alerts without a broker")
        with broker, Subscriber(broker.port, ALERTS) as subscriber:
            began = time.monotonic()
            heard = subscriber.wait_for(lambda m: len(m) >= 4, 20)
            assert time.monotonic() - began < 15
            assert station.terminate()[0] == 0
            wait_until(lambda: len(sequence(subscriber.messages)) == accepted(tmp_path / "state"))
            heard = list(subscriber.messages)
    assert sequence(heard) == list(range(1, len(heard) + 1))
    first = json.loads(heard[0].payload)
    assert first["replayed"] is True
    assert "replayed" not in json.loads(heard[-1].payload)


def test_kill_loses_nothing_that_was_accepted(tmp_path: Path) -> None:
    """Killed four times, twice with and twice without a broker, and started again each time: the
    subscriber has every accepted alert, in order but for repetitions (F71).
    """
    state = tmp_path / "state"
    broker = Broker(tmp_path, durable=True)
    text = config_text(state, broker.port, {"door": LIVE})
    broker.start()
    with Subscriber(broker.port, ALERTS, client_id="collector") as subscriber:
        for attempt in range(4):
            if attempt == 2:
                broker.kill()
            with Station(tmp_path, text) as station:
                wait_until(lambda s=station: " end: " in s.log, 30)  # type: ignore[misc]
                station.kill()
        before = accepted(state)
        assert before >= 8
        broker.start()
        with Station(tmp_path, text) as station:
            wait_until(lambda: set(sequence(subscriber.messages)) >= set(range(1, before + 1)), 30)
            assert station.terminate()[0] == 0
        total = accepted(state)
        wait_until(lambda: set(sequence(subscriber.messages)) == set(range(1, total + 1)))
        found = sequence(subscriber.messages)
    broker.kill()
    firsts = [number for at, number in enumerate(found) if number not in found[:at]]
    assert firsts == sorted(firsts)


def test_the_twin_sees_a_row_that_was_taken_from_the_outbox(tmp_path: Path) -> None:
    """The twin: one accepted row deleted behind the station's back, and the gap is seen."""
    state = tmp_path / "state"
    broker = Broker(tmp_path)
    text = config_text(state, broker.port, {"door": LIVE})
    with Station(tmp_path, text) as station:
        wait_until(lambda: station.log.count(" end: ") >= 2, 30)
        station.kill()
    total = accepted(state)
    database = sqlite3.connect(state / "outbox.db")
    with database:
        database.execute("DELETE FROM outbox WHERE seq = 1")
    database.close()
    with broker, Subscriber(broker.port, ALERTS) as subscriber, Station(tmp_path, text) as station:
        wait_until(lambda: total in sequence(subscriber.messages), 30)
        station.terminate()
        assert 1 not in sequence(subscriber.messages)
        assert set(range(2, total + 1)) <= set(sequence(subscriber.messages))


def test_the_will_says_offline_after_a_kill(tmp_path: Path) -> None:
    """A station that was killed is said to be offline by the broker, 5 s later, and retained."""
    topic = "linesight/n1/availability"
    with Broker(tmp_path) as broker, Subscriber(broker.port, topic) as subscriber:
        text = config_text(tmp_path / "state", broker.port, {"door": LIVE})
        with Station(tmp_path, text) as station:
            subscriber.wait_for(lambda m: [x.text for x in m][-1:] == ["online"], 20)
            station.kill()
        subscriber.wait_for(lambda m: [x.text for x in m][-1:] == ["offline"], 30)
        with Subscriber(broker.port, topic) as late:
            heard = late.wait_for(lambda m: bool(m))
    assert (heard[0].text, heard[0].retain) == ("offline", True)


def test_sigterm_ends_the_service_while_the_broker_hangs(tmp_path: Path) -> None:
    """A broker that took us and then answers nothing holds the stop for no more than 5 s (F73)."""
    with Broker(tmp_path) as broker:
        text = config_text(tmp_path / "state", broker.port, {"door": LIVE})
        with Station(tmp_path, text) as station:
            station.wait_for_log("broker: connected")
            station.wait_for_log(" new: ")
            broker.pause()
            code, seconds = station.terminate()
        broker.resume()
    assert (code, seconds <= 5) == (0, True), (code, seconds, station.log)
    assert accepted(tmp_path / "state") >= 2


def test_systemd_is_told_of_start_state_and_stop(tmp_path: Path) -> None:
    """READY once without a broker, a STATUS that names what is not well, STOPPING last."""
    text = config_text(tmp_path / "state", free_port(), {"door": LIVE})
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(address)
        supervisor.settimeout(20)
        environment = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "400000"}
        with Station(tmp_path, text, environment=environment) as station:
            told = [supervisor.recv(4096).decode()]
            while not any("broker_unreachable" in line for line in told):
                told.append(supervisor.recv(4096).decode())
            while told[-1] != "WATCHDOG=1":
                told.append(supervisor.recv(4096).decode())
            assert station.terminate()[0] == 0
            supervisor.settimeout(0.2)
            with contextlib.suppress(TimeoutError):
                while True:
                    told.append(supervisor.recv(4096).decode())
    assert told[0] == "READY=1"
    assert told.count("READY=1") == 1
    assert told[-1] == "STOPPING=1"
