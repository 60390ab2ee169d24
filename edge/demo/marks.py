"""Defects of a drawn strip: where they were planted, and what each adds to the steel's grey."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from edge.records import Floats

Label = Literal["inclusion", "patches", "scratches"]

CONTRAST: dict[Label, float] = {"inclusion": -40.0, "patches": -95.0, "scratches": 110.0}
"""Grey values that a defect adds in its middle."""

SCRATCH_MM = 2.0
"""How wide a scratch is at any place; its ``wid_mm`` is how far it wanders across the strip."""

_FINE = 4  # outlines are filled at so many times the resolution
_SOFT_PX = 1.2  # a camera draws no edge sharper
_PAD_PX = 4  # room for the soft edge
_SHIFT = 4  # bits behind the point of cv2's coordinates


@dataclass(frozen=True, slots=True)
class Planted:
    """A known defect of the strip.

    ``x_mm`` counts from the strip's head to where the defect begins, ``y_mm`` from the picture's
    upper edge; ``roll`` names the damaged roll that printed it.
    """

    label: Label
    x_mm: float
    y_mm: float
    len_mm: float
    wid_mm: float
    roll: str | None = None

    def __post_init__(self) -> None:
        if self.label not in CONTRAST:
            raise ValueError(f"Planted.label: {self.label!r} is none of {', '.join(CONTRAST)}")
        for name in ("len_mm", "wid_mm"):
            if not 0 < getattr(self, name) < 1e6:
                raise ValueError(f"Planted.{name}: must be above 0")

    def apart_along(self, other: Planted, gap_mm: float) -> bool:
        """Whether at least so much strip lies between the two."""
        return (
            self.x_mm >= other.x_mm + other.len_mm + gap_mm
            or other.x_mm >= self.x_mm + self.len_mm + gap_mm
        )

    def apart(self, other: Planted, gap_mm: float) -> bool:
        """Whether at least so much clean steel lies between the two, along or across."""
        return (
            self.apart_along(other, gap_mm)
            or self.y_mm >= other.y_mm + other.wid_mm + gap_mm
            or other.y_mm >= self.y_mm + self.wid_mm + gap_mm
        )


@dataclass(frozen=True, slots=True, eq=False)
class Mark:
    """What a defect adds to the grey values, (rows, columns) float32.

    ``left`` and ``top`` are the first column and row, counted on the strip: columns rise with x.
    """

    left: int
    top: int
    change: Floats


def draw(planted: Planted, mm_per_px: float, seed: int, number: int) -> Mark:
    """A defect at its place to a fraction of a pixel, the same for the same arguments.

    Parameters
    ----------
    planted
        What to draw.
    mm_per_px
        Of the strip's pixels.
    seed, number
        The strip's, and the defect's on it. All prints of a roll have one shape.
    """
    own = number if planted.roll is None else zlib.crc32(planted.roll.encode())
    rng = np.random.default_rng((seed, own))
    x, y = planted.x_mm / mm_per_px, planted.y_mm / mm_per_px
    length, width = planted.len_mm / mm_per_px, planted.wid_mm / mm_per_px
    left, top = math.floor(x) - _PAD_PX, math.floor(y) - _PAD_PX
    size = (math.ceil(length) + 2 * _PAD_PX + 1, math.ceil(width) + 2 * _PAD_PX + 1)
    outline = _outline(planted, rng) * (length, width) + (x - left, y - top)
    # cv2 counts from the middle of the first pixel, the strip from its edge.
    points = np.round((outline * _FINE - 0.5) * (1 << _SHIFT)).astype(np.int32)
    fine = np.zeros((size[1] * _FINE, size[0] * _FINE), np.uint8)
    cv2.fillPoly(fine, [points], 255, shift=_SHIFT)
    covered = cv2.resize(fine, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    soft = cv2.GaussianBlur(covered, (0, 0), _SOFT_PX)
    return Mark(left, top, np.asarray(soft * CONTRAST[planted.label], np.float32))


def _outline(planted: Planted, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """(N, 2) points around a defect that fills the square from 0 to 1."""
    if planted.label == "patches":
        points = _blotch(rng)
    elif planted.label == "inclusion":
        points = _lens(rng)
    else:
        points = _line(planted, rng)
    low, high = points.min(axis=0), points.max(axis=0)
    square: npt.NDArray[np.float64] = (points - low) / (high - low)
    return square


def _blotch(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    angle = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    radius = np.ones(96)
    for wave in range(2, 8):
        radius += rng.uniform(0.04, 0.2) / wave**0.5 * np.cos(wave * angle + rng.uniform(0, 6.28))
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def _lens(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Long and pointed, with a ragged edge."""
    along = 0.5 - 0.5 * np.cos(np.linspace(0, np.pi, 40))
    half = np.sin(np.pi * along) ** 0.8
    middle = 0.15 * np.sin(2 * np.pi * (along * rng.uniform(0.5, 1.5) + rng.uniform()))
    upper = middle - half * rng.uniform(0.75, 1.0, 40)
    lower = middle + half * rng.uniform(0.75, 1.0, 40)
    return _closed(along, upper, lower)


def _line(planted: Planted, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """As wide everywhere but at its ends, along a line that wanders."""
    along = np.linspace(0, 1, max(40, round(planted.len_mm / 5)))
    wander = along + 0.15 * np.sin(2 * np.pi * (along * rng.uniform(1, 2.5) + rng.uniform()))
    wander = (wander - wander.min()) / (wander.max() - wander.min())
    if rng.uniform() < 0.5:
        wander = 1 - wander
    line_mm = min(SCRATCH_MM, planted.wid_mm)
    middle = wander * (planted.wid_mm - line_mm)
    half = line_mm / 2 * np.minimum(1.0, 0.3 + 0.7 * np.minimum(along, 1 - along) / 0.04)
    return _closed(along, middle - half, middle + half)


def _closed(
    along: npt.NDArray[np.float64],
    upper: npt.NDArray[np.float64],
    lower: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """The way there on one side and back on the other."""
    there, back = np.stack([along, upper], axis=1), np.stack([along, lower], axis=1)
    return np.concatenate([there, back[::-1]])
