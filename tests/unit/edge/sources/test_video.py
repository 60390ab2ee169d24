"""Videos and animated GIFs."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from edge.errors import FrameCorrupt, SourceUnavailable, UnsupportedSource
from edge.protocols import Source
from edge.records import Frame
from edge.sources import open_source
from edge.sources.video import Video
from tests.helpers.data import data_dir
from tests.helpers.media import (
    frames_of,
    number_of,
    write_gif,
    write_video,
)


def _opened(path: Path, options: str = "") -> Source:
    source = open_source(f"file://{path}{options}", camera="door")
    source.open()
    return source


@pytest.mark.parametrize(("suffix", "code"), [("avi", "MJPG"), ("mp4", "mp4v"), ("mkv", "FFV1")])
def test_every_frame_comes_once_and_in_order(tmp_path: Path, suffix: str, code: str) -> None:
    """The frames of a video are those that were written."""
    path = write_video(tmp_path / f"clip.{suffix}", 12, suffix_code=code)

    frames = list(frames_of(_opened(path, "?pace=fast")))

    assert [number_of(frame.image) for frame in frames] == list(range(12))


def _shown_s(path: Path) -> list[float]:
    """When each frame is shown, in seconds since the first."""
    video = Video(path, "camera 'door'")
    shown = []
    while video.advance():
        assert video.shown_s is not None
        shown.append(video.shown_s)
    video.close()
    return shown


def test_a_gif_is_played_by_its_own_delays(tmp_path: Path) -> None:
    """Each picture of a GIF stands as long as the file says, however uneven that is."""
    path = write_gif(tmp_path / "clip.gif", [0.05, 0.3, 0.1, 0.05])

    assert _shown_s(path) == pytest.approx([0.0, 0.05, 0.35, 0.45])
    assert [frame.image[0, 0, 0] for frame in frames_of(_opened(path))] == [20, 30, 40, 50]


def test_the_last_picture_of_a_gif_stands_before_it_begins_again(tmp_path: Path) -> None:
    """Between two rounds there is a pause like the one before, and the pictures repeat."""
    source = _opened(write_gif(tmp_path / "clip.gif", [0.05, 0.05, 0.05]), "?loop=2")
    frames = list(frames_of(source))

    assert [frame.image[0, 0, 0] for frame in frames] == [20, 30, 40, 20, 30, 40]
    assert [frame.sequence for frame in frames] == list(range(6))
    assert (frames[-1].captured_ns - frames[0].captured_ns) / 1e9 >= 0.249


def test_for_ever_is_more_than_once(tmp_path: Path) -> None:
    """``loop=0`` goes on as long as anybody reads."""
    source = _opened(write_video(tmp_path / "clip.avi", 3), "?loop=0&pace=fast")

    numbers = [number_of(frame.image) for frame in frames_of(source, 100)]

    assert numbers == [n % 3 for n in range(100)]


def test_the_uris_rate_wins_over_the_cameras(tmp_path: Path) -> None:
    """``fps`` in the URI, then the camera's key, then the file's own rate."""
    path = write_video(tmp_path / "clip.avi", 4, fps=10.0)
    steps = {}
    for name, uri, key in (("file", "", None), ("key", "", 2.0), ("uri", "?fps=50", 2.0)):
        source = open_source(f"file://{path}{uri}", camera="door", fps=key)
        source.open()
        frame = source.read()
        assert frame is not None
        steps[name] = (source.due_ns - frame.captured_ns) / 1e9

    assert steps == {"file": 0.1, "key": 0.5, "uri": 0.02}


def test_a_reader_that_was_away_is_not_flooded(tmp_path: Path) -> None:
    """Frames missed during a long absence are not played in a burst: the next ones keep their
    distance.
    """
    source = _opened(write_video(tmp_path / "clip.avi", 8), "?fps=20")
    source.read()
    away_until = time.monotonic_ns() + 300_000_000
    while time.monotonic_ns() < away_until:
        time.sleep(0.01)

    late = source.read()
    assert late is not None

    assert source.due_ns == late.captured_ns
    source.read()
    assert source.due_ns >= late.captured_ns + 50_000_000


def test_a_video_whose_end_is_missing_loses_one_frame_and_ends(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A cut video gives what is there, then one FrameCorrupt and a line in the log, then the
    end.
    """
    path = write_video(tmp_path / "clip.avi", 40)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * 0.8)])
    source = _opened(path, "?pace=fast")
    frames: list[Frame] = []

    with pytest.raises(FrameCorrupt, match=r"breaks off after frame \d+ of about 40"):
        frames.extend(frames_of(source))

    assert [number_of(frame.image) for frame in frames[:23]] == list(range(23))
    assert len(frames) < 40
    assert [source.read(), source.read()] == [None, None]
    assert "ends after frame" in caplog.text


def test_a_whole_video_breaks_off_nowhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The twin: the uncut video ends without a word."""
    source = _opened(write_video(tmp_path / "clip.avi", 40), "?pace=fast")

    assert len(list(frames_of(source))) == 40
    assert caplog.text == ""


@pytest.mark.parametrize("name", ["clip.avi", "notes.txt", "notes.bin", "noise.bin", "noise.jpg"])
@pytest.mark.parametrize("content", [b"", b"[station]\nnode = 1\n" * 40, bytes(range(256)) * 800])
def test_what_is_no_video_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    """Empty files, text and junk are refused whatever they are called: FFmpeg would play some of
    them as text art.
    """
    path = tmp_path / name
    path.write_bytes(content)

    with pytest.raises(UnsupportedSource) as caught:
        _opened(path)
    assert str(caught.value).startswith(f"camera 'door': {path}: ")
    assert caught.value.exit_code == 78


def test_a_gif_with_a_huge_screen_is_refused_by_its_header(tmp_path: Path) -> None:
    """The limit on pixels holds before FFmpeg sees the file."""
    path = write_gif(tmp_path / "clip.gif", [0.1])
    data = bytearray(path.read_bytes())
    data[6:10] = b"\xff\xff\xff\xff"
    path.write_bytes(data)

    with pytest.raises(UnsupportedSource, match="65535 × 65535 pixels"):
        _opened(path)


def test_a_video_with_huge_frames_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit on pixels holds for what FFmpeg finds in the file."""
    monkeypatch.setattr("edge.sources.video.MAX_PIXELS", 64 * 48 - 1)

    with pytest.raises(UnsupportedSource, match="64 × 48 pixels, allowed are 3071"):
        _opened(write_video(tmp_path / "clip.avi", 2))


def test_a_colon_in_a_name_is_no_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path that FFmpeg would take for a protocol is a file."""
    write_video(tmp_path / "clip.avi", 2).rename(tmp_path / "tcp:clip.avi")
    monkeypatch.chdir(tmp_path)
    source = open_source("tcp:clip.avi", camera="door")
    source.open()

    assert source.read() is not None


def test_a_file_that_vanishes_between_two_rounds_is_unavailable(tmp_path: Path) -> None:
    """The last picture of the round still comes; then the source has gone, without a crash."""
    path = write_video(tmp_path / "clip.avi", 3)
    source = _opened(path, "?loop=0&pace=fast")
    path.unlink()

    assert [frame.sequence for frame in frames_of(source, 3)] == [0, 1, 2]
    for _ in range(2):
        with pytest.raises(SourceUnavailable, match="holds no picture or video"):
            source.read()


def test_a_damaged_time_stamp_does_not_stop_the_station(tmp_path: Path) -> None:
    """A step of more than a minute is replaced by the one before it."""
    path = write_gif(tmp_path / "clip.gif", [0.05, 600.0, 0.02, 0.02])

    assert _shown_s(path) == pytest.approx([0.0, 0.05, 0.1, 0.12])


def test_time_stamps_that_are_none_are_replaced(tmp_path: Path) -> None:
    """In a bare MPEG-2 stream the last time is 0 and, with OpenCV 4, the first are huge negative
    numbers: the distance between frames stays about the same.
    """
    path = write_video(tmp_path / "clip.m2v", 6, fps=25.0, suffix_code="mpg2")

    assert _shown_s(path) == pytest.approx([0.0, 0.04, 0.08, 0.12, 0.16, 0.2], abs=0.004)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "frames", "seconds"),
    [("classroom.gif", 45, 2.93), ("face-demographics-walking-and-pause.gif", 41, 3.33)],
)
def test_the_real_clips_play_whole_and_in_time(name: str, frames: int, seconds: float) -> None:
    """Number of frames, size and length of the shared clips are those that Pillow and OpenCV's own
    GIF decoder find.
    """
    source = _opened(data_dir("face_mask", "video", name))
    played = list(frames_of(source))
    source.close()

    taken_s = (played[-1].captured_ns - played[0].captured_ns) / 1e9
    assert len(played) == frames
    assert {(frame.width, frame.height) for frame in played} == {(480, 270)}
    assert seconds - 0.005 <= taken_s <= seconds * 1.5
