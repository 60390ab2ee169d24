"""Pictures computed from their number: the same settings and number always give the same bytes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.records import Image

_NOISE_STEP_PX = 64  # the ground repeats after as many frames
_REDDISH = (130, 150, 250)  # B, G, R
_BLUISH = (250, 150, 130)
_SMALLEST_PX = 6


@dataclass(frozen=True, slots=True)
class Cast:
    """The blobs of a scene, which stand for faces.

    ``masked`` of the ``faces`` are bluish from beginning to end, the others reddish. From frame
    ``mask_from`` until before frame ``mask_to`` the others are bluish as well.
    """

    faces: int
    masked: int
    mask_from: int
    mask_to: int

    def is_masked(self, face: int, sequence: int) -> bool:
        """Whether a blob is bluish in a frame."""
        return face < self.masked or self.mask_from <= sequence < self.mask_to


class Ground:
    """Noise that changes from frame to frame, all channels alike or each its own.

    Parameters
    ----------
    width, height
        In pixels.
    seed
        Other seeds, other noise.
    brightest
        Values are from 0 to this.
    grey
        Whether the three channels are equal.
    """

    def __init__(self, width: int, height: int, seed: int, brightest: int, *, grey: bool) -> None:
        # One large sheet, of which each frame shows another part: drawing new noise for each
        # frame would cost more than judging it.
        self._width, self._height = width, height
        sheet = np.random.default_rng(seed).integers(
            0,
            brightest + 1,
            (height + _NOISE_STEP_PX, width + _NOISE_STEP_PX, 1 if grey else 3),
            dtype=np.uint8,
        )
        self._sheet = np.repeat(sheet, 3, axis=2) if grey else sheet

    def picture(self, sequence: int) -> Image:
        """(height, width, 3) uint8."""
        # Steps without a common divisor with 64, so that 64 frames show 64 different parts.
        x, y = sequence * 47 % _NOISE_STEP_PX, sequence * 25 % _NOISE_STEP_PX
        return self._sheet[y : y + self._height, x : x + self._width].copy()


class Blobs:
    """Bright discs that wander over a dark, noisy ground, each in a part of its own.

    A disc is a sixth of the picture's height wide (80 px of 480), less when many must fit.

    Raises
    ------
    ValueError
        So many do not fit into the picture.
    """

    def __init__(self, width: int, height: int, seed: int, cast: Cast) -> None:
        self._ground = Ground(width, height, seed, 40, grey=True)
        self._cast = cast
        self._columns = max(1, math.ceil(math.sqrt(cast.faces * width / height)))
        rows = max(1, math.ceil(cast.faces / self._columns))
        self._cell = (width / self._columns, height / rows)
        self.diameter_px = round(min(height / 6, 0.6 * min(self._cell)))
        if cast.faces and self.diameter_px < _SMALLEST_PX:
            raise ValueError(f"{cast.faces} faces do not fit into {width} × {height} pixels")
        away = np.arange(self.diameter_px) - (self.diameter_px - 1) / 2
        inside = (away[:, None] ** 2 + away**2 <= (self.diameter_px / 2) ** 2)[..., None]
        self._hole = np.where(inside, 0, 255).astype(np.uint8)
        self._disc = {
            masked: np.where(inside, color, 0).astype(np.uint8)
            for masked, color in ((False, _REDDISH), (True, _BLUISH))
        }
        # For each disc and direction: where in its swing it begins, and frames that one takes.
        chance = np.random.default_rng([seed, 1])
        self._phases = chance.random((cast.faces, 2))
        self._periods = chance.integers(180, 260, (cast.faces, 2))

    def center(self, face: int, sequence: int) -> tuple[float, float]:
        """Where a disc is in a frame: x, y in pixels."""
        swing = np.sin(2 * np.pi * (sequence / self._periods[face] + self._phases[face]))
        place = (face % self._columns, face // self._columns)
        x, y = (
            size * (place[axis] + 0.5) + swing[axis] * 0.45 * (size - self.diameter_px)
            for axis, size in enumerate(self._cell)
        )
        return float(x), float(y)

    def picture(self, sequence: int) -> Image:
        """(height, width, 3) uint8, BGR."""
        image = self._ground.picture(sequence)
        for face in range(self._cast.faces):
            x, y = self.center(face, sequence)
            left, top = round(x - self.diameter_px / 2), round(y - self.diameter_px / 2)
            patch = image[top : top + self.diameter_px, left : left + self.diameter_px]
            # Cut the disc out, then put it in: far quicker than assigning by an index of booleans.
            patch &= self._hole
            patch |= self._disc[self._cast.is_masked(face, sequence)]
        return image


class Gradient:
    """Three ramps that run through the picture by one pixel a frame."""

    def __init__(self, width: int, height: int) -> None:
        self._width = width
        across: npt.NDArray[np.float64] = np.linspace(0, 255, width)
        sheet = np.empty((height, width, 3), np.uint8)
        sheet[..., 0] = across
        sheet[..., 1] = np.linspace(0, 255, height)[:, None]
        sheet[..., 2] = across[::-1]
        self._sheet = sheet

    def picture(self, sequence: int) -> Image:
        """(height, width, 3) uint8."""
        return np.roll(self._sheet, sequence % self._width, axis=1)


class Black:
    """Nothing but black, the same in every frame."""

    def __init__(self, width: int, height: int) -> None:
        self._picture = np.zeros((height, width, 3), np.uint8)

    def picture(self, sequence: int) -> Image:
        """(height, width, 3) uint8."""
        return self._picture
