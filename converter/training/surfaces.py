"""Pictures of surfaces that a segmenter trains on: labelled ones, and clean ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from converter.training.settings import SegmenterTraining
from converter.training.split import split_pictures, stratum
from edge.errors import DataError
from edge.evaluation.data import read_pictures
from edge.evaluation.picture import LabelledPicture, picture_folder, pictures_in

Grey = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """A picture of a surface.

    Parameters
    ----------
    image
        (H, W) uint8.
    index
        (H, W) uint8 with a bit for each label, ``1 << k``; None: clean all over.
    """

    image: Grey
    index: Grey | None = None

    def held(self, labels: int) -> tuple[int, ...]:
        """Numbers of the labels that it holds."""
        bits = 0 if self.index is None else int(np.bitwise_or.reduce(self.index, axis=None))
        return tuple(k for k in range(labels) if bits >> k & 1)


@dataclass(frozen=True, slots=True)
class Surfaces:
    """One side of a split.

    Parameters
    ----------
    labelled
        Pictures of the sources.
    clean
        Name of a folder → its clean pictures.
    quadrants
        Quarters of the labelled pictures that hold no defect.
    """

    labelled: tuple[Surface, ...]
    clean: dict[str, tuple[Surface, ...]]
    quadrants: tuple[Surface, ...] = ()


def load_surfaces(settings: SegmenterTraining, data: Path) -> tuple[Surfaces, Surfaces]:
    """The training and the validation side.

    Labelled pictures are split evenly over what they hold; near-twins stay together.

    Raises
    ------
    DataError
        A folder is absent, or not as `linesight eval` reads it.
    """
    sides: list[tuple[list[Surface], dict[str, tuple[Surface, ...]]]] = [([], {}), ([], {})]
    for source in settings.sources:
        pictures = {
            picture.path: picture
            for picture in read_pictures(data / source, settings.labels)
            if picture.masks is not None
        }
        if not pictures:
            raise DataError(
                f"{data / source}: holds no picture with masks",
                hint="needs train.csv or masks/, see docs/evaluation.md",
            )
        strata = {path: stratum(one) for path, one in pictures.items()}
        for (labelled, _), paths in zip(sides, _sides(settings, strata), strict=True):
            labelled += [_surface(pictures[path], settings) for path in paths]
    for (labelled, _), what in zip(sides, ("learn from", "judge on"), strict=True):
        if not labelled:
            raise DataError(
                f"{data}: no labelled picture to {what}",
                hint="too few pictures for training.picture_fraction and fold",
            )
    for folder in settings.clean:
        strata = dict.fromkeys(pictures_in(picture_folder(data / folder)), "clean")
        if not strata:
            raise DataError(
                f"{data / folder}: holds no pictures", hint="name a folder with clean surfaces"
            )
        for (_, clean), paths in zip(sides, _sides(settings, strata), strict=True):
            clean[Path(folder).name] = tuple(Surface(_grey(path)) for path in paths)
    train, validation = (
        Surfaces(
            tuple(labelled),
            clean,
            tuple(part for one in labelled for part in quadrants(one) if settings.quadrants),
        )
        for labelled, clean in sides
    )
    return train, validation


def quadrants(surface: Surface) -> list[Surface]:
    """Those quarters of a labelled picture that hold no defect."""
    if surface.index is None:
        return []
    height, width = (side // 2 for side in surface.image.shape)
    found = []
    for top in (0, height):
        for left in (0, width):
            part = (slice(top, top + height), slice(left, left + width))
            if not surface.index[part].any():
                found.append(Surface(surface.image[part]))
    return found


def _sides(
    settings: SegmenterTraining, strata: dict[Path, str]
) -> tuple[Sequence[Path], Sequence[Path]]:
    split = split_pictures(
        strata, fraction=settings.picture_fraction, seed=settings.seed, fold=settings.fold
    )
    return split.train, split.validation


def _surface(picture: LabelledPicture, settings: SegmenterTraining) -> Surface:
    image = _grey(picture.path)
    index = np.zeros(image.shape, np.uint8)
    if picture.masks is not None:
        for k, mask in enumerate(picture.masks.read(settings.labels, *image.shape)):
            index |= mask.astype(np.uint8) << k
    if settings.tiles > 1:
        return Surface(image, index)
    # Thousands of frames fit into memory at the size that the network sees them in.
    size = (settings.width, settings.height)
    smaller = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR_EXACT)
    bits = cv2.resize(index, size, interpolation=cv2.INTER_NEAREST_EXACT)
    return Surface(np.asarray(smaller, np.uint8), np.asarray(bits, np.uint8))


def _grey(path: Path) -> Grey:
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise DataError(f"{path}: not a readable picture", hint="mend or remove it")
    return np.asarray(image, np.uint8)
