"""Format and size of a picture file, read from its first bytes without decoding it.

A decoder allocates what the header promises: a PNG of 854 KB can ask for 900 MB. Looking first
costs microseconds.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

Format = Literal["PNG", "JPEG", "GIF", "BMP", "WebP", "TIFF"]

_BMP_HEADERS = frozenset(struct.pack("<I", size) for size in (12, 40, 52, 56, 64, 108, 124))


@dataclass(frozen=True, slots=True)
class PictureHeader:
    """What the header says: size in pixels; ``whole`` is False when the end of the file is gone."""

    format: Format
    width: int
    height: int
    whole: bool = True


def picture_format(data: bytes) -> Format | None:
    """The format that the first 18 bytes belong to, None when it is not one of ours."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    # Two letters are a weak sign, so the size of the second header has to be one there is.
    if data.startswith(b"BM") and data[14:18] in _BMP_HEADERS:
        return "BMP"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WebP"
    if data.startswith((b"II*\0", b"MM\0*")):
        return "TIFF"
    return None


def picture_header(data: bytes) -> PictureHeader | None:
    """Format and size of the picture, None when ``data`` is none of ours or its header is cut.

    Parameters
    ----------
    data
        The whole file (of a GIF, the first 10 bytes will do).
    """
    kind = picture_format(data)
    try:
        if kind == "PNG":
            width, height = struct.unpack_from(">II", data, 16)
            return PictureHeader(kind, width, height, whole=data.rfind(b"IEND") > 0)
        if kind == "JPEG":
            return _jpeg(data)
        if kind == "GIF":
            return PictureHeader(kind, *struct.unpack_from("<HH", data, 6))
        if kind == "BMP":
            return _bmp(data)
        if kind == "WebP":
            return _webp(data)
        if kind == "TIFF":
            return _tiff(data)
    except (struct.error, IndexError):  # the file ends within its header
        return None
    return None


def _jpeg(data: bytes) -> PictureHeader | None:
    """Walk the segments up to the frame header (ITU-T T.81, annex B)."""
    at = 2
    while True:
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:  # markers without a segment
            at += 2
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 5)
            # A thumbnail in an earlier segment has an end marker of its own.
            return PictureHeader("JPEG", width, height, whole=data.rfind(b"\xff\xd9") > at)
        else:
            at += 2 + struct.unpack_from(">H", data, at + 2)[0]


def _bmp(data: bytes) -> PictureHeader:
    if struct.unpack_from("<I", data, 14)[0] == 12:  # the OS/2 header
        return PictureHeader("BMP", *struct.unpack_from("<HH", data, 18))
    width, height = struct.unpack_from("<ii", data, 18)
    return PictureHeader("BMP", abs(width), abs(height))  # negative: stored top-down


def _webp(data: bytes) -> PictureHeader | None:
    chunk = data[12:16]
    if chunk == b"VP8X":
        width = int.from_bytes(data[24:27], "little") + 1
        height = int.from_bytes(data[27:30], "little") + 1
        return PictureHeader("WebP", width, height)
    if chunk == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", data, 26)
        return PictureHeader("WebP", width & 0x3FFF, height & 0x3FFF)
    if chunk == b"VP8L" and data[20] == 0x2F:
        bits = struct.unpack_from("<I", data, 21)[0]
        return PictureHeader("WebP", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    return None


def _tiff(data: bytes) -> PictureHeader | None:
    """Find tags 256 (width) and 257 (height) in the first directory, both SHORT or LONG."""
    order = "<" if data.startswith(b"II") else ">"
    directory = struct.unpack_from(order + "I", data, 4)[0]
    sizes: dict[int, int] = {}
    for entry in range(struct.unpack_from(order + "H", data, directory)[0]):
        at = directory + 2 + 12 * entry
        tag, kind = struct.unpack_from(order + "HH", data, at)
        if tag in (256, 257) and kind in (3, 4):
            sizes[tag] = struct.unpack_from(order + ("H" if kind == 3 else "I"), data, at + 8)[0]
    if len(sizes) != 2:
        return None
    return PictureHeader("TIFF", sizes[256], sizes[257])
