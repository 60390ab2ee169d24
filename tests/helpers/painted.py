"""Painted frames that the fixture bundles judge: bluish blobs wear a mask, reddish ones do not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import cv2
import numpy as np

from edge.records import Frame, Image

WITH_MASK = (255, 60, 60)
"""BGR."""

WITHOUT_MASK = (60, 60, 255)
"""BGR."""

Blob = tuple[float, float, float, tuple[int, int, int]]
"""Centre x, y and side in image pixels, and colour."""


def paint(width: int, height: int, blobs: Sequence[Blob] = ()) -> Image:
    """A dark picture with square blobs."""
    image = np.full((height, width, 3), 30, np.uint8)
    for x, y, side, colour in blobs:
        corner = (round(x - side / 2), round(y - side / 2))
        far = (round(x + side / 2) - 1, round(y + side / 2) - 1)
        cv2.rectangle(image, corner, far, colour, thickness=-1)
    return image


def frame(image: Image) -> Frame:
    """A frame of camera ``door`` with this picture."""
    return Frame(image, "door", 0, 1_000, 2_000, datetime(2025, 1, 1, tzinfo=UTC))
