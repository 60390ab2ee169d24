"""A real mosquitto on a random port of 127.0.0.1, and a subscriber that collects what it says.

::

    with Broker(tmp_path) as broker, Subscriber(broker.port, "linesight/#") as subscriber:
        ...
        subscriber.wait_for(lambda messages: len(messages) == 3)
"""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions


def find_mosquitto() -> str:
    """The broker's program.

    Raises
    ------
    FileNotFoundError
        It is not installed; these tests do not skip silently.
    """
    found = shutil.which("mosquitto") or shutil.which("/usr/sbin/mosquitto")
    if found is None:
        raise FileNotFoundError("mosquitto is not installed (apt-get install mosquitto)")
    return found


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Broker:
    """A mosquitto process that survives ``kill`` with its files, so that ``start`` continues it.

    Parameters
    ----------
    directory
        Gets the configuration file, the persistence database and the log.
    lines
        More lines of mosquitto.conf. Anonymous clients are allowed unless a line says otherwise.
    durable
        Write changes to disk at once, after a fashion: mosquitto acknowledges first and writes
        later, and a message for a subscriber that is there is not even a change. ``settle`` before
        ``kill`` when nothing that it has acknowledged may be lost.
    """

    def __init__(
        self, directory: Path, lines: Sequence[str] = (), *, durable: bool = False
    ) -> None:
        self.port = free_port()
        self._directory = directory / f"broker-{self.port}"
        self._directory.mkdir()
        self._process: subprocess.Popen[bytes] | None = None
        self.configure(lines, durable=durable)

    def configure(self, lines: Sequence[str] = (), *, durable: bool = False) -> None:
        """Write the configuration file that the next ``start`` uses."""
        text = [
            f"listener {self.port} 127.0.0.1",
            f"user {getpass.getuser()}",
            "persistence true",
            f"persistence_location {self._directory}/",
            "log_type all",
            f"log_dest file {self._directory}/log",
        ]
        if not any(line.startswith("allow_anonymous") for line in lines):
            text.append("allow_anonymous true")
        if durable:
            text += ["autosave_interval 1", "autosave_on_changes true"]
        (self._directory / "mosquitto.conf").write_text("\n".join([*text, *lines, ""]))

    def start(self, timeout_s: float = 10.0) -> None:
        """Start it and wait until it takes connections."""
        command = [find_mosquitto(), "-c", str(self._directory / "mosquitto.conf")]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"mosquitto ended at once: {self.log()}")
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1.0).close()
            except OSError:
                time.sleep(0.01)
            else:
                return
        self.kill()
        raise TimeoutError(f"mosquitto does not listen after {timeout_s} s: {self.log()}")

    def stop(self) -> None:
        """End it in order (SIGTERM); it saves its database."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Kill it and start it again on the same port."""
        self.kill()
        self.start()

    def settle(self) -> None:
        """Wait until what it has acknowledged so far is on its disk (with ``durable``).

        A new session is a change, each turn of its loop ends with writing when there was one, and
        the subscription is answered in a later turn than the connection.
        """
        with Subscriber(self.port, "settle", client_id="settle"):
            pass

    def reload(self) -> None:
        """Make it read its configuration and access list again."""
        self._signal(signal.SIGHUP)

    def pause(self) -> None:
        """Stop its clock: connections stay open, nothing answers. It stands when this returns."""
        self._signal(signal.SIGSTOP)
        if self._process is not None:
            os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """Undo ``pause``."""
        self._signal(signal.SIGCONT)

    def log(self) -> str:
        """What it wrote so far."""
        path = self._directory / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        if number != signal.SIGKILL:  # a paused broker must wake to end, and must not to be killed
            self._process.send_signal(signal.SIGCONT)
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


@dataclass(frozen=True)
class Heard:
    """A message as the subscriber got it; ``properties`` are MQTT 5 ones, by paho's names."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    dup: bool
    properties: dict[str, Any]

    @property
    def text(self) -> str:
        """The payload as text."""
        return self.payload.decode()


class Subscriber:
    """A client with paho's own thread that collects every message of some topics.

    Parameters
    ----------
    port
        The broker's, on 127.0.0.1.
    topics
        Filters, QoS 1; none: it only publishes.
    client_id
        A name makes the session persistent for an hour: what comes while this client or the broker
        is away is kept for it.
    protocol
        ``5`` or ``3.1.1``.
    username, password
        When the broker asks for them.
    """

    def __init__(
        self,
        port: int,
        *topics: str,
        client_id: str = "",
        protocol: str = "5",
        username: str | None = None,
        password: str | None = None,
    ) -> None:
        self.messages: list[Heard] = []
        self._topics = topics
        self._ready = threading.Event()
        self._changed = threading.Condition()
        self._port = port
        self._five = protocol == "5"
        self._named = bool(client_id)
        version = MQTTProtocolVersion.MQTTv5 if self._five else MQTTProtocolVersion.MQTTv311
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=version,
            clean_session=None if self._five else not self._named,
        )
        self._client.reconnect_delay_set(1, 1)
        if username is not None:
            self._client.username_pw_set(username, password)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message

    def start(self, timeout_s: float = 10.0) -> None:
        """Connect and wait until the broker has granted the subscription."""
        if self._five:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = 3600 if self._named else 0
            self._client.connect(
                "127.0.0.1", self._port, clean_start=not self._named, properties=properties
            )
        else:
            self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        if not self._ready.wait(timeout_s):
            self.stop()
            raise TimeoutError(f"no subscription to {self._topics} after {timeout_s} s")

    def stop(self) -> None:
        """Disconnect and end the thread."""
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, topic: str, payload: bytes | str, *, retain: bool = False) -> None:
        """Publish with QoS 1 and wait until the broker has it."""
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(10.0)

    def wait_for(
        self, predicate: Callable[[Sequence[Heard]], bool], timeout_s: float = 10.0
    ) -> list[Heard]:
        """Wait until the collected messages satisfy a predicate; returns them.

        Raises
        ------
        TimeoutError
            They do not; the text lists what came instead.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: predicate(self.messages), timeout_s):
                heard = [(m.topic, m.payload[:80]) for m in self.messages[-20:]]
                raise TimeoutError(f"after {timeout_s} s: {len(self.messages)} messages: {heard}")
            return list(self.messages)

    def on(self, topic: str) -> list[Heard]:
        """What came on one topic so far."""
        with self._changed:
            return [message for message in self.messages if message.topic == topic]

    def _on_connect(
        self, client: paho.Client, _data: object, _flags: object, _code: object, _properties: object
    ) -> None:
        options = SubscribeOptions(qos=1)
        if not self._topics:
            self._ready.set()
        elif self._five:
            client.subscribe([(topic, options) for topic in self._topics])
        else:
            client.subscribe([(topic, 1) for topic in self._topics])

    def _on_subscribe(
        self,
        _client: paho.Client,
        _data: object,
        _mid: int,
        _codes: list[ReasonCode],
        _properties: object,
    ) -> None:
        self._ready.set()

    def _on_message(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        found: dict[str, Any] = {}
        if message.properties is not None:
            found = message.properties.json()  # type: ignore[no-untyped-call]
        heard = Heard(
            message.topic,
            bytes(message.payload),
            message.qos,
            message.retain,
            message.dup,
            found,
        )
        with self._changed:
            self.messages.append(heard)
            self._changed.notify_all()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
