"""What every ``Source`` keeps, whatever it reads from."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.demo.coil import Coil
from edge.demo.line_camera import StripSource
from edge.demo.motion import Motion
from edge.errors import SourceUnavailable
from edge.protocols import Source
from edge.records import EncodedFrame
from edge.sources import open_source
from edge.sources.http import HttpSource
from edge.sources.uri import parse_uri
from edge.sources.v4l2 import V4l2Source
from tests.fakes_v4l2 import NODE, FakeDriver
from tests.helpers.http_camera import HEAD, HttpCamera, jpeg, part
from tests.helpers.media import (
    frames_of,
    numbered_image,
    wait_until_due,
    write_gif,
    write_picture,
    write_video,
)


@dataclass(frozen=True)
class Case:
    """One source: how to make it, how many frames it has, and how far apart they are due."""

    name: str
    make: Callable[[Path], Source]
    frames: int
    spacing_s: float = 0.0
    endless: bool = False  # after its frames a camera is gone, it does not end


def _video(folder: Path, options: str) -> Source:
    path = write_video(folder / "clip ü.avi", 5)
    return open_source(f"file://{path}{options}", camera="door")


def _gif(folder: Path) -> Source:
    return open_source(str(write_gif(folder / "clip.gif", [0.05] * 4)), camera="door")


def _picture(folder: Path, options: str) -> Source:
    return open_source(f"file://{write_picture(folder / 'a.png', 3)}{options}", camera="door")


def _folder(folder: Path) -> Source:
    for number in (1, 2, 10):
        write_picture(folder / f"shot{number}.png", number)
    return open_source(str(folder), camera="door", fps=20.0)


def _v4l2(_: Path) -> Source:
    driver = FakeDriver([numbered_image(n) for n in range(4)])
    return V4l2Source(parse_uri(f"v4l2://{NODE}", "door"), camera="door", capture=driver)


def _v4l2_compressed(_: Path) -> Source:
    pictures = [cv2.imencode(".jpg", numbered_image(n))[1].reshape(1, -1) for n in range(4)]
    driver = FakeDriver(pictures)
    return V4l2Source(parse_uri(f"v4l2://{NODE}", "door"), camera="door", capture=driver)


class SteppedHttp:
    """An ``HttpSource`` whose camera sends one picture for each read, so that none is left out."""

    live = HttpSource.live
    due_ns = 0

    def __init__(self) -> None:
        self._source = HttpSource("http://127.0.0.1/", camera="door")
        self._server: HttpCamera | None = None
        self._gate = threading.Semaphore(0)

    def open(self) -> None:
        self.close()
        self._gate = threading.Semaphore(0)
        self._server = HttpCamera(partial(self._serve, self._gate))
        self._source = HttpSource(self._server.uri(), camera="door")
        self._source.open()

    def read(self) -> EncodedFrame:
        self._gate.release()
        return self._source.read()

    def close(self) -> None:
        self._source.close()
        self._gate.release(4)
        if self._server is not None:
            self._server.__exit__()
            self._server = None

    @staticmethod
    def _serve(gate: threading.Semaphore, connection: socket.socket, _: int) -> None:
        connection.sendall(HEAD)
        for number in range(4):
            gate.acquire(timeout=30)
            connection.sendall(part(jpeg(number)))


def _synthetic(uri: str) -> Callable[[Path], Source]:
    return lambda _: open_source(f"synthetic://{uri}", camera="door")


def _strip(_: Path) -> Source:
    """Has run out 0.14 s after it began: six frames, if none is lost."""
    coil, motion = Coil(1, 100.0, 24.0, 0.5), Motion(1130.0, 0.0, ramp_s=0.05)
    return StripSource(coil, motion, "door", width_px=64, height_px=48, fps=40.0)


CASES = [
    Case("video", lambda folder: _video(folder, ""), 5, 0.1),
    Case("video twice, own rate", lambda folder: _video(folder, "?loop=2&fps=50"), 10, 0.02),
    Case("video, fast", lambda folder: _video(folder, "?pace=fast"), 5),
    Case("gif", _gif, 4, 0.05),
    Case("picture", lambda folder: _picture(folder, ""), 1),
    Case("picture, repeated", lambda folder: _picture(folder, "?loop=3&fps=40"), 3, 0.025),
    Case("folder", _folder, 3, 0.05),
    Case("v4l2", _v4l2, 4, endless=True),
    Case("v4l2, compressed", _v4l2_compressed, 4, endless=True),
    Case("http", lambda _: SteppedHttp(), 4, endless=True),
    Case("blobs", _synthetic("blobs?width=64&height=48&frames=6&fps=40"), 6, 0.025),
    Case("noise, fast", _synthetic("noise?width=64&height=48&frames=6&pace=fast"), 6),
    Case("gradient", _synthetic("gradient?width=64&height=48&frames=6&fps=40"), 6, 0.025),
    Case("black, live", _synthetic("black?width=64&height=48&frames=6&fps=40&live=1"), 6, 0.025),
    Case("strip", _strip, 6, 0.025),
]


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    """Each source in turn."""
    found: Case = request.param
    return found


@pytest.fixture
def source(case: Case, tmp_path: Path) -> Source:
    """The case's source, not opened."""
    return case.make(tmp_path)


def test_it_is_a_source(source: Source) -> None:
    """It has every part of the protocol, before it is opened too, and may then be read at once."""
    assert isinstance(source, Source)
    assert isinstance(source.live, bool)
    assert source.due_ns == 0


def test_frames_carry_the_camera_and_count_upwards(source: Source, case: Case) -> None:
    """Frames name their camera and their numbers rise from 0, without a gap when not live."""
    source.open()
    frames = list(frames_of(source, case.frames))
    source.close()

    numbers = [frame.sequence for frame in frames]
    assert {frame.camera for frame in frames} == {"door"}
    assert numbers[0] == 0
    if source.live:
        assert all(later > earlier for earlier, later in pairwise(numbers))
    else:
        assert numbers == list(range(case.frames))


def test_images_are_colour_bytes_that_nobody_can_change(source: Source, case: Case) -> None:
    """An image is (H, W, 3) uint8 and read-only, and a later frame does not change it."""
    source.open()
    frames = list(frames_of(source, case.frames))
    copies = [frame.image.copy() for frame in frames]
    source.close()

    for frame, copy in zip(frames, copies, strict=True):
        assert frame.image.dtype == np.uint8
        assert frame.image.ndim == 3
        assert frame.image.shape[2] == 3
        with pytest.raises(ValueError, match="read-only"):
            frame.image[0, 0, 0] = 1
        assert np.array_equal(frame.image, copy)


def test_times_are_of_the_moment_and_never_go_back(source: Source, case: Case) -> None:
    """``captured_ns`` rises, lies between the call and ``ready_ns``, and the UTC time fits it."""
    source.open()
    last_ns = 0
    for _ in range(case.frames):
        wait_until_due(source)
        before_ns = time.monotonic_ns()
        frame = source.read()
        if frame is None:  # a live source may have lost its last frames
            break
        assert last_ns < before_ns <= frame.captured_ns <= frame.ready_ns <= time.monotonic_ns()
        assert abs(datetime.now(UTC) - frame.captured_at) < timedelta(seconds=5)
        last_ns = frame.captured_ns
    source.close()


def test_frames_are_due_at_the_pace_of_the_source(source: Source, case: Case) -> None:
    """The time from the first to the last frame is what the pace says, and never less."""
    source.open()
    frames = list(frames_of(source, case.frames))
    source.close()

    steps = frames[-1].sequence - frames[0].sequence
    taken_s = (frames[-1].captured_ns - frames[0].captured_ns) / 1e9
    assert taken_s >= case.spacing_s * steps - 0.001
    # Generous, for the machine may be busy; what a burst or a double wait would give is outside.
    assert taken_s <= case.spacing_s * steps * 1.5 + 0.5


@pytest.mark.parametrize("uri", ["file:{video}?fps=0.1", "synthetic://black?fps=0.1"])
def test_reading_never_sleeps(uri: str, tmp_path: Path) -> None:
    """A ``read`` before its time returns at once: waiting is the reader's part, who can be
    interrupted.
    """
    video = write_video(tmp_path / "clip.avi", 3)
    source = open_source(uri.format(video=video), camera="door")
    source.open()
    began = time.monotonic()
    source.read()
    assert source.due_ns > time.monotonic_ns() + 5_000_000_000
    source.read()
    taken_s = time.monotonic() - began
    source.close()

    assert taken_s < 5.0


def test_the_end_is_none_and_stays_none(source: Source, case: Case) -> None:
    """After the last frame comes None, again and again, at any time; a camera is then gone."""
    source.open()
    list(frames_of(source, case.frames))

    if case.endless:
        with pytest.raises(SourceUnavailable):
            source.read()
    else:
        wait_until_due(source)
        assert [source.read() for _ in range(3)] == [None, None, None]
        assert source.due_ns == 0
    source.close()


def test_it_can_be_opened_again(source: Source, case: Case) -> None:
    """After ``close``, or in the middle, ``open`` begins anew with the same first picture."""
    source.open()
    first = next(frames_of(source))
    source.close()
    source.open()
    again = next(frames_of(source))
    source.open()
    once_more = next(frames_of(source))
    source.close()

    assert [frame.sequence for frame in (first, again, once_more)] == [0, 0, 0]
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.image, once_more.image)


def test_close_is_harmless_at_any_time(source: Source) -> None:
    """``close`` may come before ``open``, twice, and in the middle."""
    source.close()
    source.open()
    source.read()
    source.close()
    source.close()

    assert source.due_ns == 0


def test_reading_a_closed_source_is_an_error_not_an_end(source: Source) -> None:
    """Without ``open`` a read raises, so that nobody takes it for the end."""
    with pytest.raises(SourceUnavailable, match="not open"):
        source.read()
