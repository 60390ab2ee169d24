"""A frame with exactly so many faces, for benchmarks: the demo's portrait, tiled."""

from __future__ import annotations

import math

import cv2
import numpy as np

from edge.demo import scene
from edge.records import Floats, Image

WIDTH, HEIGHT = 640, 480
MOST = 192
"""Faces that still have a dozen pixels each."""

_HEAD = (150, 8, 156, 190)  # of the portrait, with hair and chin: x, y, width, height


def crowd(count: int) -> tuple[Image, Floats]:
    """A frame and where its faces are.

    Parameters
    ----------
    count
        How many faces, 1 to :data:`MOST`.

    Returns
    -------
    (480, 640, 3) uint8 BGR, (count, 4) float32
        The picture, and x, y, width, height of each face in its pixels.

    Raises
    ------
    ValueError
        So many do not fit.
    """
    if not 1 <= count <= MOST:
        raise ValueError(f"{count} faces: needs 1 to {MOST}")
    left, top, width, height = _HEAD
    head = scene.portrait()[top : top + height, left : left + width]
    columns = math.ceil(math.sqrt(count * WIDTH / HEIGHT))
    rows = math.ceil(count / columns)
    scale = min(0.95 * WIDTH / columns / width, 0.95 * HEIGHT / rows / height, 1.5)
    small = cv2.resize(head, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    image = np.full((HEIGHT, WIDTH, 3), 190, np.uint8)
    boxes = np.empty((count, 4), np.float32)
    for index in range(count):
        row, column = divmod(index, columns)
        x = round((column + 0.5) * WIDTH / columns - small.shape[1] / 2)
        y = round((row + 0.5) * HEIGHT / rows - small.shape[0] / 2)
        image[y : y + small.shape[0], x : x + small.shape[1]] = small
        face_x, face_y, face_width, face_height = scene.FACE
        offset = ((face_x - left) * scale, (face_y - top) * scale)
        boxes[index] = (x + offset[0], y + offset[1], face_width * scale, face_height * scale)
    return image, boxes
