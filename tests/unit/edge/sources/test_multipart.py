"""How a multipart stream is taken apart, wherever the network cuts it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.sources.multipart import (
    HEADER_LIMIT,
    PART_LIMIT,
    BrokenStream,
    Chunked,
    JpegEnd,
    Multipart,
    boundary_of,
)
from tests.helpers.http_camera import jpeg, part
from tests.helpers.media import with_exif

PICTURES = [jpeg(0), with_exif(jpeg(1), jpeg(2)), jpeg(3)[:-40], jpeg(4), b"", jpeg(5)]
"""With a thumbnail, cut off, and empty."""


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """The data in pieces."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


def parsed(pieces: list[bytes]) -> list[bytes]:
    """The bodies of all pieces."""
    parts = Multipart("frame")
    return [body for piece in pieces for body in parts.feed(piece)]


def stream(sized: list[bool]) -> bytes:
    """The pictures, each with or without its length."""
    pairs = zip(PICTURES, sized, strict=True)
    return b"".join(part(body, sized=s) for body, s in pairs) + b"--frame--\r\n"


@given(st.lists(st.booleans(), min_size=6, max_size=6), st.lists(st.integers(0, 1 << 20)))
def test_pieces_cut_anywhere_give_the_same_parts(sized: list[bool], places: list[int]) -> None:
    """With lengths, without and mixed, the bodies are the same however the stream is cut."""
    data = stream(sized)
    bodies = parsed(cut(data, places))

    assert bodies == parsed([data])
    assert [body.rstrip(b"\r") for body in bodies] == PICTURES


def test_single_bytes_give_the_same_parts() -> None:
    """A byte at a time is enough, and whatever follows the closing boundary is ignored."""
    data = stream([True, False] * 3) + part(jpeg(9))

    assert parsed([data[i : i + 1] for i in range(len(data))]) == parsed([data])
    assert len(parsed([data])) == 6


@given(st.binary(max_size=300), st.lists(st.integers(0, 400)))
def test_any_bytes_are_taken_without_a_crash(noise: bytes, places: list[int]) -> None:
    """Junk between boundaries gives the same bodies however it is cut, and no other error."""
    data = b"--frame\n\n" + noise + b"\n--frame\nContent-Length: 3\n\nabc"

    assert parsed(cut(data, places)) == parsed([data])


def test_a_part_ends_with_its_picture() -> None:
    """A picture without a length is given as soon as its last byte is there."""
    body = with_exif(jpeg(1), jpeg(2))
    parts = Multipart("frame")

    assert parts.feed(part(body, sized=False)[: -len(b"\r\n") - 1]) == []
    assert parts.feed(body[-1:]) == [body]


def test_a_length_that_is_too_long_costs_one_picture_only() -> None:
    """A picture cut off after its length was written does not swallow the next one's boundary."""
    whole = part(jpeg(1))
    data = whole[:-60] + b"\r\n" + part(jpeg(2)) + part(jpeg(3))

    assert parsed([data])[1:] == [jpeg(2), jpeg(3)]


def test_a_boundary_with_dashes_of_its_own_is_found() -> None:
    """Cameras that count the leading dashes as the boundary's are read as the others are."""
    data = part(jpeg(1)).replace(b"--frame", b"----frame")

    assert parsed([data]) == [jpeg(1)]


@pytest.mark.parametrize(
    ("kind", "boundary"),
    [
        ("multipart/x-mixed-replace; boundary=frame", "frame"),
        ('multipart/x-mixed-replace;boundary="a b;c"', "a b;c"),
        ("multipart/x-mixed-replace; charset=x; Boundary=--my.b; q=1", "my.b"),
        ("multipart/x-mixed-replace", None),
        ("multipart/x-mixed-replace; boundary=--", None),
    ],
)
def test_the_boundary_is_read_from_the_content_type(kind: str, boundary: str | None) -> None:
    """Quoted or not, with dashes or without; nothing but dashes is none."""
    assert boundary_of(kind) == boundary


@pytest.mark.parametrize(
    "begin",
    [
        b"",
        b"--frame\r\nX: ",
        b"--frame\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_endless_headers_and_gaps_end_the_stream(begin: bytes) -> None:
    """Without a boundary, or an end of the header, 64 KiB are the limit."""
    parts = Multipart("frame")
    parts.feed(begin + b"y" * (HEADER_LIMIT - 100))

    with pytest.raises(BrokenStream, match="64 KiB"):
        parts.feed(b"y" * 200)


def test_an_endless_part_ends_the_stream() -> None:
    """16 MiB of a part are the limit, announced or not."""
    with pytest.raises(BrokenStream, match="16 MiB"):
        Multipart("frame").feed(b"--frame\nContent-Length: 2000000000\n\n")
    parts = Multipart("frame")
    parts.feed(b"--frame\n\n" + bytes(PART_LIMIT))
    with pytest.raises(BrokenStream, match="16 MiB"):
        parts.feed(b"\0")


def test_the_end_of_a_jpeg_is_not_that_of_its_thumbnail() -> None:
    """The walk over the segments passes an end mark inside of one."""
    body = with_exif(jpeg(1), jpeg(2))

    assert JpegEnd().find(bytearray(body + b"rest\xff\xd9")) == len(body)
    assert JpegEnd().find(bytearray(b"no picture\xff\xd9")) is None


@given(st.lists(st.binary(min_size=1, max_size=50)), st.lists(st.integers(0, 4000)))
def test_chunks_are_joined_wherever_they_are_cut(chunks: list[bytes], places: list[int]) -> None:
    """The chunked coding is undone exactly, and its end is noticed."""
    data = b"".join(b"%x;x=1\r\n%s\r\n" % (len(c), c) for c in chunks) + b"0\r\n\r\n"
    coding = Chunked()

    assert b"".join(map(coding.feed, cut(data, places))) == b"".join(chunks)
    assert coding.ended


@pytest.mark.parametrize("data", [b"zz\r\n", b"-1\r\n", b"1" * 2000, b"\r\n"])
def test_a_chunk_without_a_size_ends_the_stream(data: bytes) -> None:
    """What is no size is no chunk."""
    with pytest.raises(BrokenStream, match="no size"):
        Chunked().feed(data)
