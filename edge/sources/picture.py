"""Pictures in files: one, or a folder of them.

JPEG, PNG, BMP, WebP and TIFF. What comes out is always BGR with 8 bits: grey is repeated in all
channels, 16 bits are reduced to the upper 8, transparency is thrown away (the colour beneath it
stays). The EXIF orientation is applied as OpenCV does it, so that the picture is upright; broken
EXIF data is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from edge.errors import FrameCorrupt, UnsupportedSource
from edge.records import Image
from edge.sources.frames import MAX_PIXELS, checked_image
from edge.sources.picture_header import picture_header

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
"""Files of a folder with other names are passed over."""

# The largest picture that is allowed, uncompressed with 16 bits and transparency.
_MAX_BYTES = MAX_PIXELS * 8


class Pictures:
    """Gives the pictures of some files in order. They have no pace of their own.

    Attributes
    ----------
    shown_s
        None: a picture is due whenever somebody wants it.
    interval_s
        0, for the same reason.
    """

    shown_s: float | None = None
    interval_s = 0.0

    def __init__(self, paths: Sequence[Path], camera: str) -> None:
        self._paths = paths
        self._camera = camera
        self._next = 0

    def advance(self) -> bool:
        """Step to the next picture; False when there is none."""
        self._next += 1
        return self._next <= len(self._paths)

    def picture(self) -> Image:
        """Read and decode the picture stepped to.

        Raises
        ------
        FrameCorrupt
            It cannot be read, is damaged or has too many pixels.
        """
        return read_picture(self._paths[self._next - 1], self._camera)

    def rewind(self) -> None:
        """Begin again before the first picture."""
        self._next = 0

    def close(self) -> None:
        """Nothing is held open between pictures."""


def folder_pictures(folder: Path, camera: str) -> list[Path]:
    """The picture files of a folder in natural order (2 before 10), without those in folders of it.

    Raises
    ------
    UnsupportedSource
        The folder cannot be listed or holds none.
    """
    try:
        paths = [p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.name[0] != "."]
    except OSError as error:
        raise UnsupportedSource(
            f"camera {camera!r}: {folder}: cannot be listed: {error.strerror}"
        ) from error
    if not paths:
        raise UnsupportedSource(
            f"camera {camera!r}: {folder}: holds no pictures",
            hint=f"pictures end in {' '.join(sorted(SUFFIXES))}; folders in it are not searched",
        )
    return sorted(paths, key=_natural)


def read_picture(path: Path, camera: str) -> Image:
    """Decode one picture file.

    Returns
    -------
    Image
        (H, W, 3) uint8, BGR, upright.

    Raises
    ------
    FrameCorrupt
        The file cannot be read, is no picture or a damaged one, or has too many pixels.
    """
    what = f"camera {camera!r}: {path}"
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise FrameCorrupt(f"{what}: cannot be read: {error.strerror}") from error
    if len(data) > _MAX_BYTES:
        raise FrameCorrupt(f"{what}: the file is larger than {_MAX_BYTES >> 20} MiB")
    check_picture(data, what)
    return decode_picture(data, what)


def check_picture(data: bytes, what: str) -> None:
    """Look at a picture's header and end, which costs microseconds.

    Raises
    ------
    FrameCorrupt
        It is no picture, is cut off, or has too many pixels; ``what`` names it.
    """
    header = picture_header(data)
    if header is None:
        raise FrameCorrupt(f"{what}: is not a picture in a format that is read")
    if header.width * header.height > MAX_PIXELS:
        raise FrameCorrupt(
            f"{what}: has {header.width} × {header.height} pixels, allowed are {MAX_PIXELS}"
        )
    if not header.whole:
        raise FrameCorrupt(f"{what}: the end of the {header.format} data is missing")


def decode_picture(data: bytes, what: str) -> Image:
    """Decode a picture whose header has been looked at.

    Returns
    -------
    Image
        (H, W, 3) uint8, BGR, upright.

    Raises
    ------
    FrameCorrupt
        It is damaged; ``what`` names it.
    """
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise FrameCorrupt(f"{what}: OpenCV cannot decode it: {error.err}") from error
    if image is None:
        raise FrameCorrupt(f"{what}: the data are damaged")
    return checked_image(image, what)


def _natural(path: Path) -> list[tuple[int, str]]:
    """Digits compare as numbers: frame2 comes before frame10."""
    parts = re.split(r"([0-9]+)", path.name)
    return [(int(part), "") if i % 2 else (0, part) for i, part in enumerate(parts)]
