"""F01-F12 as far as they concern an MJPEG camera, against a real server on 127.0.0.1."""

from __future__ import annotations

import logging
import socket
import struct
import threading
import time
from contextlib import closing, suppress

import pytest

from edge.errors import FrameCorrupt, SourceUnavailable
from edge.sources.http import HttpSource
from edge.sources.picture import check_picture
from tests.helpers.http_camera import HEAD, HttpCamera, hold, jpeg, part
from tests.helpers.media import number_of, png_header

ENDLESS = b"y" * (64 << 10)


def _source(camera: HttpCamera, login: str = "") -> HttpSource:
    return HttpSource(camera.uri(login), camera="c1")


def _opened_and_read(source: HttpSource) -> None:
    source.open()
    source.read()


def test_f01_a_camera_that_never_answers_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    """F01: ``open`` gives up within 5 s with the catalogue's text, and no password is said."""
    caplog.set_level(logging.DEBUG)
    with HttpCamera(lambda connection, _: hold(connection)) as camera:
        source = _source(camera, "user:geheim@")
        began = time.monotonic()
        with pytest.raises(SourceUnavailable) as caught:
            source.open()
        taken_s = time.monotonic() - began

    assert taken_s <= 5.0
    wanted = f"camera 'c1': no answer from http://127.0.0.1:{camera.port}/video within 5 s"
    assert wanted in str(caught.value)
    assert "geheim" not in f"{caught.value!r}{caught.value}{caplog.text}"


def test_f01_an_answer_in_drops_does_not_stretch_the_time() -> None:
    """F01: a head that comes byte by byte is given up after 5 s in all."""
    stop = threading.Event()

    def script(connection: socket.socket, _: int) -> None:
        connection.sendall(b"HTTP/1.0 200 OK\r\nX: ")
        while not stop.wait(0.2):
            connection.sendall(b"y")

    with HttpCamera(script) as camera:
        began = time.monotonic()
        with pytest.raises(SourceUnavailable, match="within 5 s"):
            _source(camera).open()
        taken_s = time.monotonic() - began
        stop.set()

    assert taken_s <= 5.0


@pytest.mark.parametrize("drip", [False, True], ids=["silence", "drops"])
def test_f02_a_stall_after_some_frames_is_noticed(drip: bool) -> None:
    """F02: ``read`` fails within 3 s, of silence or of drops that complete nothing, and frames come
    again as soon as the camera has recovered.
    """
    stop = threading.Event()

    def script(connection: socket.socket, number: int) -> None:
        connection.sendall(HEAD + part(jpeg(number)))
        while drip and number == 0 and not stop.wait(0.2):
            connection.sendall(b"-")
        hold(connection)

    with HttpCamera(script) as camera, closing(_source(camera)) as source:
        source.open()
        source.read()
        began = time.monotonic()
        with pytest.raises(SourceUnavailable, match="no whole picture within 3 s"):
            source.read()
        stalled_s = time.monotonic() - began
        stop.set()
        source.open()
        again = source.read()

    assert stalled_s <= 3.0
    assert number_of(again.decoded().image) == 1


@pytest.mark.parametrize("how", ["end", "reset", "mid-picture"])
def test_f03_a_server_that_closes_is_noticed_at_once(how: str) -> None:
    """F03: the last whole picture is given, the next read fails without waiting, and ``open``
    brings frames again, counted from 0.
    """

    def script(connection: socket.socket, number: int) -> None:
        connection.sendall(HEAD + part(jpeg(number)))
        if number:
            hold(connection)
        if how == "mid-picture":
            connection.sendall(part(jpeg(7))[:-50])
        if how == "reset":
            taken.wait(30)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    taken = threading.Event()
    with HttpCamera(script) as camera, closing(_source(camera)) as source:
        source.open()
        assert number_of(source.read().decoded().image) == 0
        taken.set()
        began = time.monotonic()
        with pytest.raises(SourceUnavailable):
            source.read()
        assert time.monotonic() - began < 2.0
        source.open()
        again = source.read()

    assert (again.sequence, number_of(again.decoded().image)) == (0, 1)


def _read_60(every: int, *, sized: bool = True, stepped: bool = False) -> tuple[int, list[int]]:
    """How many reads said corrupt, and which numbers came, when one in ``every`` is cut off.

    Stepped, a picture is sent for each read; otherwise all at once.
    """
    step = threading.Semaphore(0)

    def script(connection: socket.socket, _: int) -> None:
        connection.sendall(HEAD)
        for number in range(60):
            if stepped:
                step.acquire(timeout=30)
            body = jpeg(number)
            damaged = every and number % every == every - 1
            connection.sendall(part(body[: len(body) // 2] if damaged else body, sized=sized))
        connection.sendall(b"--frame--\r\n")
        hold(connection)

    corrupt = 0
    came: list[int] = []
    with HttpCamera(script) as camera, closing(_source(camera)) as source:
        source.open()
        with suppress(SourceUnavailable):
            while True:
                step.release()
                try:
                    came.append(source.read().sequence)
                except FrameCorrupt:
                    corrupt += 1
    return corrupt, came


def test_f05_every_truncated_picture_is_counted() -> None:
    """F05: of 60 pictures, every fifth cut off, 12 exactly are refused and the other 48 given."""
    corrupt, came = _read_60(5, stepped=True)

    assert corrupt == 12
    assert came == [number for number in range(60) if number % 5 != 4]


@pytest.mark.parametrize("sized", [True, False])
def test_f05_damage_is_counted_although_the_reader_is_slow(sized: bool) -> None:
    """F05: pictures that came together are reduced to the newest, but each damaged one is told,
    with lengths and without.
    """
    corrupt, came = _read_60(5, sized=sized)

    assert corrupt == 12
    assert came == sorted({number for number in came if number % 5 != 4})


def test_f05_twin_whole_pictures_are_not_refused() -> None:
    """F05, the other way round: a stream without damage gives no corrupt frame and all 60."""
    assert _read_60(0, stepped=True) == (0, list(range(60)))


def test_f05_twin_without_the_check_nothing_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """F05: it is the look at header and end that refuses, not the decoder or the parser."""
    monkeypatch.setattr("edge.sources.http.check_picture", lambda *_: None)

    assert _read_60(5, stepped=True) == (0, list(range(60)))


def test_f07_a_bomb_is_refused_by_its_header() -> None:
    """F07: a picture that promises 20000 × 15000 pixels is refused in under 50 ms, undecoded, and
    the next picture comes.
    """
    small = jpeg(1)
    at = small.index(b"\xff\xc0") + 5
    bomb = small[:at] + struct.pack(">HH", 15000, 20000) + small[at + 4 :]
    following = threading.Event()

    def script(connection: socket.socket, _: int) -> None:
        connection.sendall(HEAD + part(bomb) + part(png_header(20000, 15000)))
        following.wait(30)
        connection.sendall(part(small))
        hold(connection)

    with HttpCamera(script) as camera, closing(_source(camera)) as source:
        source.open()
        with pytest.raises(FrameCorrupt, match="20000 × 15000 pixels"):
            source.read()
        with pytest.raises(FrameCorrupt, match="is no JPEG"):
            source.read()
        following.set()
        assert number_of(source.read().decoded().image) == 1
    began = time.monotonic()
    with pytest.raises(FrameCorrupt):
        check_picture(bomb, "bomb")
    assert time.monotonic() - began < 0.05


@pytest.mark.parametrize(
    ("begin", "said"),
    [
        (b"HTTP/1.0 200 OK\r\nX: ", "header of the answer exceeds 64 KiB"),
        (HEAD + b"--frame\r\nX: ", "header of a part exceeds 64 KiB"),
        (HEAD, "no boundary within 64 KiB"),
        (HEAD + b"--frame\r\n\r\n", "a part exceeds 16 MiB"),
        (HEAD + b"--frame\r\nContent-Length: 2147483648\r\n\r\n", "2147483648 bytes is announced"),
    ],
    ids=["answer", "part header", "no boundary", "part", "2 GB"],
)
def test_f12_endless_headers_and_parts_are_closed(begin: bytes, said: str) -> None:
    """F12: the connection is closed at 64 KiB of header and 16 MiB of part."""
    closed = threading.Event()

    def script(connection: socket.socket, _: int) -> None:
        try:
            connection.sendall(begin)
            while True:
                connection.sendall(ENDLESS)
        except OSError:
            closed.set()

    with HttpCamera(script) as camera, closing(_source(camera)) as source:
        with pytest.raises(SourceUnavailable, match=said):
            _opened_and_read(source)
        source.close()
        assert closed.wait(10)


def test_f12_twin_a_header_and_a_part_within_the_limits_are_read() -> None:
    """F12, the other way round: 60 KiB of header and a part of 15 MiB give their picture."""
    large = jpeg(3)[:-2] + bytes(15 << 20) + b"\xff\xd9"

    def script(connection: socket.socket, _: int) -> None:
        connection.sendall(
            HEAD + part(large).replace(b"\r\n", b"\r\nX: " + b"y" * 60000 + b"\r\n", 1)
        )
        hold(connection)

    with HttpCamera(script) as camera, closing(_source(camera)) as source:
        source.open()
        assert source.read().sequence == 0
