"""Asks an HTTP camera for its pictures and reads the head of its answer, within a deadline."""

from __future__ import annotations

import base64
import queue
import re
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlsplit

from edge.errors import SourceUnavailable, UnsupportedSource
from edge.sources.multipart import HEADER_LIMIT, BrokenStream, boundary_of

_BLANK = re.compile(rb"\r?\n\r?\n")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a camera is; ``shown`` is what messages may say of it: no user, no query."""

    secure: bool
    host: str
    port: int
    target: str
    shown: str
    login: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """A stream that has begun: its socket, not blocking, and the bytes behind the head."""

    socket: socket.socket
    boundary: str
    chunked: bool
    rest: bytes


def address_of(uri: str, camera: str) -> Address:
    """Take the URI apart.

    Raises
    ------
    UnsupportedSource
        It names no host or a wrong port, or holds what must be percent-encoded. The message
        repeats nothing of it, for any part may be a piece of a password.
    """
    wrong = UnsupportedSource(
        f"camera {camera!r}: the http source cannot be read",
        hint="write http://user:password@host:port/path, with @ / ? # % in user and password "
        "percent-encoded (%40 %2F %3F %23 %25)",
    )
    if re.search(r"[\x00-\x20\x7f#\\]", uri):
        raise wrong
    try:
        parts = urlsplit(uri)
        host = (parts.hostname or "").encode("idna").decode("ascii")
        secure = parts.scheme.lower() == "https"
        port = parts.port or (443 if secure else 80)
        user, colon, password = parts.netloc.rpartition("@")[0].partition(":")
        login = f"{unquote(user, errors='strict')}:{unquote(password, errors='strict')}"
    except ValueError:
        raise wrong from None
    # An @ behind the host: a password with a bare / or ? has been taken for the host.
    if not host or "@" in parts.path + parts.query:
        raise wrong
    path = quote(parts.path or "/", safe="/%:;,=+$&!*'()~")
    query = "?" + quote(parts.query, safe="/%:;,=+$&!*'()~?[]") if parts.query else ""
    name = f"[{host}]" if ":" in host else host
    place = name if parts.port is None else f"{name}:{port}"
    shown = f"{parts.scheme.lower()}://{place}{path}"
    sent = login.encode() if user or colon else None
    return Address(secure, host, port, path + query, shown, sent)


def ask(address: Address, deadline: float, context: ssl.SSLContext | None) -> Answer:
    """Connect, send the request, read the head.

    Raises
    ------
    TimeoutError
        The deadline (monotonic seconds) has passed.
    OSError, BrokenStream
        The connection failed, or the head is endless.
    UnsupportedSource, SourceUnavailable
        The camera answers with something else than a stream.
    """
    connection = _connect(address, deadline)
    try:
        if address.secure:
            trust = context or ssl.create_default_context()
            connection.settimeout(_left(deadline))
            connection = trust.wrap_socket(connection, server_hostname=address.host)
        connection.settimeout(_left(deadline))
        connection.sendall(_request(address))
        data = bytearray()
        while (match := _BLANK.search(data, 0, HEADER_LIMIT)) is None:
            if len(data) > HEADER_LIMIT:
                raise BrokenStream(f"the header of the answer exceeds {HEADER_LIMIT >> 10} KiB")
            connection.settimeout(_left(deadline))
            piece = connection.recv(8192)
            if not piece:
                raise SourceUnavailable("the camera closed the connection without an answer")
            data += piece
        boundary, chunked = _judge(data[: match.start()].decode("latin-1"))
        connection.setblocking(False)
        return Answer(connection, boundary, chunked, bytes(data[match.end() :]))
    except BaseException:
        connection.close()
        raise


def _judge(head: str) -> tuple[str, bool]:
    """Boundary, and whether the body is chunked."""
    first, *lines = head.splitlines() or [""]
    status = re.match(r"HTTP/1\.[01] ([0-9]{3})(?: |$)", first)
    if status is None:
        raise UnsupportedSource("does not answer in HTTP")
    code = int(status[1])
    fields = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines)
    }
    if code in (401, 403):
        digest = fields.get("www-authenticate", "").lower().startswith("digest")
        raise SourceUnavailable(
            f"the camera refuses us (status {code})",
            hint="it asks for digest authentication, allow basic in its settings"
            if digest
            else "check user and password in the source",
        )
    if 300 <= code < 400:
        raise UnsupportedSource(
            f"sends us to another address (status {code})",
            hint="redirections are not followed: name the address that gives the pictures",
        )
    if code != 200:
        raise SourceUnavailable(f"the camera answers with status {code}")
    kind = fields.get("content-type", "")
    if kind.partition(";")[0].strip().lower() != "multipart/x-mixed-replace":
        raise UnsupportedSource(
            f"gives {kind.partition(';')[0][:60]!r}, not an MJPEG stream",
            hint="single pictures are not polled: name the address of the camera's "
            "multipart/x-mixed-replace stream",
        )
    boundary = boundary_of(kind)
    if boundary is None:
        raise UnsupportedSource("gives a multipart stream without a boundary")
    return boundary, "chunked" in fields.get("transfer-encoding", "").lower()


def _request(address: Address) -> bytes:
    host = f"[{address.host}]" if ":" in address.host else address.host
    # HTTP/1.0: no chunks are asked for, though some send them all the same.
    lines = [
        f"GET {address.target} HTTP/1.0",
        f"Host: {host}:{address.port}",
        "User-Agent: LineSight",
        "Accept: multipart/x-mixed-replace",
    ]
    if address.login is not None:
        lines.append(f"Authorization: Basic {base64.b64encode(address.login).decode('ascii')}")
    return "\r\n".join([*lines, "", ""]).encode("ascii")


def _connect(address: Address, deadline: float) -> socket.socket:
    failure: OSError = OSError("the host's name has no address")
    for family, kind, protocol, _, place in _resolved(address, deadline):
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(_left(deadline))
            connection.connect(place)
        except OSError as error:
            connection.close()
            failure = error
        else:
            return connection
    raise failure


_Found = list[tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[object, ...]]]


def _resolved(address: Address, deadline: float) -> _Found:
    """The host's addresses. A resolver may hang for half a minute, so it is left behind."""
    answers: queue.SimpleQueue[_Found | OSError] = queue.SimpleQueue()

    def resolve() -> None:
        try:
            answers.put(
                list(socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM))
            )
        except OSError as error:
            answers.put(error)

    threading.Thread(target=resolve, name="resolve", daemon=True).start()
    try:
        found = answers.get(timeout=_left(deadline))
    except queue.Empty:
        raise TimeoutError from None
    if isinstance(found, OSError):
        raise found
    return found


def _left(deadline: float) -> float:
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s
