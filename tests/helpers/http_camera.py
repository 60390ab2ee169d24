"""A network camera on 127.0.0.1: a real server whose answers a test writes down."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Self

import cv2

from tests.helpers.media import numbered_image

HEAD = b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"

Script = Callable[[socket.socket, int], None]
"""Serves one connection after its request has been read; the number counts from 0."""


def jpeg(number: int) -> bytes:
    """A ``numbered_image``, compressed."""
    return cv2.imencode(".jpg", numbered_image(number))[1].tobytes()


def part(body: bytes, *, sized: bool = True) -> bytes:
    """A part of the stream."""
    length = f"Content-Length: {len(body)}\r\n" if sized else ""
    return f"--frame\r\nContent-Type: image/jpeg\r\n{length}\r\n".encode() + body + b"\r\n"


def hold(connection: socket.socket) -> None:
    """Say nothing more until the reader hangs up."""
    with contextlib.suppress(OSError):
        while connection.recv(4096):
            pass


class HttpCamera:
    """Serves each connection by a script, in a thread.

    Attributes
    ----------
    requests
        The head of each request, as it came.
    """

    def __init__(self, script: Script, context: ssl.SSLContext | None = None) -> None:
        self._script = script
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.requests: list[bytes] = []
        self._connections: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def uri(self, login: str = "", path: str = "/video") -> str:
        """Where it answers."""
        scheme = "https" if self._context else "http"
        return f"{scheme}://{login}127.0.0.1:{self.port}{path}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            number = len(self._connections) - 1
            thread = threading.Thread(target=self._serve, args=(connection, number), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        with connection, contextlib.suppress(OSError):
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            with connection:
                request = b""
                while b"\r\n\r\n" not in request:
                    piece = connection.recv(4096)
                    if not piece:
                        return
                    request += piece
                self.requests.append(request)
                self._script(connection, number)
