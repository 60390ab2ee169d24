"""The consumer of docs/consumer.md, as it stands there."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from edge.sinks.mqtt import MqttSettings, MqttSink
from edge.stage import Stage
from tests.fakes import wait_until
from tests.helpers.broker import Broker
from tests.helpers.stages import OutboxRig, PublishRig, alert_message, running

PAGE = Path(__file__).parents[2] / "docs" / "consumer.md"


@contextmanager
def consumer(folder: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """The script of the page in a process of its own, until it is killed."""
    (script,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    file = folder / "consumer.py"
    file.write_text(script)
    process = subprocess.Popen(
        [sys.executable, file, "127.0.0.1", str(port), "linesight", folder / "alerts.db"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def taken(folder: Path) -> list[int]:
    """Numbers of the alerts in the consumer's database, in their order."""
    file = folder / "alerts.db"
    if not file.exists():
        return []
    with closing(sqlite3.connect(file)) as database:
        try:
            rows = database.execute("SELECT id FROM alert ORDER BY rowid").fetchall()
        except sqlite3.OperationalError:
            return []  # it is being made
    return [int(key.split("-")[1]) for (key,) in rows]


@pytest.mark.timeout(120)
def test_every_alert_arrives_once_and_is_confirmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through a kill of the consumer and one of a broker that forgets: each alert is in the
    database once, in order, and none is left on the station's disk.
    """
    monkeypatch.setattr("edge.pipeline.publish.CONFIRM_S", 2.0)
    outbox = OutboxRig(tmp_path)
    with Broker(tmp_path) as broker:
        sink = MqttSink(MqttSettings("127.0.0.1", "sut", broker.port))
        with outbox.running():
            rig = PublishRig(outbox, sink, app_ack=True)
            with running(rig.stage()):
                with consumer(tmp_path, broker.port):
                    for n in range(50):
                        outbox.store.put(alert_message(n))
                    wait_until(lambda: len(taken(tmp_path)) >= 10, timeout_s=20.0)
                for n in range(50, 100):
                    outbox.store.put(alert_message(n))
                broker.kill()
                broker.start()
                with consumer(tmp_path, broker.port):
                    wait_until(lambda: len(taken(tmp_path)) == 100, timeout_s=40.0)
                    wait_until(lambda: outbox.health.status(0).rows == 0, timeout_s=20.0)
    assert sorted(taken(tmp_path)) == list(range(100))


@pytest.mark.timeout(120)
def test_what_a_broker_forgot_is_not_confirmed_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker lost the session, the station is back before the consumer: what nobody took is
    held back, and comes before anything that is newer.
    """
    monkeypatch.setattr("edge.pipeline.publish.NO_CONSUMER_S", 1.0)
    outbox = OutboxRig(tmp_path)
    with Broker(tmp_path) as broker:
        sink = MqttSink(MqttSettings("127.0.0.1", "sut", broker.port))
        with outbox.running():
            rig = PublishRig(outbox, sink, app_ack=True)
            with running(rig.stage()):
                for n in range(20):
                    outbox.store.put(alert_message(n))
                wait_until(lambda: rig.health.is_connected, timeout_s=20.0)
                wait_until(lambda: rig.publisher._parked, timeout_s=20.0)
                with consumer(tmp_path, broker.port):
                    wait_until(lambda: (tmp_path / "alerts.db").exists())
                    for n in range(20, 30):
                        outbox.store.put(alert_message(n))
                    wait_until(lambda: len(taken(tmp_path)) == 30, timeout_s=40.0)
                    wait_until(lambda: outbox.health.status(0).rows == 0, timeout_s=20.0)
    assert taken(tmp_path) == list(range(30))


@pytest.mark.timeout(60)
def test_a_gap_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A station whose outbox was full dropped the oldest: how many is said, and by whom."""
    # The station may be there before the subscription: then the rows come again a while later.
    monkeypatch.setattr("edge.pipeline.publish.CONFIRM_S", 2.0)
    outbox = OutboxRig(tmp_path, max_rows=10)
    with (
        outbox.running(),
        Broker(tmp_path) as broker,
        consumer(tmp_path, broker.port) as process,
    ):

        def publishing() -> Stage:
            sink = MqttSink(MqttSettings("127.0.0.1", "sut", broker.port))
            return PublishRig(outbox, sink, app_ack=True).stage()

        wait_until(lambda: (tmp_path / "alerts.db").exists())
        with running(publishing()):
            for n in range(5):
                outbox.store.put(alert_message(n))
            wait_until(lambda: len(taken(tmp_path)) == 5, timeout_s=40.0)
            wait_until(lambda: outbox.health.status(0).rows == 0, timeout_s=20.0)
        for n in range(5, 35):
            outbox.store.put(alert_message(n))
        wait_until(lambda: outbox.store.accepted == 35)
        with running(publishing()):
            wait_until(lambda: len(taken(tmp_path)) == 15, timeout_s=40.0)
            wait_until(lambda: outbox.health.status(0).rows == 0, timeout_s=20.0)
        process.kill()
        assert process.stdout is not None
        said = process.stdout.read()
    assert "20 dropped before 26" in said
