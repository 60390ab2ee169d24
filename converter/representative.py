"""The pictures a model is calibrated with, and those that judge it: two sides that share none.

A recipe with a training splits as that training did, so int8 learns its ranges only from pictures
that the network learned from, and a gate sees only pictures that neither has seen.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from converter.recipe import Recipe, Source
from converter.training.settings import ClassifierTraining, SegmenterTraining
from converter.training.split import PICTURE_SUFFIXES, Split, split_pictures, stratum
from edge.contract.manifest import ClassificationDecode, SegmentationDecode, TensorSpec
from edge.contract.preprocess import Preprocessor
from edge.errors import DataError
from edge.evaluation.data import LabelledPicture, read_pictures
from edge.evaluation.evaluate import Progress
from edge.tasks.classification import cut
from edge.tasks.tiles import is_tile, lay_tiles

ENOUGH = 100
"""Fewer tensors than this leave the ranges of int8 to chance."""

FEW = 10
"""A label with fewer items than this in the representative data set is hardly in it."""

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
        Its label, of a picture with defects all of them joined by ``+``; empty when there is none
        or the task is to find boxes.
    source
        The recipe's name of the folder it comes from.
    """

    path: Path
    box: tuple[float, ...] = ()
    label: str = ""
    source: Source = "."


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

    def tensors(self, count: int | None = None) -> Iterator[npt.NDArray[np.float32]]:
        """(1, height, width, channels) float32, one for each item, made when it is asked for.

        With ``count`` only for so many, evenly over all.
        """
        spec = self._recipe.input_spec
        preprocessor = Preprocessor(spec, TensorSpec(dtype="float32", shape=spec.shape))
        step = 1 if count is None else max(len(self.items) // count, 1)
        for item in self.items[::step][:count]:
            yield preprocessor.prepare([read_item(item, self._recipe)])[0]

    def save(self, path: Path, progress: Progress) -> None:
        """Write all tensors to a ``.npy`` file, (count, height, width, channels) float32.

        They are written one by one: the memory of one tensor is enough.
        """
        shape = (len(self.items), *self._recipe.input_spec.shape[1:])
        file = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
        for index, tensor in enumerate(self.tensors()):
            progress(index, len(self.items))
            file[index] = tensor[0]
        file.flush()

    def input_range(self) -> tuple[float, float]:
        """The least and the largest value that the recipe's normalization makes of a pixel."""
        normalize = self._recipe.input.normalize
        pairs = list(zip(normalize.mean, normalize.std, strict=True))
        values = [(grey - mean) / std for grey in (0.0, 255.0) for mean, std in pairs]
        return min(values), max(values)

    def per_label(self) -> dict[str, int]:
        """How many items have each label of the recipe; empty when items carry none."""
        found = Counter(label for item in self.items for label in item.label.split("+") if label)
        return {label: found[label] for label in self._recipe.labels} if found else {}

    def warnings(self) -> list[str]:
        """What makes the calibration doubtful: too few items, a label that is hardly there."""
        said = []
        if len(self.items) < ENOUGH:
            said.append(
                f"{len(self.items)} items are few to calibrate with; int8 wants {ENOUGH} and more"
            )
        for label, count in self.per_label().items():
            if count < FEW:
                few = f"only {count}" if count else "none"
                said.append(f"of label {label!r} {few} of the items to calibrate with")
        return said


def split_items(recipe: Recipe, data: Path) -> Sides:
    """Every item of the recipe's folders, on the side that calibrates or on the one that judges.

    Raises
    ------
    DataError
        A folder or its labels are missing, unreadable or empty, a picture is broken, or the same
        picture stands on both sides.
    """
    train: list[Item] = []
    held_back: list[Item] = []
    for source in recipe.representative.sources:
        if recipe.gate.sources:
            train += _unsplit(recipe, data, source)
            continue
        pictures = _labelled(recipe, data, source)
        split = _split(recipe, data / source, pictures)
        train += _items(pictures, frozenset(split.train), recipe, source)
        held_back += _items(pictures, frozenset(split.validation), recipe, source)
    for source in recipe.gate.sources:
        pictures = _labelled(recipe, data, source)
        held_back += _items(pictures, frozenset(p.path for p in pictures), recipe, source)
    for what, items in (("to calibrate with", train), ("held back to judge with", held_back)):
        if not items:
            raise DataError(f"{data}: no labelled pictures {what}", hint="see --data")
    _check_apart(train, held_back)
    return Sides(tuple(sorted(train)), tuple(sorted(held_back)))


def check_data(recipe: Recipe, data: Path) -> None:
    """The folders that training and conversion read are there, before anything long begins.

    Raises
    ------
    DataError
        One is missing, or holds no pictures that can serve.
    """
    sources: tuple[Source, ...] = (*recipe.representative.sources, *recipe.gate.sources)
    if recipe.training:
        match recipe.training:
            case SegmenterTraining() as training:
                sources = training.sources
            case ClassifierTraining():
                sources = ("boxes", "crops")
            case _:
                sources = ("boxes",)
    for source in sources:
        if recipe.gate.sources and source in recipe.representative.sources:
            _unsplit(recipe, data, source)
        else:
            _labelled(recipe, data, source)


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
    """The item's pixels, (H, W, 3) uint8 BGR: a face with the margin that the device cuts it with,
    a tile as often side by side as the input holds tiles.

    Raises
    ------
    DataError
        The picture cannot be read.
    """
    image = cv2.imread(str(item.path), cv2.IMREAD_COLOR)
    if image is None:
        raise DataError(f"{item.path}: not a readable picture", hint="mend or remove it")
    pixels = np.asarray(image, np.uint8)
    if item.box and isinstance(recipe.decode, ClassificationDecode):
        (pixels,) = cut(pixels, np.array([item.box], np.float32), recipe.decode.crop_margin)
    decode, spec = recipe.decode, recipe.input_spec
    if isinstance(decode, SegmentationDecode) and is_tile(pixels, decode, spec):
        pixels = lay_tiles([pixels], decode.tiles, spec)
    return pixels


def _labelled(recipe: Recipe, data: Path, source: Source) -> tuple[LabelledPicture, ...]:
    """The pictures of a folder with the labels that the recipe's task needs."""
    folder = data / source
    pictures = read_pictures(folder, recipe.labels)
    if recipe.task == "detection" and any(picture.boxes is None for picture in pictures):
        raise DataError(
            f"{folder}: its pictures have no boxes",
            hint="a detector needs annotations.json (COCO) beside them",
        )
    return pictures


def _unsplit(recipe: Recipe, data: Path, source: Source) -> list[Item]:
    """All pictures of a folder that only calibrates, with their labels if they have any."""
    folder = data / source
    try:
        pictures = _labelled(recipe, data, source)
    except DataError:
        if not folder.is_dir():
            raise
        paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in PICTURE_SUFFIXES)
        if not paths:
            raise DataError(f"{folder}: holds no pictures", hint="see --data") from None
        return [Item(path, source=source) for path in paths]
    return _items(pictures, frozenset(picture.path for picture in pictures), recipe, source)


def _split(recipe: Recipe, folder: Path, pictures: Sequence[LabelledPicture]) -> Split:
    """The pictures of one folder, as the training splits them if the recipe has one."""
    training = recipe.training
    crops = pictures[0].boxes is None and pictures[0].masks is None
    if training:
        fraction = training.crop_fraction if crops else training.picture_fraction
        seed, fold = training.seed, 0 if crops else training.fold
    else:
        fraction, seed, fold = recipe.representative.held_back, recipe.representative.seed, 0
    strata = {
        picture.path: stratum(picture, by_prefix=training is not None) for picture in pictures
    }
    try:
        return split_pictures(strata, fraction=fraction, seed=seed, fold=fold)
    except (OSError, ValueError) as error:
        # The split reads every picture, so it is here that a broken one shows.
        raise DataError(f"{folder}: {error}", hint="remove or repair it") from error


def _label(picture: LabelledPicture) -> str:
    return "+".join(sorted(set(picture.labels)))


def _items(
    pictures: Sequence[LabelledPicture], side: frozenset[Path], recipe: Recipe, source: Source
) -> list[Item]:
    """Whole pictures, or for a classifier the labelled faces in them."""
    items: list[Item] = []
    for picture in pictures:
        if picture.path not in side:
            continue
        if recipe.task == "detection":
            items.append(Item(picture.path, source=source))
        elif picture.boxes is None:
            items.append(Item(picture.path, label=_label(picture), source=source))
        else:
            items += [
                Item(picture.path, tuple(box), label, source)
                for box, label in zip(picture.boxes.tolist(), picture.labels, strict=True)
                if label in recipe.labels
            ]
    return items


def _check_apart(train: Sequence[Item], held_back: Sequence[Item]) -> None:
    """No file judges that also calibrates, under whatever name it lies there."""
    learned = {hashlib.sha256(p.read_bytes()).digest(): p for p in {item.path for item in train}}
    for path in sorted({item.path for item in held_back}):
        twin = learned.get(hashlib.sha256(path.read_bytes()).digest())
        if twin is not None:
            raise DataError(
                f"{path}: judges, and calibrates as {twin}", hint="take it from one of the folders"
            )
