"""Single pictures and folders of them."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.errors import FrameCorrupt, SourceNotFound, UnsupportedSource
from edge.protocols import Source
from edge.records import Frame
from edge.sources import open_source
from tests.helpers.media import (
    decoded,
    frames_of,
    number_of,
    numbered_image,
    orientation,
    png_header,
    with_exif,
    write_picture,
)


def _opened(path: Path, options: str = "") -> Source:
    source = open_source(f"file://{path}{options}", camera="door")
    source.open()
    return source


def _only_frame(path: Path) -> Frame:
    source = _opened(path)
    frames = list(frames_of(source))
    source.close()
    assert len(frames) == 1
    return frames[0]


def _read_all(source: Source) -> list[int | str]:
    """The numbers of the pictures, "corrupt" for each that could not be decoded."""
    found: list[int | str] = []
    while True:
        try:
            frame = decoded(source.read())
        except FrameCorrupt:
            found.append("corrupt")
            continue
        if frame is None:
            return found
        found.append(number_of(frame.image))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp", ".tiff"])
def test_every_format_gives_its_picture(tmp_path: Path, suffix: str) -> None:
    """The formats that are documented come out as they were written."""
    assert number_of(_only_frame(write_picture(tmp_path / f"a{suffix}", 7)).image) == 7


def test_what_a_file_is_does_not_depend_on_its_name(tmp_path: Path) -> None:
    """A PNG that is called .mp4 is a picture all the same."""
    path = write_picture(tmp_path / "a.png", 7).rename(tmp_path / "a.mp4")

    assert number_of(_only_frame(path).image) == 7


@pytest.mark.parametrize("kind", ["grey", "alpha", "16 bit"])
def test_other_depths_and_channels_become_colour_bytes(tmp_path: Path, kind: str) -> None:
    """Grey is repeated, transparency dropped, 16 bits reduced to 8, as documented."""
    colour = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    stored, expected = {
        "grey": (colour[:, :, 0], np.repeat(colour[:, :, :1], 3, axis=2)),
        "alpha": (np.dstack([colour, np.zeros((48, 64), np.uint8)]), colour),
        "16 bit": (colour.astype(np.uint16) * 257, colour),
    }[kind]
    path = tmp_path / "a.png"
    assert cv2.imwrite(str(path), stored)

    assert np.array_equal(_only_frame(path).image, expected)


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    """F08: a picture that is stored lying comes out upright, as with ``cv2.imread``."""
    image = numbered_image(3)
    image[:, 32:] = 250
    jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
    path = tmp_path / "a.jpg"
    path.write_bytes(with_exif(jpeg, orientation(6)))

    frame = _only_frame(path)

    assert (frame.width, frame.height) == (48, 64)
    assert frame.image[:30].mean() < 100 < frame.image[34:].mean()
    as_opencv = cv2.imread(str(path))
    assert as_opencv is not None
    assert np.array_equal(frame.image, as_opencv)


def test_broken_exif_does_no_harm(tmp_path: Path) -> None:
    """F08: 64 KiB of malformed EXIF data leave the pixels as they are."""
    jpeg = cv2.imencode(".jpg", numbered_image(3))[1].tobytes()
    path = tmp_path / "a.jpg"
    junk = np.random.default_rng(0).bytes(65_000)
    for payload in (b"II*\0" + junk, junk, b"MM\0*" + b"\xff" * 65_000):
        path.write_bytes(with_exif(jpeg, payload))

        frame = _only_frame(path)

        assert (frame.width, frame.height, number_of(frame.image)) == (64, 48, 3)


def test_a_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    """F07: a PNG that promises 20000 × 15000 pixels is refused in < 50 ms and < 5 MiB."""
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(20_000, 15_000))
    source = open_source(str(path), camera="door")
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()

    with pytest.raises(UnsupportedSource, match="20000 × 15000 pixels, allowed are 16777216"):
        source.open()

    assert time.process_time() - began < 0.05
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 5 * 1024


def test_without_looking_at_the_header_the_decoder_would_be_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twin: with the limit raised the very same file does get to the decoder."""
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(20_000, 15_000))
    asked: list[int] = []

    def decode(data: np.ndarray, flags: int) -> None:
        asked.append(data.size)

    monkeypatch.setattr("edge.sources.picture.MAX_PIXELS", 1 << 40)
    monkeypatch.setattr(cv2, "imdecode", decode)

    with pytest.raises(UnsupportedSource, match="damaged"):
        open_source(str(path), camera="door").open()
    assert asked


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty"),
        (b"\x89PNG\r\n\x1a\n", "is not a picture"),
        (png_header(64, 48)[:-12], "the end of the PNG data is missing"),
        (png_header(0, 0), "damaged"),
        (png_header(1, 1), "only 1 × 1 pixels"),
        (b"just some words\n" * 10, "holds no picture or video"),
        (np.random.default_rng(0).bytes(5000), "holds no picture or video"),
    ],
)
def test_an_unreadable_picture_is_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    """A single file without a picture is refused on opening, with its path and the reason."""
    path = tmp_path / "a.png"
    path.write_bytes(content)

    with pytest.raises(UnsupportedSource) as caught:
        open_source(str(path), camera="door").open()

    assert str(caught.value).startswith(f"camera 'door': {path}: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_single_pixel_is_no_picture(tmp_path: Path) -> None:
    """F06: a 1 × 1 picture, such as drivers give in place of none, is refused."""
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.zeros((1, 1, 3), np.uint8))

    with pytest.raises(UnsupportedSource, match="only 1 × 1 pixels"):
        open_source(str(path), camera="door").open()


def test_a_folder_is_read_in_natural_order(tmp_path: Path) -> None:
    """Numbers in names count as numbers; other files, hidden ones and folders are passed over."""
    for number, name in enumerate(["a2.png", "a10.jpg", "a010b.png", "b1.PNG"]):
        write_picture(tmp_path / name.lower(), number).rename(tmp_path / name)
    (tmp_path / "labels.csv").write_text("a,b")
    write_picture(tmp_path / ".hidden.png", 9)
    write_picture(tmp_path / "deeper.png", 9).rename(tmp_path / "deeper")

    assert _read_all(_opened(tmp_path)) == [0, 1, 2, 3]


def test_a_damaged_picture_in_a_folder_is_one_lost_frame(tmp_path: Path) -> None:
    """Truncated, empty, junk and vanished files raise FrameCorrupt once each, then it goes on, and
    the sequence numbers show the gaps.
    """
    for number in range(9):
        write_picture(tmp_path / f"{number}.jpg", number)
    whole = (tmp_path / "1.jpg").read_bytes()
    (tmp_path / "1.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "3.jpg").write_bytes(b"")
    (tmp_path / "5.jpg").write_bytes(b"junk" * 100)
    source = _opened(tmp_path)
    (tmp_path / "7.jpg").unlink()

    found = _read_all(source)
    source.open()
    numbers = []
    for _ in range(8):
        try:
            frame = source.read()
        except FrameCorrupt:
            continue
        assert frame is not None
        numbers.append(frame.sequence)

    assert found == [0, "corrupt", 2, "corrupt", 4, "corrupt", 6, "corrupt", 8]
    assert numbers == [0, 2, 4, 6, 7]


def test_a_bomb_in_a_folder_is_one_lost_frame(tmp_path: Path) -> None:
    """The limit on pixels holds for the pictures of a folder too."""
    write_picture(tmp_path / "a.png", 1)
    (tmp_path / "b.png").write_bytes(png_header(20_000, 15_000))

    assert _read_all(_opened(tmp_path)) == [1, "corrupt"]


def test_a_folder_of_nothing_but_damage_is_not_played_for_ever(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """``loop=0`` ends after a round in which nothing could be decoded, and the log says so."""
    (tmp_path / "a.png").write_bytes(b"junk")

    assert _read_all(_opened(tmp_path, "?loop=0")) == ["corrupt"]
    assert "not played again" in caplog.text


def test_a_folder_without_pictures_says_what_it_looks_for(tmp_path: Path) -> None:
    """An empty folder is a mistake, and the hint names the endings."""
    (tmp_path / "labels.csv").write_text("a,b")

    with pytest.raises(UnsupportedSource, match=r"holds no pictures .*\.jpeg"):
        _opened(tmp_path)


@pytest.mark.parametrize("name", ["nowhere.png", "a.png/b.png", "x" * 300])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    """A path that leads nowhere is SourceNotFound (exit code 78), whatever the system calls it."""
    write_picture(tmp_path / "a.png", 1)

    with pytest.raises(SourceNotFound, match=r"^camera 'door': /") as caught:
        _opened(tmp_path / name)
    assert caught.value.exit_code == 78


def test_a_relative_path_says_where_it_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hint names the working directory, which a service's user may not expect."""
    monkeypatch.chdir(tmp_path)

    with pytest.raises(SourceNotFound, match=f"looked in {tmp_path}"):
        open_source("nowhere.png", camera="door").open()


def test_a_forbidden_file_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file without the right to read is refused by that name, not as missing."""
    path = write_picture(tmp_path / "a.png", 1)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # the tests may run as root, who may read all

    with pytest.raises(UnsupportedSource, match=r"permission denied \(the service runs under"):
        open_source(str(path), camera="door").open()


def test_a_pipe_does_not_hold_us_up(tmp_path: Path) -> None:
    """A named pipe, which would block for ever, is refused."""
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(UnsupportedSource, match="neither a file nor a folder"):
        open_source(str(tmp_path / "pipe"), camera="door").open()


def test_a_device_given_as_a_file_is_pointed_to_v4l2() -> None:
    """Who writes /dev/… without the scheme is told how to."""
    with pytest.raises(UnsupportedSource, match="write v4l2:///dev/null"):
        open_source("/dev/null", camera="door").open()
