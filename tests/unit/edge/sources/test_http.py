"""MJPEG over HTTP: what is asked, what is taken as an answer, what a reader gets."""

from __future__ import annotations

import base64
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from edge.errors import SourceUnavailable, UnsupportedSource
from edge.records import EncodedFrame
from edge.sources import open_source
from edge.sources.http import HttpSource
from tests.helpers.certificates import authority, issue
from tests.helpers.http_camera import HEAD, HttpCamera, hold, jpeg, part
from tests.helpers.media import number_of


def number_in(frame: EncodedFrame) -> int:
    """Which picture this frame holds."""
    return number_of(frame.decoded().image)


@contextmanager
def answering(answer: bytes) -> Iterator[HttpCamera]:
    """A camera that says one thing, then nothing."""

    def script(connection: socket.socket, _: int) -> None:
        connection.sendall(answer)
        hold(connection)

    with HttpCamera(script) as camera:
        yield camera


def test_user_and_password_go_into_the_header_only() -> None:
    """Basic authentication carries both, percent-decoded; path and query go as they stand, and
    no error repeats user, password or query.
    """
    with answering(b"HTTP/1.0 401 No\r\n\r\n") as camera:
        uri = camera.uri("ad%40min:se%3Acr%C3%A9t@", "/a%20b/v.cgi?key=hidden&x=1")
        with pytest.raises(SourceUnavailable, match="status 401") as caught:
            open_source(uri, camera="door").open()

    request = camera.requests[0].decode("ascii").split("\r\n")
    sent = base64.b64encode("ad@min:se:crét".encode()).decode("ascii")
    assert request[0] == "GET /a%20b/v.cgi?key=hidden&x=1 HTTP/1.0"
    assert f"Authorization: Basic {sent}" in request
    shown = f"{caught.value} {caught.value.hint}"
    assert f"http://127.0.0.1:{camera.port}/a%20b/v.cgi" in shown
    assert not [word for word in ("min", "cr", "hidden", sent) if word in shown]


def test_without_a_user_nothing_is_sent() -> None:
    """No login in the URI, no authorization in the request."""
    with answering(HEAD + part(jpeg(1))) as camera, closing(_open(camera)):
        pass

    assert b"authorization" not in camera.requests[0].lower()


@pytest.mark.parametrize(
    "uri",
    [
        "http://",
        "http:///video",
        "http://user:secret@/video",
        "http://user:secret/x@camera/",
        "http://user:12/secret@camera/",
        "http://user:12?secret@camera/",
        "http://user:secret#1@camera/",
        "http://user:secret@camera:99999/",
        "http://user:secret%ff@camera/",
        "http://user:secret@camera/a b",
        "http://user:secret@camera/\r\nX: y",
        "http://user:secret@[::1/",
    ],
)
def test_a_wrong_uri_is_refused_without_repeating_it(uri: str) -> None:
    """What cannot be read may be a piece of a password, so nothing of it is said."""
    with pytest.raises(UnsupportedSource, match="camera 'door'") as caught:
        open_source(uri, camera="door")

    assert "secret" not in f"{caught.value}"
    assert "\n" not in str(caught.value)


def test_size_and_rate_are_for_the_camera_to_set() -> None:
    """A width, height or rate is refused: nothing would heed it."""
    with pytest.raises(UnsupportedSource, match="takes no width"):
        open_source("http://camera/", camera="door", width=640)


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg", UnsupportedSource, "'image/jpeg', not an"),
        (b"HTTP/1.1 200 OK", UnsupportedSource, "not an MJPEG stream"),
        (HEAD[:-13].replace(b"boundary", b""), UnsupportedSource, "without a boundary"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://u:pw@x/", UnsupportedSource, "another address"),
        (b"HTTP/1.1 404 Not Found", SourceUnavailable, "status 404"),
        (b"HTTP/1.1 401 X\r\nWWW-Authenticate: Digest y", SourceUnavailable, "allow basic"),
        (b"RTSP/1.0 200 OK", UnsupportedSource, "does not answer in HTTP"),
    ],
)
def test_other_answers_are_one_clear_line(answer: bytes, kind: type[OSError], said: str) -> None:
    """What is no MJPEG stream is said in one line that names the camera; a redirection is not
    followed and its address, which may hold a password, not repeated.
    """
    with answering(answer + b"\r\n\r\n") as camera, pytest.raises(kind) as caught:
        _open(camera)

    assert str(caught.value).startswith("camera 'door': http://127.0.0.1:")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "pw" not in str(caught.value)
    assert len(camera.requests) == 1


def test_a_slow_reader_gets_the_newest_picture() -> None:
    """Of the pictures that have come only the last is given, and the gap in the sequence counts
    the others.
    """
    sent = threading.Event()

    def script(connection: socket.socket, _: int) -> None:
        connection.sendall(HEAD + part(jpeg(0)))
        sent.wait(30)
        connection.sendall(b"".join(part(jpeg(n)) for n in range(1, 8)))
        connection.shutdown(socket.SHUT_WR)
        hold(connection)

    with HttpCamera(script) as camera, closing(_open(camera)) as source:
        first = source.read()
        sent.set()
        later = [source.read()]
        while later[-1].sequence < 7:
            later.append(source.read())
        with pytest.raises(SourceUnavailable, match="ended the stream"):
            source.read()

    assert (first.sequence, number_in(first)) == (0, 0)
    assert [number_in(frame) for frame in later] == [frame.sequence for frame in later]


def test_what_came_with_the_head_is_one_newest_picture() -> None:
    """Pictures that are there at the first read give one frame, the last."""
    data = b"".join(part(jpeg(n)) for n in range(4))
    with answering(HEAD + data) as camera, closing(_open(camera)) as source:
        frame = source.read()
        while frame.sequence < 3:
            frame = source.read()

        assert number_in(frame) == 3


def test_chunks_are_undone() -> None:
    """A camera that sends chunks although HTTP/1.0 was asked for is read like any other."""
    body = part(jpeg(5), sized=False)
    head = HEAD.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n")
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in (body[:70], body[70:]))
    with answering(head + chunks) as camera, closing(_open(camera)) as source:
        assert number_in(source.read()) == 5


def test_nobody_there_is_said_so() -> None:
    """A refused connection is an error that the station tries again."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    with pytest.raises(SourceUnavailable, match="Connection refused"):
        open_source(f"http://127.0.0.1:{port}/", camera="door").open()


def test_certificates_are_verified(tmp_path: Path) -> None:
    """An https camera is read when its authority is trusted, and refused when it is not."""
    trusted = authority(tmp_path, "ca")
    own = issue(tmp_path, trusted, "camera", host="127.0.0.1")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(own.cert, own.key)

    def script(connection: socket.socket, _: int) -> None:
        connection.sendall(HEAD + part(jpeg(6)))
        hold(connection)

    with HttpCamera(script, server) as camera:
        with pytest.raises(SourceUnavailable, match="certificate verify failed"):
            _open(camera)
        context = ssl.create_default_context(cafile=str(trusted.cert))
        source = HttpSource(camera.uri(), camera="door", context=context)
        with closing(source):
            source.open()
            assert number_in(source.read()) == 6


def _open(camera: HttpCamera) -> HttpSource:
    source = HttpSource(camera.uri(), camera="door")
    source.open()
    return source
