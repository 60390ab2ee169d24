"""TLS to a real mosquitto."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from edge.errors import BrokerUnreachable, ConfigError
from edge.protocols import Delivered, Disconnected
from edge.records import ReasonCode
from edge.sinks.mqtt import MqttSettings, MqttSink
from edge.sinks.probe import probe
from tests.helpers.broker import Broker
from tests.helpers.certificates import authority, issue
from tests.helpers.sinks import connect, message, poll_until


def lines(directory: Path, host: str, *more: str) -> list[str]:
    """Configuration of a TLS listener whose certificate is for ``host``."""
    ca = authority(directory, "ca")
    server = issue(directory, ca, "server", host=host)
    return [f"cafile {ca.cert}", f"certfile {server.cert}", f"keyfile {server.key}", *more]


def settings(broker: Broker, **more: object) -> MqttSettings:
    """How to reach the broker."""
    return MqttSettings("127.0.0.1", "sut", broker.port, **more)  # type: ignore[arg-type]


def code(how: MqttSettings) -> ReasonCode:
    """What the health message calls the failure to connect."""
    sink = MqttSink(how)
    sink.open()
    events = poll_until(sink, lambda event: isinstance(event, Disconnected))
    sink.close(1.0)
    return next(event.code for event in events if isinstance(event, Disconnected))


def test_delivers_over_tls(tmp_path: Path) -> None:
    """With the right authority messages are delivered, large ones too."""
    with Broker(tmp_path, lines(tmp_path, "127.0.0.1")) as broker:
        sink = MqttSink(settings(broker, ca=tmp_path / "ca.pem"))
        connect(sink)
        tokens = [sink.send(message("t", "x" * 60_000)) for _ in range(10)]
        poll_until(sink, lambda event: event == Delivered(tokens[-1] or 0, 16))
        sink.close(1.0)


def test_wrong_authority(tmp_path: Path) -> None:
    """A certificate of an unknown authority is refused, and ``insecure`` does not change that."""
    other = authority(tmp_path, "other")
    with Broker(tmp_path, lines(tmp_path, "127.0.0.1")) as broker:
        for insecure in (False, True):
            with pytest.raises(BrokerUnreachable, match="certificate verify failed"):
                probe(settings(broker, ca=other.cert, insecure=insecure))
        assert code(settings(broker, ca=other.cert)) == "tls_failed"


def test_wrong_host_name(tmp_path: Path) -> None:
    """A certificate for another host is refused."""
    with (
        Broker(tmp_path, lines(tmp_path, "broker.example")) as broker,
        pytest.raises(BrokerUnreachable, match=r"certificate verify failed.*mismatch"),
    ):
        probe(settings(broker, ca=tmp_path / "ca.pem"))


def test_client_certificate(tmp_path: Path) -> None:
    """A broker that wants a client certificate takes ours, and its absence is explained."""
    with Broker(tmp_path, lines(tmp_path, "127.0.0.1", "require_certificate true")) as broker:
        ca = tmp_path / "ca.pem"
        client = issue(tmp_path, type(authority(tmp_path, "x"))(ca, tmp_path / "ca.key"), "station")
        probe(settings(broker, ca=ca, cert=client.cert, key=client.key))
        with pytest.raises(BrokerUnreachable, match="closed the connection before it answered"):
            probe(settings(broker, ca=ca))
        assert code(settings(broker, ca=ca)) == "tls_failed"


def test_plain_client_on_a_tls_port(tmp_path: Path) -> None:
    """Plain MQTT to a TLS port is explained."""
    with (
        Broker(tmp_path, lines(tmp_path, "127.0.0.1")) as broker,
        pytest.raises(BrokerUnreachable, match="TLS on both sides"),
    ):
        probe(settings(broker))


def test_tls_client_on_a_plain_port(tmp_path: Path) -> None:
    """TLS to a port that does not speak it is explained."""
    ca = authority(tmp_path, "ca")
    with (
        Broker(tmp_path) as broker,
        pytest.raises(BrokerUnreachable, match=r"127\.0\.0\.1:\d+: "),
    ):
        probe(settings(broker, ca=ca.cert))
    with Broker(tmp_path) as broker:
        assert code(settings(broker, ca=ca.cert)) == "tls_failed"


def test_silent_handshake_is_given_up(tmp_path: Path) -> None:
    """A listener that never answers the handshake is given up after 5 s."""
    ca = authority(tmp_path, "ca")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sink = MqttSink(MqttSettings("127.0.0.1", "sut", listener.getsockname()[1], ca=ca.cert))
        sink.open()
        [event] = poll_until(sink, lambda event: isinstance(event, Disconnected))
        sink.close(1.0)
    assert isinstance(event, Disconnected)
    assert event.reason.endswith("no answer within 5 s")


def test_unreadable_certificates(tmp_path: Path) -> None:
    """A certificate file that is absent or no certificate is a mistake in the configuration."""
    (tmp_path / "junk.pem").write_text("junk")
    for name in ("absent.pem", "junk.pem"):
        with pytest.raises(ConfigError, match=name):
            MqttSink(MqttSettings("127.0.0.1", "sut", ca=tmp_path / name))
    with pytest.raises(ConfigError, match="go together"):
        MqttSettings("127.0.0.1", "sut", ca=tmp_path / "a", cert=tmp_path / "b")
