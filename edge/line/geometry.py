"""From pixels of a frame to millimetres of the strip."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from edge.records import Box, Region

Direction = Literal["right", "left"]
"""Where the strip runs to in the picture."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """How a camera sees the strip.

    The strip's x counts from its head. At the edge where the strip enters the picture lies what has
    just passed, at the position of the frame; what is farther in passed earlier. y counts from the
    picture's upper edge across the strip.

    Parameters
    ----------
    mm_per_px_x, mm_per_px_y
        Along the strip and across, above 0.
    runs
        Direction of the strip in the picture.

    Raises
    ------
    ValueError
        A number of millimetres is not above 0.
    """

    mm_per_px_x: float
    mm_per_px_y: float
    runs: Direction = "right"

    def __post_init__(self) -> None:
        for name, value in (("x", self.mm_per_px_x), ("y", self.mm_per_px_y)):
            if not 0 < value < 1e6:
                raise ValueError(f"mm_per_px_{name}: {value} must be above 0")

    def stretch(self, position_mm: float, width_px: int) -> tuple[float, float]:
        """From and to which millimetre of the strip a frame of this width shows."""
        return position_mm - width_px * self.mm_per_px_x, position_mm

    def place(self, region: Region, position_mm: float, width_px: int, sequence: int) -> Defect:
        """A region of a frame as a defect of the strip.

        Parameters
        ----------
        region
            In pixels of the frame.
        position_mm
            Of the strip when the frame was taken.
        width_px
            Of the frame.
        sequence
            The frame's number.
        """
        left, right = self._from_entry(region.box.x, region.box.width, width_px)
        top = region.box.y * self.mm_per_px_y
        return Defect(
            label=region.label,
            x0_mm=position_mm - right * self.mm_per_px_x,
            x1_mm=position_mm - left * self.mm_per_px_x,
            y0_mm=top,
            y1_mm=top + region.box.height * self.mm_per_px_y,
            area_mm2=region.area_px * self.mm_per_px_x * self.mm_per_px_y,
            score=region.score,
            first=sequence,
            last=sequence,
        )

    def box(self, defect: Defect, position_mm: float, width_px: int) -> Box:
        """Where a frame shows a defect of the strip, in pixels; the way back of :meth:`place`.

        It may lie beside the picture in part or as a whole.
        """
        near = (position_mm - defect.x1_mm) / self.mm_per_px_x
        length = (defect.x1_mm - defect.x0_mm) / self.mm_per_px_x
        left, _ = self._from_entry(near, length, width_px)
        return Box(
            left,
            defect.y0_mm / self.mm_per_px_y,
            length,
            (defect.y1_mm - defect.y0_mm) / self.mm_per_px_y,
        )

    def _from_entry(self, left: float, length: float, width_px: int) -> tuple[float, float]:
        """Columns counted from the edge where the strip enters, and from the picture's left edge
        when they were counted so: the map is its own inverse.
        """
        right = left + length
        return (width_px - right, width_px - left) if self.runs == "left" else (left, right)


@dataclass(frozen=True, slots=True)
class Defect:
    """A defect of the strip: a rectangle in millimetres, and what was seen in it.

    ``score`` is the highest of its regions, ``first`` and ``last`` are the numbers of the frames
    that showed it.
    """

    label: str
    x0_mm: float
    x1_mm: float
    y0_mm: float
    y1_mm: float
    area_mm2: float
    score: float
    first: int
    last: int

    def clipped(self, low_mm: float, high_mm: float) -> Defect:
        """The part of it between two places along the strip, which it reaches into."""
        if low_mm <= self.x0_mm and self.x1_mm <= high_mm:
            return self
        x0_mm, x1_mm = max(self.x0_mm, low_mm), min(self.x1_mm, high_mm)
        share = (x1_mm - x0_mm) / (self.x1_mm - self.x0_mm)
        return replace(self, x0_mm=x0_mm, x1_mm=x1_mm, area_mm2=self.area_mm2 * share)

    def touches(self, other: Defect, gap_mm: float) -> bool:
        """Whether the two are of one label and no further apart than ``gap_mm`` on both axes."""
        return (
            self.label == other.label
            and self.x0_mm - gap_mm <= other.x1_mm
            and other.x0_mm - gap_mm <= self.x1_mm
            and self.y0_mm - gap_mm <= other.y1_mm
            and other.y0_mm - gap_mm <= self.y1_mm
        )

    def joined(self, other: Defect) -> Defect:
        """Both as one.

        Of the smaller area the share counts whose stretch the other does not show: where frames
        overlap, the same steel was measured twice.
        """
        large, small = sorted((self, other), key=lambda one: one.area_mm2, reverse=True)
        length = small.x1_mm - small.x0_mm
        shared = min(large.x1_mm, small.x1_mm) - max(large.x0_mm, small.x0_mm)
        fresh = 1.0 - max(shared, 0.0) / length if length > 0 else 0.0
        return Defect(
            label=self.label,
            x0_mm=min(self.x0_mm, other.x0_mm),
            x1_mm=max(self.x1_mm, other.x1_mm),
            y0_mm=min(self.y0_mm, other.y0_mm),
            y1_mm=max(self.y1_mm, other.y1_mm),
            area_mm2=large.area_mm2 + fresh * small.area_mm2,
            score=max(self.score, other.score),
            first=min(self.first, other.first),
            last=max(self.last, other.last),
        )
