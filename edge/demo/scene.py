"""The demo's default picture: a portrait moves through the frame, with a drawn mask at times.

The portrait is NASA's official one of astronaut Eileen Collins, in the public domain; it comes
with scikit-image's wheel, so nothing is downloaded. The mask is drawn, and the frame says so.
"""

from __future__ import annotations

import math
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

from edge.errors import ExtraAbsent, SourceError
from edge.records import Image

WIDTH, HEIGHT, FPS = 640, 480, 15
MASKED_UNTIL, MASKED_FROM = 0.3, 0.7
"""Fractions of the clip: the mask is on before the one and after the other."""

CAPTION = "portrait: NASA, public domain - the mask is drawn by the demo"
FACE = (177, 68, 98, 116)
"""x, y, width, height of the face in the portrait, in its pixels."""

_CUT = (95, 0, 260, 430)  # what of the portrait is shown: x, y, width, height
_SCALE = 1.1
_BACKDROP = (196, 193, 200)  # BGR; near the portrait's own backdrop, so that the edge disappears
_FINE = 4  # the mask is drawn this much larger and then shrunk, for smooth edges

_MASK = (
    *((184, 121), (203, 116), (222, 110), (244, 117), (267, 124), (264, 150)),
    *((254, 170), (238, 183), (221, 187), (204, 182), (192, 168), (186, 149)),
)
_PLEATS = (((187, 136), (224, 139), (265, 137)), ((189, 151), (224, 157), (263, 151)))
_STRAPS = (
    ((184, 122), (175, 112)),
    ((187, 150), (174, 128)),
    ((267, 125), (279, 114)),
    ((264, 150), (276, 131)),
)


def portrait() -> Image:
    """(512, 512, 3) BGR.

    Raises
    ------
    ExtraAbsent
        scikit-image is not installed.
    """
    spec = find_spec("skimage")
    origin = None if spec is None else spec.origin
    # Read directly: importing skimage.data pulls in scipy, a second on a small computer.
    file = None if origin is None else Path(origin).parent / "data" / "astronaut.png"
    image = None if file is None or not file.is_file() else cv2.imread(str(file))
    if image is None:
        raise ExtraAbsent(
            "the demo's portrait comes with scikit-image, which is not installed",
            hint="pip install 'linesight[demo]'",
        )
    return np.asarray(image, dtype=np.uint8)


def face() -> Image:
    """The portrait's face alone, (116, 98, 3) BGR, no mask."""
    x, y, width, height = FACE
    return portrait()[y : y + height, x : x + width]


def render(moment: float) -> Image:
    """One frame, (480, 640, 3) BGR; ``moment`` in [0, 1] runs through the clip."""
    masked = moment < MASKED_UNTIL or moment >= MASKED_FROM
    figure = _figures()[masked]
    # Twice from side to side and back; a person at a door, not at the frame's edge.
    x = (WIDTH - _CUT[2] * _SCALE) / 2 - 140 * math.cos(4 * math.pi * moment)
    y = HEIGHT - _CUT[3] * _SCALE + 6 + 6 * math.sin(16 * math.pi * moment)
    move = np.array([[_SCALE, 0.0, x], [0.0, _SCALE, y]])
    drawn = cv2.warpAffine(figure, move, (WIDTH, HEIGHT), borderValue=_BACKDROP)
    frame = np.asarray(drawn, dtype=np.uint8)
    cv2.rectangle(frame, (0, HEIGHT - 26), (WIDTH, HEIGHT), _BACKDROP, cv2.FILLED)
    text = f"{CAPTION} ({'on' if masked else 'off'})"
    cv2.putText(
        frame, text, (8, HEIGHT - 10), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (60, 60, 60), 1, cv2.LINE_AA
    )
    return frame


def write_clip(path: Path, seconds: float) -> int:
    """Write the clip as Motion JPEG in an AVI, which every OpenCV can write and read.

    Returns
    -------
    int
        How many frames it has, at ``FPS`` frames a second.

    Raises
    ------
    SourceError
        The file cannot be written.
    """
    codec = cv2.VideoWriter_fourcc(*"MJPG")  # type: ignore[attr-defined]
    writer = cv2.VideoWriter(str(path), cv2.CAP_OPENCV_MJPEG, codec, FPS, (WIDTH, HEIGHT))
    if not writer.isOpened():
        raise SourceError(f"{path}: the demo's clip cannot be written there")
    count = max(1, round(seconds * FPS))
    for index in range(count):
        writer.write(render(index / count))
    writer.release()
    return count


@lru_cache(maxsize=1)
def _figures() -> tuple[Image, Image]:
    """The person without and with the mask, (H, W, 3) BGR, faded into the backdrop."""
    image = portrait()
    left, top, width, height = _CUT
    # The sides fade out over 24 pixels, the top over 8; the bottom lies at the frame's edge.
    across = np.clip(np.minimum(np.arange(width), np.arange(width)[::-1]) / 24.0, 0.0, 1.0)
    down = np.clip(np.arange(height) / 8.0, 0.0, 1.0)
    opacity = np.outer(down, across)[..., np.newaxis]
    rest = np.array(_BACKDROP) * (1.0 - opacity)

    def faded(whole: Image) -> Image:
        cut = whole[top : top + height, left : left + width]
        return np.asarray(cut * opacity + rest).astype(np.uint8)

    return faded(image), faded(_with_mask(image))


def _with_mask(image: Image) -> Image:
    """The portrait with a light blue surgical mask, drawn finely and blended in."""
    size = (image.shape[1] * _FINE, image.shape[0] * _FINE)
    large = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    for start, end in _STRAPS:
        cv2.line(large, _fine(start), _fine(end), (235, 232, 228), 2 * _FINE, cv2.LINE_AA)
    outline = np.array([_fine(point) for point in _MASK], np.int32)
    cv2.fillPoly(large, [outline], (222, 200, 158), cv2.LINE_AA)
    cv2.polylines(large, [outline], True, (200, 172, 124), _FINE, cv2.LINE_AA)
    for pleat in _PLEATS:
        line = np.array([_fine(point) for point in pleat], np.int32)
        cv2.polylines(large, [line], False, (196, 170, 126), _FINE, cv2.LINE_AA)
    small = cv2.resize(large, image.shape[1::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(small, (3, 3), 0.6), dtype=np.uint8)


def _fine(point: tuple[int, int]) -> tuple[int, int]:
    return point[0] * _FINE, point[1] * _FINE
