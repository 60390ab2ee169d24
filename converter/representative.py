"""The pictures a model is calibrated with, and those that judge it: two sides of one split.

The split is that of the training, so int8 learns its ranges only from pictures that the network
learned from, and a gate sees only pictures that neither has seen.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from converter.recipe import Recipe, Source
from converter.training.settings import DetectorTraining
from converter.training.split import Split, split_boxes, split_crops
from edge.contract.manifest import ClassificationDecode, TensorSpec
from edge.contract.preprocess import Preprocessor
from edge.errors import DataError
from edge.evaluation.data import LabelledPicture, read_pictures
from edge.tasks.classification import cut

ENOUGH = 100
"""Fewer tensors than this leave the ranges of int8 to chance."""

SMALLEST = 10.0
"""Faces with a shorter side than this, in pixels, calibrate no classifier: they are all blur."""


@dataclass(frozen=True, slots=True, order=True)
class Item:
    """A picture, or one face in it.

    Parameters
    ----------
    path
        The picture file.
    box
        x, y, width, height of the labelled face in pixels; empty for the whole picture.
    label
        Its label; empty when the task is to find boxes.
    """

    path: Path
    box: tuple[float, ...] = ()
    label: str = ""


@dataclass(frozen=True, slots=True)
class Sides:
    """The recipe's pictures, split: ``train`` calibrates, ``held_back`` judges."""

    train: tuple[Item, ...]
    held_back: tuple[Item, ...]


class RepresentativeData:
    """The drawn items and the tensors made from them.

    Attributes
    ----------
    items
        What was drawn, sorted.
    sha256
        Of the items' names, boxes and pictures, in hex: the same data gives the same hash wherever
        it lies.
    """

    def __init__(self, recipe: Recipe, data: Path, items: Sequence[Item]) -> None:
        self.items = tuple(items)
        self._recipe = recipe
        digest = hashlib.sha256()
        for item in self.items:
            name = item.path.relative_to(data).as_posix()
            digest.update(f"{name}\0{json.dumps(item.box)}\0".encode())
            digest.update(hashlib.sha256(item.path.read_bytes()).digest())
        self.sha256 = digest.hexdigest()

    def tensors(self) -> Iterator[npt.NDArray[np.float32]]:
        """(1, height, width, channels) float32, one for each item, made when it is asked for."""
        spec = self._recipe.input_spec
        preprocessor = Preprocessor(spec, TensorSpec(dtype="float32", shape=spec.shape))
        for item in self.items:
            yield preprocessor.prepare([read_item(item, self._recipe)])[0]


def split_items(recipe: Recipe, data: Path) -> Sides:
    """Every item of the recipe's sources, on the side where the training has it.

    Raises
    ------
    DataError
        A folder or the annotations are missing, unreadable or empty.
    """
    train: list[Item] = []
    held_back: list[Item] = []
    for source in recipe.representative.sources:
        pictures = read_pictures(data / source, recipe.labels)
        split = _split(recipe, data, source)
        train += _items(pictures, frozenset(split.train), recipe)
        held_back += _items(pictures, frozenset(split.validation), recipe)
    for what, items in (("to calibrate with", train), ("held back to judge with", held_back)):
        if not items:
            raise DataError(f"{data}: no labelled pictures {what}", hint="see --data")
    return Sides(tuple(sorted(train)), tuple(sorted(held_back)))


def check_data(recipe: Recipe, data: Path) -> None:
    """The folders that training and conversion read are there, before anything long begins.

    Raises
    ------
    DataError
        One is missing, or holds no labelled pictures.
    """
    both: tuple[Source, ...] = ("boxes", "crops")
    sources = both if recipe.task == "classification" else ("boxes",)
    for source in sources if recipe.training else recipe.representative.sources:
        read_pictures(data / source, recipe.labels)


def _split(recipe: Recipe, data: Path, source: Source) -> Split:
    """The pictures of one source, as the training splits them."""
    training = recipe.training or DetectorTraining()
    try:
        if source == "crops":
            return split_crops(data, fraction=training.crop_fraction, seed=training.seed)
        return split_boxes(data, fraction=training.picture_fraction, seed=training.seed)
    except (OSError, ValueError) as error:
        # The split reads every picture, so it is here that a broken one shows.
        raise DataError(f"{data / source}: {error}", hint="remove or repair it") from error


def _items(
    pictures: Sequence[LabelledPicture], side: frozenset[Path], recipe: Recipe
) -> list[Item]:
    """Whole pictures for a detector; for a classifier labelled faces in pictures, whole crops."""
    items: list[Item] = []
    for picture in pictures:
        if picture.path not in side:
            continue
        if recipe.task == "detection":
            items.append(Item(picture.path))
        elif picture.boxes is None:
            items.append(Item(picture.path, label=picture.labels[0]))
        else:
            items += [
                Item(picture.path, tuple(box), label)
                for box, label in zip(picture.boxes.tolist(), picture.labels, strict=True)
                if label in recipe.labels
            ]
    return items


def draw(recipe: Recipe, data: Path, sides: Sides) -> RepresentativeData:
    """Draw ``representative.count`` items of the training side, evenly over the labels.

    The same seed and data give the same items. Fewer are drawn when there are no more.
    """
    rng = np.random.default_rng(recipe.representative.seed)
    piles: dict[str, list[Item]] = {}
    for item in sides.train:
        if not item.box or min(item.box[2:]) >= SMALLEST:
            piles.setdefault(item.label, []).append(item)
    for label in sorted(piles):
        order = rng.permutation(len(piles[label]))
        piles[label] = [piles[label][i] for i in order]
    drawn: list[Item] = []
    while len(drawn) < recipe.representative.count and any(piles.values()):
        drawn += [pile.pop() for _, pile in sorted(piles.items()) if pile]
    return RepresentativeData(recipe, data, sorted(drawn[: recipe.representative.count]))


def read_item(item: Item, recipe: Recipe) -> npt.NDArray[np.uint8]:
    """The item's pixels, (H, W, 3) uint8 BGR: a face with the margin that the device cuts it with.

    Raises
    ------
    DataError
        The picture cannot be read.
    """
    image = cv2.imread(str(item.path), cv2.IMREAD_COLOR)
    if image is None:
        raise DataError(f"{item.path}: not a readable picture")
    pixels = np.asarray(image, np.uint8)
    if item.box and isinstance(recipe.decode, ClassificationDecode):
        (pixels,) = cut(pixels, np.array([item.box], np.float32), recipe.decode.crop_margin)
    return pixels
