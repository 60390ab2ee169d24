"""Faces before a neutral wall, so that a condition differs from another in one thing alone."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from edge.records import Image
from tools.conditions.shots import Box, Face, Shot

GREY = 127

WIDTH, HEIGHT = 640, 480
"""The reference's camera."""

CROP_SIDE = 240
"""Longer side of a tidy crop on the canvas: a person a step from the door."""

FACE_SIDE = 150
"""Longer side of a face that was cut from a photo, unless that would enlarge it more than
``ENLARGED`` times: then there is nothing left to see."""

ENLARGED = 2.0

AROUND = 0.6
"""Share of its side that is shown of a photo on each side of a face."""

CROWD_WIDTH, CROWD_HEIGHT = 1280, 960
CROWD_SIDES = (48, 70)
"""Least and greatest longer side of a face in a crowd."""


def portrait(crop: Image, state: str) -> Shot:
    """A tidy crop in the middle of the canvas."""
    patch = scaled(crop, CROP_SIDE / max(crop.shape[:2]))
    canvas = _wall(WIDTH, HEIGHT)
    box = _put(canvas, patch, (WIDTH - patch.shape[1]) // 2, (HEIGHT - patch.shape[0]) // 2)
    return Shot(canvas, (Face(box, state),), exact=False)


def close_up(photo: Image, box: Box, state: str) -> Shot:
    """A face of a photo with what is around it, in the middle of the canvas."""
    x, y, width, height = box
    left, top = max(int(x - AROUND * width), 0), max(int(y - AROUND * height), 0)
    around = photo[
        top : int(y + (1 + AROUND) * height) + 1, left : int(x + (1 + AROUND) * width) + 1
    ]
    scale = min(FACE_SIDE / max(width, height), ENLARGED)
    patch = scaled(around, scale)
    canvas = _wall(WIDTH, HEIGHT)
    across, down, _, _ = _put(
        canvas, patch, (WIDTH - patch.shape[1]) // 2, (HEIGHT - patch.shape[0]) // 2
    )
    placed = (
        across + (x - left) * scale,
        down + (y - top) * scale,
        width * scale,
        height * scale,
    )
    return Shot(canvas, (Face(placed, state),))


def crowd(crops: Sequence[tuple[Image, str]], rng: np.random.Generator) -> Shot:
    """Tidy crops, each in a cell of its own of a large canvas, so that none hides another."""
    columns = int(np.ceil(np.sqrt(len(crops) * CROWD_WIDTH / CROWD_HEIGHT)))
    rows = -(-len(crops) // columns)
    across, down = CROWD_WIDTH // columns, CROWD_HEIGHT // rows
    canvas = _wall(CROWD_WIDTH, CROWD_HEIGHT)
    faces = []
    for cell, (crop, state) in enumerate(crops):
        side = int(rng.integers(*CROWD_SIDES, endpoint=True))
        patch = scaled(crop, side / max(crop.shape[:2]))
        x = cell % columns * across + int(rng.integers(across - patch.shape[1]))
        y = cell // columns * down + int(rng.integers(down - patch.shape[0]))
        faces.append(Face(_put(canvas, patch, x, y), state))
    return Shot(canvas, tuple(faces), exact=False)


def fitted(shot: Shot, smallest: float) -> Shot:
    """A photo as the camera would give it, never enlarged; faces with a shorter side below
    ``smallest`` there do not count.
    """
    scale = min(WIDTH / shot.image.shape[1], HEIGHT / shot.image.shape[0], 1.0)
    faces = []
    for face in shot.faces:
        x, y, width, height = (scale * v for v in face.box)
        counted = min(width, height) >= smallest
        faces.append(Face((x, y, width, height), face.state, counted))
    return Shot(scaled(shot.image, scale), tuple(faces))


def scaled(image: Image, scale: float) -> Image:
    """The picture, made larger or smaller; at least a pixel stays."""
    size = (max(round(image.shape[1] * scale), 1), max(round(image.shape[0] * scale), 1))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size, interpolation=how), np.uint8)


def _wall(width: int, height: int) -> Image:
    return np.full((height, width, 3), GREY, np.uint8)


def _put(canvas: Image, patch: Image, x: int, y: int) -> Box:
    height, width = patch.shape[:2]
    canvas[y : y + height, x : x + width] = patch
    return float(x), float(y), float(width), float(height)
