"""A frame of a steel strip, drawn: no data set may be shipped."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from edge.records import Image

WIDTH, HEIGHT = 1600, 256


def strip_frame(seed: int, *, defects: bool) -> Image:
    """A drawn frame, (256, 1600, 3) uint8 BGR, always the same for a seed.

    Grain along the rolling direction and uneven light; with ``defects`` two dark patches, a dark
    inclusion and a bright scratch beside.
    """
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 1, (HEIGHT, WIDTH)).astype(np.float32)
    grain = cv2.GaussianBlur(noise, (0, 0), sigmaX=6, sigmaY=0.7)
    light = cv2.resize(rng.normal(0, 1, (3, 9)).astype(np.float32), (WIDTH, HEIGHT))
    surface = 120 + 6 * grain / grain.std() + 5 * light
    if defects:
        surface += _defects(rng)
    grey = np.clip(surface, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.repeat(grey[..., np.newaxis], 3, axis=2))


def _defects(rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """What the defects add to the grey values."""
    marks = np.zeros((HEIGHT, WIDTH), np.float32)
    for x in (300, 700):
        centre = (x + int(rng.integers(-40, 40)), int(rng.integers(80, 180)))
        cv2.ellipse(marks, centre, (46, 30), float(rng.integers(180)), 0, 360, -70.0, -1)
    x, y = 1000 + int(rng.integers(-40, 40)), int(rng.integers(60, 200))
    cv2.ellipse(marks, (x, y), (40, 5), 8.0, 0, 360, -55.0, -1)
    x, y = 1250 + int(rng.integers(-40, 40)), int(rng.integers(60, 160))
    cv2.line(marks, (x, y), (x + 190, y + int(rng.integers(-40, 40))), 110.0, 4)
    return np.asarray(cv2.GaussianBlur(marks, (0, 0), 1.2), np.float32)
