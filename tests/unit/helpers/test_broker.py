"""The real broker that other tests lean on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.broker import Broker, Subscriber, find_mosquitto


def test_hears_itself(tmp_path: Path) -> None:
    """A subscriber collects what is published, with its properties."""
    with Broker(tmp_path) as broker, Subscriber(broker.port, "a/#") as subscriber:
        subscriber.publish("a/b", b"one")
        heard = subscriber.wait_for(lambda messages: len(messages) == 1)
        assert (heard[0].topic, heard[0].text, heard[0].qos) == ("a/b", "one", 1)


def test_restart_keeps_the_session(tmp_path: Path) -> None:
    """A durable broker keeps a named subscriber's session through kill -9."""
    with Broker(tmp_path, durable=True) as broker:
        with Subscriber(broker.port, "a", client_id="keeper"):
            pass
        with Subscriber(broker.port) as publisher:
            publisher.publish("a", b"kept")
        broker.settle()
        broker.restart()
        with Subscriber(broker.port, "a", client_id="keeper") as subscriber:
            assert subscriber.wait_for(lambda messages: len(messages) == 1)[0].text == "kept"


def test_wait_for_gives_up(tmp_path: Path) -> None:
    """What never comes is a timeout that lists what came."""
    with (
        Broker(tmp_path) as broker,
        Subscriber(broker.port, "a") as subscriber,
        pytest.raises(TimeoutError, match="0 messages"),
    ):
        subscriber.wait_for(lambda messages: len(messages) == 1, timeout_s=0.2)


def test_absent_mosquitto_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without mosquitto the tests fail with the name of the package; they do not skip."""
    monkeypatch.setattr("shutil.which", lambda _name: None)
    with pytest.raises(FileNotFoundError, match="apt-get install mosquitto"):
        find_mosquitto()
