"""Labelled pictures on disk: a COCO file with boxes, masks, or a folder for each label."""

from __future__ import annotations

import json
import logging
import math
import os
import stat
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np

from edge.errors import DataError
from edge.evaluation.masks import IndexPicture, RunLengths, read_csv
from edge.evaluation.picture import (
    LabelledPicture,
    mode,
    picture_folder,
    pictures_in,
    unreadable,
)

__all__ = ["LabelledPicture", "read_pictures"]

_LOG = logging.getLogger(__name__)

_FARTHEST = 2.0**24  # pixels of the largest picture that is read; areas stay within float32


def read_pictures(
    data: Path, labels: Sequence[str], only: frozenset[str] | None = None
) -> tuple[LabelledPicture, ...]:
    """The labelled pictures of a folder, by name.

    ``annotations.json`` (COCO), else ``train.csv`` in one of Severstal's forms, else index pictures
    in ``masks/``, with the pictures in ``images/``, ``train_images/`` or the folder itself; without
    any of these, a class folder for each of ``labels``.

    Parameters
    ----------
    data
        The folder.
    labels
        Names of class folders, other folders are passed over; of a segmentation the classes in
        their order. None where boxes are needed.
    only
        Names of the pictures to take. Leading folders are allowed, so that
        ``boxes/images/a.jpg`` names ``a.jpg`` and ``crops/with_mask/b.jpg`` ``with_mask/b.jpg``.

    Raises
    ------
    DataError
        There is no such folder, it holds no labels, the annotations break the format, or ``only``
        names a picture that is not there.
    """
    if not stat.S_ISDIR(mode(data)):
        raise DataError(f"{data}: no such folder", hint="name a folder of labelled pictures")
    annotations = data / "annotations.json"
    if mode(annotations):
        pictures = _read_coco(annotations)
    else:
        pictures = _read_masks(data, labels) or _read_class_folders(data, labels)
    if not pictures:
        names = ", ".join(sorted(labels))
        others = f", train.csv, masks/ or folders named {names}" if labels else ""
        raise DataError(
            f"{data}: no labelled pictures", hint=f"needs annotations.json (COCO){others}"
        )
    chosen = pictures if only is None else _choose(pictures, only, data)
    return tuple(sorted(chosen, key=lambda picture: picture.name))


def _read_masks(data: Path, labels: Sequence[str]) -> list[LabelledPicture]:
    """The pictures of a segmentation's data; none when it is not such data."""
    table, folder = data / "train.csv", data / "masks"
    rows = read_csv(table, labels) if labels and mode(table) else None
    indexed = bool(labels) and stat.S_ISDIR(mode(folder))
    if rows is None and not indexed:
        return []
    paths = {path.name: path for path in pictures_in(picture_folder(data))}
    truths: Mapping[str, RunLengths | IndexPicture]
    if rows is not None:
        if indexed:
            _LOG.warning("%s: has both train.csv and masks/: train.csv is taken", data)
        for name, row in rows.items():
            if name not in paths:
                raise DataError(
                    f"{table}:{row.line}: picture {name!r} is not in {picture_folder(data)}",
                    hint="the rows and the pictures do not belong together",
                )
        truths = {name: rows.get(name, RunLengths(table)) for name in paths}
    else:
        truths = {
            name: IndexPicture(mask)
            for name, path in paths.items()
            if mode(mask := folder / f"{path.stem}.png")
        }
        if truths and len(truths) < len(paths):
            _LOG.warning("%s: %d without a mask left out", data, len(paths) - len(truths))
    return [
        LabelledPicture(name, paths[name], None, truth.held(labels), None, truth)
        for name, truth in truths.items()
    ]


def _read_class_folders(data: Path, labels: Collection[str]) -> list[LabelledPicture]:
    return [
        LabelledPicture(f"{label}/{path.name}", path, None, (label,))
        for label in sorted(labels)
        for path in pictures_in(data / label)
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
    except OSError as error:
        raise unreadable(path, error) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read: {error}", hint="must be COCO JSON") from error
    folder = picture_folder(path.parent)
    categories = _by_id(table, "categories", path)
    names = {key: _field(item, "name", str, where) for key, (where, item) in categories.items()}
    images = _by_id(table, "images", path)
    found: dict[int, list[tuple[list[float], str]]] = {image_id: [] for image_id in images}
    for where, item in _items(table, "annotations", path):
        image_id, category = (_field(item, key, int, where) for key in ("image_id", "category_id"))
        if image_id not in found or category not in names:
            raise DataError(f"{where}: image {image_id} or category {category} is not in the file")
        if not item.get("iscrowd"):
            found[image_id].append((_bbox(item, where), names[category]))
    pictures: list[LabelledPicture] = []
    seen: set[PurePosixPath] = set()
    for image_id, (where, item) in images.items():
        name = _file_name(item, where, folder)
        if PurePosixPath(name) in seen:
            raise DataError(
                f"{where}.file_name: {name!r} stands there twice",
                hint="its faces would count twice: keep one entry",
            )
        seen.add(PurePosixPath(name))
        sides = [_field(item, side, int, where) for side in ("width", "height") if side in item]
        size = (sides[0], sides[1]) if len(sides) == 2 else None
        boxes = np.array([box for box, _ in found[image_id]], np.float32).reshape(-1, 4)
        labels = tuple(label for _, label in found[image_id])
        pictures.append(LabelledPicture(name, folder / name, boxes, labels, size))
    return pictures


def _by_id(
    table: object, key: Literal["images", "categories"], path: Path
) -> dict[int, tuple[str, dict[str, Any]]]:
    """The objects of one of COCO's lists by their id, which none may share."""
    found: dict[int, tuple[str, dict[str, Any]]] = {}
    for where, item in _items(table, key, path):
        name = _field(item, "id", int, where)
        if name in found:
            raise DataError(f"{where}.id: {name} stands there twice", hint="ids must differ")
        found[name] = (where, item)
    return found


def _file_name(item: dict[str, Any], where: str, folder: Path) -> str:
    name: str = _field(item, "file_name", str, where)
    parts = PurePosixPath(name)
    if parts.is_absolute() or ".." in parts.parts:
        raise DataError(f"{where}.file_name: {name!r} leads out of {folder}")
    try:
        fine = b"\0" not in os.fsencode(name)
    except UnicodeEncodeError:  # JSON can hold half a character
        fine = False
    if not fine:
        raise DataError(f"{where}.file_name: {name!r} cannot be the name of a file")
    return name


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
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{where}.bbox: needs four numbers, has {box!r}") from error
    if not (math.isfinite(x + y) and 0 < width < math.inf and 0 < height < math.inf):
        raise DataError(f"{where}.bbox: {box!r} has no area")
    if max(abs(x), abs(y), width, height) > _FARTHEST:
        raise DataError(f"{where}.bbox: {box!r} lies outside of every picture")
    return [x, y, width, height]
