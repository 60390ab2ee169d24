"""A steel strip that is drawn, with defects at known places: no data set may be shipped."""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np

from edge.demo.marks import Mark, Planted, draw
from edge.demo.planting import planted_standard
from edge.records import Floats, Image

__all__ = ["KNOWN_NOTE", "Coil", "Planted"]

KNOWN_NOTE = "synthetic strip: drawn by a program, defects planted at known places"
"""Says what is seen. It stands beside the picture: on the strip it would be a defect."""

_CHUNK_PX = 1024  # of strip, drawn at once
_KEPT = 12  # chunks: three frames of 1600 pixels and what comes next
_PARTS = 1024  # of a pixel, to which a position is rounded: whole pixels stay whole
_GREY = 140.0
_GRAIN, _LIGHT = 0.9, 4.0  # standard deviations, in grey values
_GRAIN_CHUNKS, _LIGHT_CHUNKS = 4, 5  # after as many it repeats: together after 20
_KNOTS = 4  # of the light, in a chunk


class Coil:
    """A strip of steel with grain along the rolling direction, uneven light and known defects.

    The same seed and defects always give the same steel, and a place of it looks the same in every
    window. Before the head and behind the tail runs clean steel: coils are welded to one another.

    Parameters
    ----------
    seed
        Other seeds, other steel.
    length_mm, width_mm
        Of the strip. Pixels of which the width holds a part only are not drawn.
    mm_per_px
        Along and across, above 0.
    planted
        The defects; they must lie on the strip. Those that overlap add up.

    Raises
    ------
    ValueError
        A length is not above 0, or a defect does not lie on the strip.
    """

    def __init__(
        self,
        seed: int,
        length_mm: float,
        width_mm: float,
        mm_per_px: float,
        planted: Sequence[Planted] = (),
    ) -> None:
        for name, value in (("length", length_mm), ("width", width_mm), ("mm_per_px", mm_per_px)):
            if not 0 < value < 1e9:
                raise ValueError(f"Coil: {name} {value} must be above 0")
        for one in planted:
            inside = one.x_mm >= 0 and one.x_mm + one.len_mm <= length_mm
            if not inside or one.y_mm < 0 or one.y_mm + one.wid_mm > width_mm:
                raise ValueError(f"Coil: {one} does not lie on the strip")
        self.seed = seed
        self.length_mm = length_mm
        self.width_mm = width_mm
        self.mm_per_px = mm_per_px
        self.planted = tuple(sorted(planted, key=lambda one: (one.x_mm, one.y_mm)))
        self._rows = math.floor(width_mm / mm_per_px + 1e-9)
        if self._rows < 1:
            raise ValueError(f"Coil: width {width_mm} is less than a pixel")
        self._starts = [one.x_mm for one in self.planted]
        self._longest_mm = max((one.len_mm for one in self.planted), default=0.0)
        rng = np.random.default_rng(seed)
        self._grain = _grain(rng, self._rows)
        self._light = _light(rng, self._rows)
        self._mark = lru_cache(maxsize=32)(self._drawn)
        self._chunk = lru_cache(maxsize=_KEPT)(self._rendered)

    @classmethod
    def standard(
        cls,
        seed: int,
        *,
        length_mm: float = 30_000.0,
        width_mm: float = 128.0,
        mm_per_px: float = 0.5,
        roll_mm: float | None = 180.0,
    ) -> Coil:
        """A strip with what a bad day brings: see :func:`edge.demo.planting.planted_standard`."""
        planted = planted_standard(seed, length_mm, width_mm, roll_mm)
        return cls(seed, length_mm, width_mm, mm_per_px, planted)

    def window(self, position_mm: float, width_px: int, height_px: int) -> Image:
        """What a camera sees when ``position_mm`` of strip have passed the picture's left edge.

        As :class:`edge.line.geometry.Geometry` has it with ``runs="right"``: column c shows the
        strip from ``position_mm - (c + 1) * mm_per_px`` to ``position_mm - c * mm_per_px``.
        Between whole pixels the steel is interpolated linearly.

        Returns
        -------
        (height_px, width_px, 3) uint8, BGR, the caller's own.

        Raises
        ------
        ValueError
            The window is empty or higher than the strip is wide.
        """
        if not 1 <= height_px <= self._rows or width_px < 1:
            raise ValueError(
                f"window: {width_px} × {height_px} pixels of a strip {self._rows} pixels wide"
            )
        start = round((position_mm / self.mm_per_px - width_px) * _PARTS)
        first, part = start // _PARTS, start % _PARTS / _PARTS
        steel = self._stretch(first, width_px + 1)[:height_px]
        seen = cv2.addWeighted(steel[:, :-1], 1.0 - part, steel[:, 1:], part, 0.0, dtype=cv2.CV_8U)
        # The strip's columns rise with x, the picture's fall: its left edge is the latest steel.
        return np.asarray(cv2.cvtColor(cv2.flip(seen, 1), cv2.COLOR_GRAY2BGR), np.uint8)

    def _stretch(self, first: int, columns: int) -> Floats:
        """Grey values of the strip from a column on, (rows, columns) float32."""
        parts = []
        column, end = first, first + columns
        while column < end:
            number, offset = divmod(column, _CHUNK_PX)
            parts.append(self._chunk(number)[:, offset : offset + end - column])
            column += parts[-1].shape[1]
        return np.concatenate(parts, axis=1)

    def _rendered(self, number: int) -> Floats:
        """Chunk ``number`` of the strip, (rows, _CHUNK_PX) float32.

        Not rounded: the grain differs by less than a grey value from pixel to pixel, and would
        jump by whole pixels.
        """
        grain = number % _GRAIN_CHUNKS * _CHUNK_PX
        light = number % _LIGHT_CHUNKS * _CHUNK_PX
        grey = self._grain[:, grain : grain + _CHUNK_PX] + self._light[:, light : light + _CHUNK_PX]
        left = number * _CHUNK_PX
        for k in self._touching(left):
            mark = self._mark(k)
            rows, columns = mark.change.shape
            x0, x1 = max(mark.left, left), min(mark.left + columns, left + _CHUNK_PX)
            y0, y1 = max(mark.top, 0), min(mark.top + rows, self._rows)
            if x0 < x1 and y0 < y1:
                grey[y0:y1, x0 - left : x1 - left] += mark.change[
                    y0 - mark.top : y1 - mark.top, x0 - mark.left : x1 - mark.left
                ]
        return np.asarray(np.clip(grey, 0, 255), np.float32)

    def _touching(self, left: int) -> range:
        """Numbers of the defects that may reach into the chunk that begins at a column."""
        margin_mm = 8 * self.mm_per_px  # soft edges
        from_mm = left * self.mm_per_px - self._longest_mm - margin_mm
        to_mm = (left + _CHUNK_PX) * self.mm_per_px + margin_mm
        first = bisect.bisect_left(self._starts, from_mm)
        return range(first, bisect.bisect_right(self._starts, to_mm))

    def _drawn(self, number: int) -> Mark:
        return draw(self.planted[number], self.mm_per_px, self.seed, number)


def _grain(rng: np.random.Generator, rows: int) -> Floats:
    """Stretched along the rolling direction; its end fits its beginning."""
    columns, pad = _GRAIN_CHUNKS * _CHUNK_PX, 32
    noise = rng.normal(0, 1, (rows, columns)).astype(np.float32)
    noise = np.pad(noise, ((0, 0), (pad, pad)), mode="wrap")
    grain = cv2.GaussianBlur(noise, (0, 0), sigmaX=6, sigmaY=0.7)[:, pad:-pad]
    return np.asarray(_GREY + _GRAIN * grain / grain.std(), np.float32)


def _light(rng: np.random.Generator, rows: int) -> Floats:
    """Slow changes of brightness; its end fits its beginning."""
    knots, pad = _LIGHT_CHUNKS * _KNOTS, 4
    noise = rng.normal(0, 1, (3, knots)).astype(np.float32)
    noise = np.pad(noise, ((0, 0), (pad, pad)), mode="wrap")
    step = _CHUNK_PX * _LIGHT_CHUNKS // knots
    width = (knots + 2 * pad) * step
    light = cv2.resize(noise, (width, rows), interpolation=cv2.INTER_CUBIC)
    start = pad * step
    return np.asarray(_LIGHT * light[:, start : start + _LIGHT_CHUNKS * _CHUNK_PX], np.float32)
