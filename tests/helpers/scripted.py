"""Broker answers that mosquitto never gives: 2.0.11 does not even announce a take-over."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Self

CONNACK = bytes([0x20, 3, 0, 0, 0])
"""MQTT 5: welcome, no properties."""

CONNACK_ONE_AT_A_TIME = bytes([0x20, 6, 0, 0, 3, 0x21, 0, 1])
"""MQTT 5: welcome, Receive Maximum 1."""


def connack(reason: int) -> bytes:
    """MQTT 5: not welcome."""
    return bytes([0x20, 3, 0, reason, 0])


def disconnect(reason: int) -> bytes:
    """MQTT 5: good-bye."""
    return bytes([0xE0, 2, reason, 0])


class ScriptedBroker:
    """Answers every connection with ``reply``; counts them; keeps them open until the end."""

    def __init__(self, reply: bytes) -> None:
        self.connections = 0
        self._reply = reply
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._taken: list[socket.socket] = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def rest(self) -> bytes:
        """What came on the last connection behind CONNECT; waits for the client to close it."""
        taken, found = self._taken[-1], b""
        taken.settimeout(5.0)
        while part := taken.recv(4096):
            found += part
        return found

    def _run(self) -> None:
        with contextlib.suppress(OSError):  # the listener was shut down
            while True:
                taken, _ = self._listener.accept()
                self._taken.append(taken)
                self.connections += 1
                taken.recv(4096)
                taken.sendall(self._reply)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5.0)
        for taken in self._taken:
            taken.close()
