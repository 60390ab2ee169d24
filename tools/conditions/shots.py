"""What a condition shows: pictures with the faces that are in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from edge.records import Image

Box = tuple[float, float, float, float]
"""x, y, width, height in pixels."""

WITH_MASK, WITHOUT_MASK = "with_mask", "without_mask"


@dataclass(frozen=True, slots=True)
class Face:
    """A face in a shot.

    ``state`` is its mask state, None when nobody labelled it; a face that is not ``counted`` may be
    found or not.
    """

    box: Box
    state: str | None
    counted: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """One picture, (H, W, 3) uint8 BGR.

    With ``exact`` the faces' boxes are labelled and a detection must overlap one as the evaluation
    wants it; else each box is a tidy crop that shows one face somewhere.
    """

    image: Image
    faces: tuple[Face, ...]
    exact: bool = True


@dataclass(frozen=True, slots=True)
class Condition:
    """One row of the table: ``shots`` makes the same pictures each time it is called."""

    group: str
    name: str
    shots: Callable[[], Iterable[Shot]]

    @property
    def key(self) -> str:
        """How tests and JSON name it."""
        return f"{self.group}: {self.name}"
