"""From a URI to a source, and what is said when there is none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edge.errors import DriverAbsent, SourceNotFound, UnsupportedSource
from edge.sources import open_source
from edge.sources.file import FileSource
from edge.sources.http import HttpSource
from edge.sources.synthetic import SyntheticSource
from edge.sources.v4l2 import V4l2Source
from tests.helpers.media import decoded, number_of, write_picture


@pytest.mark.parametrize(
    ("uri", "kind"),
    [
        ("clip.gif", FileSource),
        ("/srv/clip.gif", FileSource),
        ("folder/", FileSource),
        ("a:b.avi", FileSource),
        ("file:clip.gif", FileSource),
        ("file:///srv/clip.gif", FileSource),
        ("FILE:///srv/clip.gif?loop=0", FileSource),
        ("file://localhost/srv/clip.gif", FileSource),
        ("0", V4l2Source),
        ("12", V4l2Source),
        ("v4l2:///dev/video0", V4l2Source),
        ("v4l2:///dev/v4l/by-id/usb-x?fourcc=YUYV", V4l2Source),
        ("http://10.0.0.9/video.mjpg", HttpSource),
        ("https://user:secret@camera/video?x=1", HttpSource),
        ("synthetic://blobs", SyntheticSource),
    ],
)
def test_the_scheme_chooses_the_class(uri: str, kind: type) -> None:
    """Each scheme of this version, the plain path and the plain number build their class, and
    nothing is opened by that.
    """
    assert type(open_source(uri, camera="door")) is kind


@pytest.mark.parametrize("scheme", ["rtsp", "rtsps", "csi", "gstreamer"])
def test_a_scheme_of_a_later_version_is_named_without_its_password(scheme: str) -> None:
    """A known scheme that is not read yet says so and lists those that are; the rest of the URI,
    which may hold a password, is not repeated.
    """
    with pytest.raises(UnsupportedSource) as caught:
        open_source(f"{scheme}://user:secret@10.0.0.9/stream", camera="door")

    text = str(caught.value)
    assert text.startswith(f"camera 'door': {scheme} sources are not read by this version")
    assert "file, v4l2, http, https, synthetic" in text
    assert "secret" not in text


@pytest.mark.parametrize(
    ("uri", "nearest"),
    [("rtps://x", "rtsps"), ("flie:///a", "file"), ("v4l://dev/video0", "v4l2")],
)
def test_an_unknown_scheme_names_the_nearest(uri: str, nearest: str) -> None:
    """A mistyped scheme is answered with the one that was probably meant."""
    with pytest.raises(UnsupportedSource, match=f"did you mean {nearest}"):
        open_source(uri, camera="door")


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("", "is empty"),
        ("file:clip.gif?lop=0", "'lop' is unknown (did you mean loop"),
        ("file:clip.gif?loop", "bad query field"),
        ("file:clip.gif?loop=1&loop=2", "twice"),
        ("file:clip.gif?loop=-1", "loop = '-1' is not a whole number from 0"),
        ("file:clip.gif?loop=1.5", "not a whole number"),
        ("file:clip.gif?loop=٣", "not a whole number"),
        ("file:clip.gif?loop=" + "9" * 5000, "not a whole number"),
        ("file:clip.gif?fps=0", "fps = '0' is not a number from 0.01 to 1000"),
        ("file:clip.gif?fps=nan", "not a number"),
        ("file:clip.gif?pace=slow", "pace = 'slow' is not one of real, fast"),
        ("file://clip.gif", "names another machine"),
        ("file:", "names no file"),
        ("file://?loop=0", "names no file"),
        ("file:///a%00b", "NUL"),
        ("file:///a%ffb", "cannot be read"),
        ("v4l2://video0", "needs the path of a device"),
        ("v4l2://dev/video0", "needs the path of a device"),
        ("v4l2:///dev/video0?fourcc=H264", "not one of MJPG, YUYV, any"),
        ("v4l2:///dev/video0?loop=1", "'loop' is unknown"),
        ("synthetic://blob", "did you mean blobs"),
        ("synthetic://blobs?faces=2&masked=3", "masked = '3' is not a whole number from 0 to 2"),
        ("synthetic://blobs?faces=200&width=32&height=32", "do not fit into 32 × 32"),
        ("synthetic://black?faces=2", "'faces' is unknown"),
        ("synthetic://black?live=1&pace=fast", "contradict"),
    ],
)
def test_a_wrong_uri_is_one_line_that_names_the_camera_and_the_mistake(uri: str, said: str) -> None:
    """Every mistake in a URI is found without opening anything, and is an error of one line."""
    with pytest.raises(UnsupportedSource) as caught:
        open_source(uri, camera="door")

    text = str(caught.value)
    assert text.startswith("camera 'door': ")
    assert said in text
    assert "\n" not in text


def test_a_file_has_no_size_to_ask_for() -> None:
    """A width for a file is refused: nothing would heed it."""
    with pytest.raises(UnsupportedSource, match="width and height are for cameras"):
        open_source("clip.gif", camera="door", width=640)


def test_a_path_may_hold_spaces_and_any_letters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plain path is taken literally, a URI is percent-decoded, and both may be relative."""
    path = write_picture(tmp_path / "Tür 1 #50%3F+a.png", 7)
    monkeypatch.chdir(tmp_path)
    encoded = "T%C3%BCr%201%20%2350%253F+a.png"

    for uri in (
        str(path),
        path.name,
        f"file://{tmp_path}/{encoded}",
        f"file:{encoded}",
        f"file:./{encoded}?loop=2",
        f"file://{tmp_path}/Tür 1 #50%253F+a.png",
    ):
        source = open_source(uri, camera="door")
        source.open()
        frame = decoded(source.read())
        assert frame is not None, uri
        assert number_of(frame.image) == 7
        source.close()


def test_a_plain_path_has_no_options(tmp_path: Path) -> None:
    """In a plain path a question mark is part of the name."""
    source = open_source(str(tmp_path / "a.png?loop=2"), camera="door")

    with pytest.raises(SourceNotFound, match="loop=2: No such file"):
        source.open()


def test_without_opencv_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where OpenCV is not installed the error says what to install (exit code 69)."""
    monkeypatch.delitem(sys.modules, "edge.sources.v4l2")
    monkeypatch.setitem(sys.modules, "cv2", None)

    with pytest.raises(DriverAbsent, match=r"linesight\[edge\]") as caught:
        open_source("0", camera="door")
    assert caught.value.exit_code == 69


def test_each_scheme_loads_its_own_driver_only() -> None:
    """Asking for computed pictures loads no OpenCV."""
    code = (
        "import sys; from edge.sources import open_source; "
        "open_source('synthetic://blobs', camera='door').open(); "
        "sys.exit('cv2' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_native_libraries_are_bounded_before_they_load() -> None:
    """OpenCV's limit on pixels, its wait for a camera and its chatter are set when the package is
    imported, and what the operator has set is kept.
    """
    code = (
        "import os; os.environ['OPENCV_LOG_LEVEL'] = 'INFO'; import edge.sources; "
        "print(*(os.environ[k] for k in ('OPENCV_IO_MAX_IMAGE_PIXELS', "
        "'OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT', 'OPENCV_LOG_LEVEL')))"
    )
    clean = {"PATH": "/usr/bin:/bin"}
    ran = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=clean
    )

    assert ran.stdout.split() == ["16777216", "2", "INFO"]
