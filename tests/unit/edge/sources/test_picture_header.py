"""Format and size from a file's first bytes."""

from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.sources.picture_header import picture_format, picture_header
from tests.helpers.media import numbered_image, orientation, png_header, with_exif


def _encoded(suffix: str, *parameters: int) -> bytes:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (37, 53, 3), dtype=np.uint8)
    done, data = cv2.imencode(suffix, image, list(parameters))
    assert done
    return data.tobytes()


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (_encoded(".png"), "PNG"),
        (_encoded(".jpg"), "JPEG"),
        (_encoded(".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1), "JPEG"),
        (_encoded(".bmp"), "BMP"),
        (_encoded(".tiff"), "TIFF"),
        (_encoded(".webp", cv2.IMWRITE_WEBP_QUALITY, 80), "WebP"),
        (_encoded(".webp", cv2.IMWRITE_WEBP_QUALITY, 101), "WebP"),
    ],
)
def test_the_size_is_that_which_opencv_decodes(data: bytes, kind: str) -> None:
    """Of every format that is read, the header's size is the picture's."""
    header = picture_header(data)

    assert header is not None
    assert (header.format, header.width, header.height, header.whole) == (kind, 53, 37, True)


def test_a_wide_webp_tells_its_canvas() -> None:
    """The extended WebP header holds width and height less one, in 24 bits each."""
    data = b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\x1f\x4e\x00" + b"\x97\x3a\x00"

    header = picture_header(data)

    assert header is not None
    assert (header.width, header.height) == (20000, 15000)


def test_a_big_endian_tiff_and_an_old_bmp_are_understood() -> None:
    """The rarer byte orders and header versions give their size too."""
    tiff = (
        b"MM\0*" + struct.pack(">IH", 8, 2)
        + struct.pack(">HHIHH", 256, 3, 1, 300, 0)
        + struct.pack(">HHII", 257, 4, 1, 200)
    )  # fmt: skip
    bmp = b"BM" + bytes(12) + struct.pack("<IHHHH", 12, 300, 200, 1, 24)
    upside_down = b"BM" + bytes(12) + struct.pack("<IiiHH", 40, 300, -200, 1, 24)

    for data in (tiff, bmp, upside_down):
        header = picture_header(data)
        assert header is not None
        assert (header.width, header.height) == (300, 200)


def test_a_gif_needs_ten_bytes() -> None:
    """The size of a GIF's screen stands at its very beginning."""
    header = picture_header(b"GIF89a" + struct.pack("<HH", 65535, 1000))

    assert header is not None
    assert (header.format, header.width, header.height) == ("GIF", 65535, 1000)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_missing_end_is_seen(suffix: str) -> None:
    """A PNG or JPEG that was cut is told from a whole one without decoding it."""
    header = picture_header(_encoded(suffix)[:-30])

    assert header is not None
    assert not header.whole


def test_a_thumbnail_does_not_pass_for_the_picture() -> None:
    """A small JPEG within the EXIF data gives neither size nor end marker."""
    thumbnail = cv2.imencode(".jpg", numbered_image(3, 16, 12))[1].tobytes()
    whole = with_exif(_encoded(".jpg"), orientation(1) + thumbnail)

    header = picture_header(whole)
    cut = picture_header(whole[:-30])

    assert header is not None
    assert cut is not None
    assert (header.width, header.height, header.whole) == (53, 37, True)
    assert not cut.whole


@given(st.binary(max_size=200))
def test_no_bytes_make_it_fail(data: bytes) -> None:
    """Whatever a file holds, the answer is a header or None."""
    picture_header(data)


@given(
    st.sampled_from([".png", ".jpg", ".bmp", ".tiff", ".webp"]),
    st.lists(st.tuples(st.integers(0, 120), st.integers(0, 255)), max_size=8),
    st.integers(0, 400),
)
def test_no_damage_makes_it_fail(suffix: str, damage: list[tuple[int, int]], length: int) -> None:
    """Damaged and cut headers of real files give a header or None, and never loop."""
    data = bytearray(_encoded(suffix)[:length])
    for at, value in damage:
        if at < len(data):
            data[at] = value

    picture_header(bytes(data))


def test_two_letters_do_not_make_a_bitmap() -> None:
    """A text that begins with BM is no picture."""
    assert picture_format(b"BMW and other cars, a list of them") is None
    assert picture_format(b"") is None


def test_the_bomb_is_known_by_its_header() -> None:
    """F07: 20000 × 15000 pixels are read off 1 KB of PNG."""
    header = picture_header(png_header(20_000, 15_000))

    assert header is not None
    assert (header.width, header.height) == (20_000, 15_000)
