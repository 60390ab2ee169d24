"""The labelled pictures that no shipped model has seen in training or calibration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from converter.training.pictures import FACE, Picture, load_pictures, read
from converter.training.split import split_boxes, split_crops
from edge.records import Image
from tools.conditions.shots import WITH_MASK, WITHOUT_MASK, Box, Face, Shot

PHOTOS = "boxes/images"


@dataclass(frozen=True)
class HeldBack:
    """Pictures of the validation side, read when they are asked for.

    Parameters
    ----------
    data
        The folder with ``boxes`` and ``crops``.
    """

    data: Path

    @cached_property
    def photos(self) -> dict[str, Picture]:
        """Group photos by name, in the order of their names."""
        pictures = load_pictures(self.data, split_boxes(self.data).validation)
        return {picture.path.name: picture for picture in pictures}

    @cached_property
    def crop_names(self) -> tuple[str, ...]:
        """Tidy crops, as ``crops/<label>/<file>``."""
        held_back = split_crops(self.data).validation
        return tuple(path.relative_to(self.data).as_posix() for path in held_back)

    def holds(self, name: str) -> bool:
        """Whether a face is held back: a tidy crop, or ``PICTURE#N`` as in angles.toml."""
        folder, _, file = name.rpartition("/")
        if folder != PHOTOS:
            return name in self.crop_names
        photo, _, number = file.partition("#")
        return photo in self.photos and int(number) < len(self.photos[photo].states)

    def crop(self, name: str) -> tuple[Image, str]:
        """A tidy crop and its mask state, which is its folder's name."""
        path = self.data / name
        return read(path), path.parent.name

    def face(self, name: str) -> tuple[Image, Box]:
        """The photo of ``PICTURE#N`` and the box of that face."""
        photo, _, number = name.rpartition("/")[2].partition("#")
        picture = self.photos[photo]
        return picture.image, _box(picture.boxes[int(number)])

    def shots_of(self, *, least: int, most: int | None = None) -> Iterator[Shot]:
        """Photos with so many faces, as they are."""
        for picture in self.photos.values():
            if least <= len(picture.states) <= (len(picture.states) if most is None else most):
                yield shot_of(picture)

    def masked_photos(self) -> list[Picture]:
        """Photos whose faces have labelled mask states."""
        return [p for p in self.photos.values() if FACE not in p.states and p.states]


def shot_of(picture: Picture) -> Shot:
    """A photo with all its faces."""
    faces = (
        Face(_box(box), state if state in (WITH_MASK, WITHOUT_MASK) else None)
        for box, state in zip(picture.boxes, picture.states, strict=True)
    )
    return Shot(picture.image, tuple(faces))


def _box(corners: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> Box:
    x0, y0, x1, y1 = (float(v) for v in corners)
    return x0, y0, x1 - x0, y1 - y0
