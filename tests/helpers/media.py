"""Makes small videos, GIFs and pictures for tests, and reads sources as the service does."""

from __future__ import annotations

import struct
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from edge.protocols import Source
from edge.records import EncodedFrame, Frame, Image


def numbered_image(number: int, width: int = 64, height: int = 48) -> Image:
    """A smooth picture whose brightness tells its number, modulo 23: see ``number_of``."""
    return np.full((height, width, 3), 20 + 10 * (number % 23), np.uint8)


def number_of(image: Image) -> int:
    """Which ``numbered_image`` this is, whatever a codec did to it."""
    return round((float(image.mean()) - 20) / 10)


def write_video(path: Path, frames: int, fps: float = 10.0, suffix_code: str = "MJPG") -> Path:
    """A video of ``numbered_image``s."""
    fourcc = cv2.VideoWriter.fourcc(*suffix_code)
    writer = cv2.VideoWriter(str(path), fourcc, fps, (64, 48))
    for number in range(frames):
        writer.write(numbered_image(number))
    writer.release()
    return path


def write_picture(path: Path, number: int) -> Path:
    """One ``numbered_image`` in the format that the suffix names."""
    if not cv2.imwrite(str(path), numbered_image(number)):
        raise AssertionError(f"OpenCV did not write {path}")
    return path


def write_gif(path: Path, delays_s: Sequence[float]) -> Path:
    """An animated GIF, one grey 16 × 12 picture for each delay, written by hand (GIF89a)."""
    width, height = 16, 12
    palette = b"".join(bytes([i * 2] * 3) for i in range(128))
    parts = [b"GIF89a", struct.pack("<HHBBB", width, height, 0xF6, 0, 0), palette]
    for number, delay in enumerate(delays_s):
        parts.append(b"\x21\xf9\x04" + struct.pack("<BHBB", 4, round(delay * 100), 0, 0))
        parts.append(b"\x2c" + struct.pack("<HHHHB", 0, 0, width, height, 0))
        # Codes of 8 bits with a clear code (128) often enough that the width never grows.
        codes = b"".join(b"\x80" + bytes([10 + 5 * number] * 64) for _ in range(3)) + b"\x81"
        parts.append(b"\x07" + bytes([len(codes)]) + codes + b"\0")
    path.write_bytes(b"".join(parts) + b"\x3b")
    return path


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises a size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def with_exif(jpeg: bytes, payload: bytes) -> bytes:
    """The JPEG with an EXIF segment put in behind its first marker."""
    segment = b"Exif\0\0" + payload
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + jpeg[2:]


def orientation(value: int) -> bytes:
    """EXIF data that say nothing but the orientation."""
    entry = struct.pack("<HHII", 0x0112, 3, 1, value)
    return b"II*\0" + struct.pack("<IH", 8, 1) + entry + struct.pack("<I", 0)


def wait_until_due(source: Source) -> None:
    """Sleep until ``read`` may be called; the test fails by its time limit if that never comes."""
    while (left_ns := source.due_ns - time.monotonic_ns()) > 0:
        time.sleep(left_ns / 1e9)


def decoded(frame: Frame | EncodedFrame | None) -> Frame | None:
    """A frame of a source with its image, as a worker makes it."""
    return frame.decoded() if isinstance(frame, EncodedFrame) else frame


def frames_of(source: Source, limit: int = 1000) -> Iterator[Frame]:
    """Read an open source as the capture thread does, until its end or ``limit`` frames."""
    for _ in range(limit):
        wait_until_due(source)
        frame = decoded(source.read())
        if frame is None:
            return
        yield frame
