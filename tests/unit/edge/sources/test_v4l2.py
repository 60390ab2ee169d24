"""Cameras behind Video4Linux2, with a fake at the seam of OpenCV."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.errors import FrameCorrupt, SourceUnavailable, UnsupportedSource
from edge.records import EncodedFrame, Frame
from edge.sources.uri import parse_uri
from edge.sources.v4l2 import V4l2Source
from tests.fakes_v4l2 import NODE, FakeDriver, decoder_error
from tests.helpers.media import decoded, frames_of, number_of, numbered_image


def _source(driver: FakeDriver, uri: str = f"v4l2://{NODE}", **keys: Any) -> V4l2Source:
    return V4l2Source(parse_uri(uri, "door"), camera="door", capture=driver, **keys)


def test_what_is_asked_for_is_set_format_first() -> None:
    """Format, size, rate and the smallest buffer are asked for, the format before the size."""
    driver = FakeDriver()
    source = _source(driver, width=1280, height=720, fps=30.0)

    source.open()

    capture = driver.captures[0]
    assert driver.paths == [NODE]
    assert source.live
    assert capture.order[0] == cv2.CAP_PROP_FOURCC
    assert capture.properties == {
        cv2.CAP_PROP_FOURCC: cv2.VideoWriter.fourcc(*"MJPG"),
        cv2.CAP_PROP_FRAME_WIDTH: 1280,
        cv2.CAP_PROP_FRAME_HEIGHT: 720,
        cv2.CAP_PROP_FPS: 30,
        cv2.CAP_PROP_BUFFERSIZE: 1,
        cv2.CAP_PROP_CONVERT_RGB: 0,
    }


def test_the_uri_wins_over_the_cameras_keys() -> None:
    """Options in the URI replace the keys, and ``fourcc=any`` leaves the format alone."""
    driver = FakeDriver()

    _source(driver, f"v4l2://{NODE}?width=320&fourcc=any", width=1280).open()

    assert driver.captures[0].properties == {
        cv2.CAP_PROP_FRAME_WIDTH: 320,
        cv2.CAP_PROP_BUFFERSIZE: 1,
    }


def test_what_the_camera_gives_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The log names the camera, its node and the size it works with."""
    caplog.set_level(logging.INFO)

    _source(FakeDriver(), width=640, height=480, fps=15.0).open()

    assert "camera 'door': /dev/null: gives 640 × 480 pixels at 15 frames/s" in caplog.text


def test_an_absent_camera_may_come_later(tmp_path: Path) -> None:
    """F04: without the node the error is one that trying again can help, with a remedy."""
    driver = FakeDriver([numbered_image(1)])
    node = tmp_path / "video0"
    source = _source(driver, f"v4l2://{node}")

    with pytest.raises(SourceUnavailable, match=r"No such file.*v4l2-ctl --list-devices"):
        source.open()
    assert driver.paths == []
    node.symlink_to(NODE)
    source.open()

    assert source.read().sequence == 0


def test_a_forbidden_camera_names_the_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without access rights the remedy is the group ``video``; they may be granted later."""
    monkeypatch.setattr(os, "access", lambda *_: False)

    with pytest.raises(SourceUnavailable, match=r"permission denied .*group `video`"):
        _source(FakeDriver()).open()


def test_a_busy_camera_is_given_back() -> None:
    """A device that does not open is released at once and said to be in use."""
    driver = FakeDriver(opens=False)

    with pytest.raises(SourceUnavailable, match=f"in use.*`fuser {NODE}`"):
        _source(driver).open()
    assert driver.captures[0].released


def test_an_open_that_raises_is_unavailable() -> None:
    """An OpenCV error on opening becomes ours."""

    def fail(path: str) -> Any:
        raise decoder_error(f"{path} broke")

    source = V4l2Source(parse_uri(f"v4l2://{NODE}", "door"), camera="door", capture=fail)

    with pytest.raises(SourceUnavailable, match="cannot be opened: /dev/null broke"):
        source.open()


def test_a_file_is_no_camera(tmp_path: Path) -> None:
    """A path that is no device is a mistake in the configuration, which waiting does not cure."""
    (tmp_path / "clip.avi").write_bytes(b"x")

    with pytest.raises(UnsupportedSource, match="is not a device"):
        _source(FakeDriver(), f"v4l2://{tmp_path}/clip.avi").open()


def test_a_pulled_cable_is_unavailable_although_opencv_says_it_is_open() -> None:
    """``isOpened`` is not believed: no frame means no camera, until it is opened again."""
    driver = FakeDriver([numbered_image(1)])
    source = _source(driver)
    source.open()
    source.read()

    with pytest.raises(SourceUnavailable, match="gives no frames"):
        source.read()
    assert driver.captures[0].isOpened()
    source.open()

    assert driver.captures[0].released
    assert source.read().sequence == 0


def test_a_grab_that_raises_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    """An OpenCV error while waiting becomes ours."""
    driver = FakeDriver([numbered_image(1)])
    source = _source(driver)
    source.open()

    def fail() -> bool:
        raise decoder_error("ioctl broke")

    monkeypatch.setattr(driver.captures[0], "grab", fail)

    with pytest.raises(SourceUnavailable, match="ioctl broke"):
        source.read()


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        (None, "holds no picture"),
        (np.zeros((0, 0, 3), np.uint8), "holds no picture"),
        (np.zeros((1, 1, 3), np.uint8), "only 1 × 1 pixels"),
        (np.zeros((48, 64), np.uint8), "not 8-bit colour"),
        (np.zeros((48, 64, 4), np.uint8), "not 8-bit colour"),
        (np.zeros((48, 64, 3), np.uint16), "not 8-bit colour"),
        (decoder_error("(-215) !buf.empty()"), "buf.empty"),
    ],
    ids=["none", "empty", "1x1", "grey", "alpha", "16 bit", "assertion"],
)
def test_a_frame_that_is_none_is_lost_and_the_next_one_comes(picture: Any, said: str) -> None:
    """F06: what a driver may give in place of a picture costs one sequence number."""
    source = _source(FakeDriver([numbered_image(1), picture, numbered_image(3)]))
    source.open()

    first = source.read()
    with pytest.raises(FrameCorrupt, match="frame 1") as caught:
        source.read()
    third = decoded(source.read())

    assert said in str(caught.value)
    assert third is not None
    assert (first.sequence, third.sequence, number_of(third.image)) == (0, 2, 3)


def test_a_camera_may_change_its_size() -> None:
    """F09: frames of another size are frames."""
    source = _source(FakeDriver([numbered_image(1), numbered_image(2, 128, 96)]))
    source.open()

    sizes = [(frame.width, frame.height) for frame in frames_of(source, 2)]

    assert sizes == [(64, 48), (128, 96)]


def _jpeg(number: int, keep: float = 1.0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """One row of bytes, as OpenCV gives a compressed frame; of the data ``keep`` of them."""
    data = cv2.imencode(".jpg", numbered_image(number))[1].reshape(1, -1)
    return data[:, : round(keep * data.size)]


def test_a_compressed_frame_is_decoded_by_who_judges_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading a MJPG camera decodes nothing; ``decoded`` does, and keeps all but the time."""
    driver = FakeDriver([_jpeg(1), _jpeg(2)])
    source = _source(driver)
    source.open()
    calls: list[int] = []
    decode = cv2.imdecode

    def counted(data: Any, flags: int) -> Any:
        calls.append(flags)
        return decode(data, flags)

    monkeypatch.setattr(cv2, "imdecode", counted)
    first, second = source.read(), source.read()

    assert driver.captures[0].properties[cv2.CAP_PROP_CONVERT_RGB] == 0
    assert isinstance(second, EncodedFrame)
    assert calls == []
    frame = second.decoded()
    assert len(calls) == 1
    assert (first.sequence, frame.sequence, number_of(frame.image)) == (0, 1, 2)
    assert (frame.captured_ns, frame.captured_at) == (second.captured_ns, second.captured_at)
    assert frame.ready_ns > second.ready_ns


def test_a_format_that_is_not_compressed_is_converted_at_once() -> None:
    """The twin: where the camera does not send MJPG, OpenCV converts, as it does by default."""
    driver = FakeDriver([numbered_image(3)])
    source = _source(driver, f"v4l2://{NODE}?fourcc=YUYV")
    source.open()

    assert isinstance(source.read(), Frame)
    assert cv2.CAP_PROP_CONVERT_RGB not in driver.captures[0].properties


def test_a_frame_that_is_cut_off_is_lost_at_once() -> None:
    """F05: a JPEG without its end, or whose header asks for too much, never leaves the source."""
    huge = _jpeg(0)
    at = huge.tobytes().index(b"\xff\xc0") + 5
    huge[0, at : at + 4] = 255
    source = _source(FakeDriver([_jpeg(0, keep=0.9), huge, np.zeros((1, 9), np.uint8), _jpeg(4)]))
    source.open()

    for said in ("end of the JPEG data is missing", "pixels, allowed", "not a picture"):
        with pytest.raises(FrameCorrupt, match=said):
            source.read()
    frame = decoded(source.read())
    assert frame is not None
    assert (frame.sequence, number_of(frame.image)) == (3, 4)


def test_a_node_that_is_no_camera_is_unavailable_with_the_real_opencv() -> None:
    """With OpenCV itself a character device that is no camera does not open."""
    source = V4l2Source(parse_uri(f"v4l2://{NODE}", "door"), camera="door")

    with pytest.raises(SourceUnavailable):
        source.open()
    source.close()
