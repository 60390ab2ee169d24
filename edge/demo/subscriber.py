"""Listens to every station under a root and keeps a :class:`edge.demo.fleet.Fleet` of it."""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edge.demo.fleet import Fleet, reduce
from edge.errors import BrokerRefused, BrokerUnreachable, ConfigError
from edge.messages import fleet_topics
from edge.sinks.mqtt_settings import MqttSettings

_LOG = logging.getLogger(__name__)


class Subscriber:
    """A connection to the broker in paho's own thread, as a context manager.

    After a lost connection it connects again and subscribes again by itself.

    Parameters
    ----------
    settings
        The broker; an empty client id lets the broker choose one.
    root
        The first levels of every topic.
    connect_s
        How long entering waits for the broker's answer.
    """

    def __init__(self, settings: MqttSettings, root: str, *, connect_s: float = 5.0) -> None:
        self._settings, self._root, self._connect_s = settings, root, connect_s
        self._changed = threading.Condition()
        self._fleet = Fleet()
        self._subscribed = False
        self._refusal = ""
        five = settings.protocol == "5"
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=settings.client_id,
            protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
        )
        if settings.username is not None:
            self._client.username_pw_set(settings.username, settings.password)
        if settings.ca is not None:
            self._client.tls_set_context(_tls(settings.ca, settings.cert, settings.key))
        self._client.connect_timeout = connect_s
        self._client.reconnect_delay_set(1, 8)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message

    @property
    def fleet(self) -> Fleet:
        """What is known now."""
        with self._changed:
            return self._fleet

    @property
    def connected(self) -> bool:
        """Is the subscription in force?"""
        with self._changed:
            return self._subscribed

    def wait_for(self, predicate: Callable[[Fleet], bool], timeout_s: float) -> bool:
        """Wait until the fleet satisfies a predicate; False when it does not in time."""
        with self._changed:
            return self._changed.wait_for(lambda: predicate(self._fleet), timeout_s)

    def __enter__(self) -> Self:
        """Connect and subscribe.

        Raises
        ------
        BrokerUnreachable
            Nobody answers in time.
        BrokerRefused
            The broker does not want us.
        """
        where = f"{self._settings.host}:{self._settings.port}"
        try:
            self._client.connect(self._settings.host, self._settings.port, keepalive=10)
        except ssl.SSLError as error:
            raise BrokerRefused(
                f"broker {where}: TLS failed: {error.reason or error}",
                hint="is --ca the CA that signed its certificate, and the port its TLS port?",
            ) from error
        except (OSError, ValueError) as error:
            text = getattr(error, "strerror", None) or str(error)
            raise BrokerUnreachable(
                f"broker {where}: {text}", hint="start it, or name another with --host and --port"
            ) from error
        self._client.loop_start()
        with self._changed:
            done = self._changed.wait_for(lambda: self._subscribed or self._refusal, 5.0)
            refusal = self._refusal
        if refusal:
            self.__exit__(None, None, None)
            raise BrokerRefused(f"broker {where}: {refusal}", hint="check user and password")
        if not done:
            self.__exit__(None, None, None)
            raise BrokerUnreachable(f"broker {where}: no answer within {self._connect_s:g} s")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Disconnect and end the thread."""
        self._client.disconnect()
        self._client.loop_stop()

    # An exception in a callback would end paho's thread in silence: they do nothing that can fail.

    def _on_connect(
        self, client: paho.Client, _data: Any, _flags: Any, code: Any, _properties: Any
    ) -> None:
        if code.is_failure:
            with self._changed:
                self._refusal = str(code).lower()
                self._changed.notify_all()
            return
        client.subscribe([(topic, 1) for topic in fleet_topics(self._root)])

    def _on_disconnect(
        self, _client: paho.Client, _data: Any, _flags: Any, code: Any, _properties: Any
    ) -> None:
        with self._changed:
            self._subscribed = False
            self._changed.notify_all()
        _LOG.info("disconnected: %s", code)

    def _on_subscribe(
        self, _client: paho.Client, _data: Any, _mid: int, codes: list[Any], _properties: Any
    ) -> None:
        with self._changed:
            self._subscribed = True
            if all(code.is_failure for code in codes):
                self._refusal = f"no topic under {self._root} may be read"
            self._changed.notify_all()

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        with self._changed:
            self._fleet = reduce(self._fleet, self._root, message.topic, bytes(message.payload))
            self._changed.notify_all()


def _tls(ca: Path, cert: Path | None, key: Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=str(ca))
        if cert is not None:
            context.load_cert_chain(str(cert), None if key is None else str(key))
    except OSError as error:  # SSLError is one
        raise ConfigError(f"TLS files {ca}, {cert}, {key}: {error}") from error
    return context
