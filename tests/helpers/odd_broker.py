"""A broker that answers each message as a test wants: what mosquitto never does on command."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from tests.helpers.scripted import CONNACK


@dataclass(frozen=True)
class Sent:
    """An alert as it came; alerts and connections are counted from 1."""

    connection: int
    number: int
    mid: int
    topic: str
    body: dict[str, Any]


def puback(mid: int, reason: int = 0) -> bytes:
    """MQTT 5: what the broker says of a message."""
    return bytes([0x40, 3, mid >> 8, mid & 255, reason])


class OddBroker:
    """Speaks as much MQTT 5 as a station needs, one connection after the other.

    Parameters
    ----------
    answer
        What to say, in whole packets, to each alert; None: close the connection.
    connack
        The greeting of each connection, by its number from 1.
    """

    def __init__(
        self,
        answer: Callable[[Sent], bytes | None] = lambda sent: puback(sent.mid),
        connack: Callable[[int], bytes] = lambda connection: CONNACK,
    ) -> None:
        self.connections = 0
        self.sent: list[Sent] = []
        self._answer = answer
        self._connack = connack
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._taken: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, name="odd-broker", daemon=True)

    def say(self, packets: bytes) -> None:
        """Out of turn, on the connection that stands."""
        assert self._taken is not None
        self._taken.sendall(packets)

    def more_within(self, seconds: float) -> bool:
        """Whether the client says something within so long; for an answer that takes its time."""
        assert self._taken is not None
        poller = select.poll()
        poller.register(self._taken, select.POLLIN)
        return bool(poller.poll(seconds * 1000.0))

    def seqs(self, topic: str) -> list[int]:
        """``seq`` of the alerts that came on a topic, in order."""
        return [sent.body["seq"] for sent in list(self.sent) if sent.topic == topic]

    def _run(self) -> None:
        with contextlib.suppress(OSError):  # the listener was shut down
            while True:
                taken, _ = self._listener.accept()
                self.connections += 1
                self._taken = taken
                with taken, contextlib.suppress(OSError, EOFError):
                    self._serve(taken)

    def _serve(self, taken: socket.socket) -> None:
        while True:
            first = _take(taken, 1)[0]
            size = shift = 0
            while True:
                byte = _take(taken, 1)[0]
                size |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    break
            body = _take(taken, size)
            match first >> 4:
                case 1:
                    taken.sendall(self._connack(self.connections))
                case 3 if first & 6:
                    if (answer := self._published(body)) is None:
                        return
                    taken.sendall(answer)
                case 12:
                    taken.sendall(bytes([0xD0, 0]))
                case 14:
                    return

    def _published(self, body: bytes) -> bytes | None:
        end = 2 + int.from_bytes(body[:2], "big")
        topic, mid = body[2:end].decode(), int.from_bytes(body[end : end + 2], "big")
        if not topic.endswith("/alert"):
            return puback(mid)
        payload = json.loads(body[end + 3 + body[end + 2] :])  # its properties are short
        self.sent.append(Sent(self.connections, len(self.sent) + 1, mid, topic, payload))
        return self._answer(self.sent[-1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        if self._taken is not None:
            with contextlib.suppress(OSError):
                self._taken.shutdown(socket.SHUT_RDWR)
        self._thread.join(5.0)


def _take(taken: socket.socket, count: int) -> bytes:
    """Exactly so many bytes, so that nothing waits anywhere but in the socket."""
    found = b""
    while len(found) < count:
        part = taken.recv(count - len(found))
        if not part:
            raise EOFError
        found += part
    return found
