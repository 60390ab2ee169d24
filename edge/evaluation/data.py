"""Labelled pictures on disk: a COCO file with boxes, or a folder for each label."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import cv2
import numpy as np

from edge.errors import DataError
from edge.records import Floats, Image

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".webp"})
"""Which files of a class folder are pictures."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelledPicture:
    """What is true of one picture.

    Parameters
    ----------
    name
        How lists of pictures name it: COCO's ``file_name``, or ``label/file`` of a class folder.
    path
        Where it lies.
    boxes
        (N, 4) float32 in its pixels; None when the label is of the whole picture.
    labels
        One for each box, or the one of the whole picture.
    size
        Width and height that the annotations promise, if they do.
    """

    name: str
    path: Path
    boxes: Floats | None
    labels: tuple[str, ...]
    size: tuple[int, int] | None = None

    @property
    def group(self) -> str:
        """The file's prefix before the first ``_``, which tells where the picture came from."""
        return self.path.stem.split("_", 1)[0]

    def read(self) -> Image | None:
        """The picture, (H, W, 3) uint8 BGR; None when there is no such file or it is none.

        Raises
        ------
        DataError
            It has not the size that the annotations promise, so that their boxes are worthless.
        """
        try:
            content = np.fromfile(self.path, np.uint8)
        except OSError:
            return None
        image = cv2.imdecode(content, cv2.IMREAD_COLOR) if content.size else None
        if image is None:
            return None
        size = (image.shape[1], image.shape[0])
        if self.size is not None and self.size != size:
            raise DataError(
                f"{self.path}: is {size[0]}×{size[1]}, "
                f"its annotations say {self.size[0]}×{self.size[1]}",
                hint="take the pictures that the annotations were made for",
            )
        return image.astype(np.uint8, copy=False)


def read_pictures(
    data: Path, labels: Collection[str], only: frozenset[str] | None = None
) -> tuple[LabelledPicture, ...]:
    """The labelled pictures of a folder, by name.

    ``annotations.json`` (COCO) with the pictures in ``images/``, ``train_images/`` or the folder
    itself; without such a file, a class folder for each of ``labels``.

    Parameters
    ----------
    data
        The folder.
    labels
        Names of class folders, none where boxes are needed; other folders are passed over.
    only
        Names of the pictures to take. Leading folders are allowed, so that
        ``boxes/images/a.jpg`` names ``a.jpg`` and ``crops/with_mask/b.jpg`` ``with_mask/b.jpg``.

    Raises
    ------
    DataError
        There is no such folder, it holds no labels, the annotations break the format, or ``only``
        names a picture that is not there.
    """
    if not data.is_dir():
        raise DataError(f"{data}: no such folder", hint="name a folder of labelled pictures")
    annotations = data / "annotations.json"
    if annotations.is_file():
        pictures = _read_coco(annotations)
    else:
        pictures = _read_class_folders(data, labels)
    if not pictures:
        folders = f" or folders named {', '.join(sorted(labels))}" if labels else ""
        raise DataError(
            f"{data}: no labelled pictures", hint=f"needs annotations.json (COCO){folders}"
        )
    chosen = pictures if only is None else _choose(pictures, only, data)
    return tuple(sorted(chosen, key=lambda picture: picture.name))


def _read_class_folders(data: Path, labels: Collection[str]) -> list[LabelledPicture]:
    return [
        LabelledPicture(f"{label}/{path.name}", path, None, (label,))
        for label in sorted(labels)
        if (data / label).is_dir()
        for path in (data / label).iterdir()
        if path.suffix.lower() in SUFFIXES
    ]


def _choose(
    pictures: Iterable[LabelledPicture], only: frozenset[str], data: Path
) -> list[LabelledPicture]:
    by_name = {picture.name: picture for picture in pictures}
    chosen: dict[str, LabelledPicture] = {}
    for line in sorted(only):
        parts = PurePosixPath(line).parts
        tails = ("/".join(parts[start:]) for start in range(len(parts)))
        name = next((tail for tail in tails if tail in by_name), None)
        if name is None:
            raise DataError(
                f"{data}: no labelled picture {line!r}, which is on the list",
                hint="the list and the data do not belong together",
            )
        chosen[name] = by_name[name]
    if not chosen:
        raise DataError(f"{data}: the list of pictures is empty", hint="name at least one")
    return list(chosen.values())


def _read_coco(path: Path) -> list[LabelledPicture]:
    """Pictures of a COCO file (Lin et al. 2014, arXiv:1405.0312); crowd regions are left out."""
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {error}", hint="must be COCO JSON") from error
    folder = next(
        (place for name in ("images", "train_images") if (place := path.parent / name).is_dir()),
        path.parent,
    )
    names = {
        _field(item, "id", int, where): _field(item, "name", str, where)
        for where, item in _items(table, "categories", path)
    }
    images: dict[int, tuple[str, Any]] = {}
    for where, item in _items(table, "images", path):
        images[_field(item, "id", int, where)] = (where, item)
    found: dict[int, list[tuple[list[float], str]]] = {image_id: [] for image_id in images}
    for where, item in _items(table, "annotations", path):
        image_id, category = (_field(item, key, int, where) for key in ("image_id", "category_id"))
        if image_id not in found or category not in names:
            raise DataError(f"{where}: image {image_id} or category {category} is not in the file")
        if not item.get("iscrowd"):
            found[image_id].append((_bbox(item, where), names[category]))
    pictures: list[LabelledPicture] = []
    for image_id, (where, item) in images.items():
        name = _field(item, "file_name", str, where)
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise DataError(f"{where}.file_name: {name!r} leads out of {folder}")
        size = (item["width"], item["height"]) if "width" in item and "height" in item else None
        boxes = np.array([box for box, _ in found[image_id]], np.float32).reshape(-1, 4)
        labels = tuple(label for _, label in found[image_id])
        pictures.append(LabelledPicture(name, folder / name, boxes, labels, size))
    return pictures


def _items(
    table: object, key: Literal["images", "annotations", "categories"], path: Path
) -> Iterable[tuple[str, dict[str, Any]]]:
    """Each object of one of COCO's lists, with where it stands."""
    items = table.get(key) if isinstance(table, dict) else None
    if not isinstance(items, list):
        raise DataError(f"{path}: {key} is not a list", hint="must be COCO JSON")
    for row, item in enumerate(items):
        where = f"{path}: {key}[{row}]"
        if not isinstance(item, dict):
            raise DataError(f"{where}: is not an object", hint="must be COCO JSON")
        yield where, item


def _field(item: dict[str, Any], key: str, kind: type, where: str) -> Any:
    value = item.get(key)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise DataError(f"{where}.{key}: needs {kind.__name__}, has {value!r}")
    return value


def _bbox(item: dict[str, Any], where: str) -> list[float]:
    box = item.get("bbox")
    try:
        x, y, width, height = (float(v) for v in box)  # type: ignore[union-attr]
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}.bbox: needs four numbers, has {box!r}") from error
    if not (math.isfinite(x + y) and 0 < width < math.inf and 0 < height < math.inf):
        raise DataError(f"{where}.bbox: {box!r} has no area")
    return [x, y, width, height]
