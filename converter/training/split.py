"""Which pictures train and which judge: deterministic, and never a picture on one side with its
near-twin on the other.

Two pictures are near-twins when their difference hashes differ in at most ``NEAR_BITS`` bits
(Krawetz 2013, "Kind of like that") and their thumbnails correlate; the second test stops plain
pictures, whose hash is mostly noise, from chaining unrelated pictures into one huge group. The
whole group goes to one side.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import DataError
from edge.evaluation.picture import LabelledPicture

NEAR_BITS = 10
"""Of 64: the greatest distance between the hashes of near-twins."""

NEAR_CORRELATION = 0.95
"""The least correlation between the 16×16 thumbnails of near-twins."""

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})

CROP_LABELS = ("with_mask", "without_mask")


@dataclass(frozen=True, slots=True)
class Split:
    """Sorted, disjoint lists of picture files."""

    train: tuple[Path, ...]
    validation: tuple[Path, ...]


def split_boxes(data: Path, *, fraction: float = 0.15, seed: int = 7, fold: int = 0) -> Split:
    """Split the group photos under ``data/boxes/images``, evenly over file prefix and number of
    faces; see `split_pictures`.
    """
    table = json.loads((data / "boxes" / "annotations.json").read_text(encoding="utf-8"))
    faces: dict[int, int] = {}
    for annotation in table["annotations"]:
        faces[annotation["image_id"]] = faces.get(annotation["image_id"], 0) + 1
    folder = data / "boxes" / "images"
    strata = {
        folder / i["file_name"]: f"{_prefix(i['file_name'])}/{faces_bin(faces.get(i['id'], 0))}"
        for i in table["images"]
    }
    return split_pictures(strata, fraction=fraction, seed=seed, fold=fold)


def split_crops(data: Path, *, fraction: float = 0.2, seed: int = 7) -> Split:
    """Split the face crops under ``data/crops/<label>``, evenly over label and file prefix."""
    strata = {
        path: f"{label}/{_prefix(path.name)}"
        for label in CROP_LABELS
        for path in sorted((data / "crops" / label).iterdir())
        if path.suffix.lower() in PICTURE_SUFFIXES
    }
    return split_pictures(strata, fraction=fraction, seed=seed)


def split_pictures(
    strata: Mapping[Path, str], *, fraction: float, seed: int, fold: int = 0
) -> Split:
    """Split pictures by seeded hash of their names, stratum by stratum, whole groups of near-
    twins at a time.

    Parameters
    ----------
    strata
        Picture file → name of its stratum; each stratum gives ``fraction`` of its pictures, as
        nearly as groups allow. Only names below the common parent count, so the data may lie
        anywhere.
    fraction
        Share to hold back for validation.
    seed
        Another seed draws another split.
    fold
        Which share of each stratum to hold back, from 0; all folds below ``1 / fraction`` together
        hold back every picture once.
    """
    paths = sorted(strata)
    groups: dict[int, list[Path]] = {}
    for path, group in zip(paths, twin_groups([thumbnail(p) for p in paths]), strict=True):
        groups.setdefault(group, []).append(path)
    by_stratum: dict[str, list[list[Path]]] = {}
    for members in groups.values():
        by_stratum.setdefault(strata[members[0]], []).append(members)
    train: list[Path] = []
    validation: list[Path] = []
    for stratum in sorted(by_stratum):
        ordered = sorted(by_stratum[stratum], key=lambda members: _draw(members[0], seed))
        wanted = fraction * sum(len(members) for members in ordered)
        passed = 0
        for members in ordered:
            # A group belongs to the fold in which its middle lies.
            if fold * wanted < passed + len(members) / 2 <= (fold + 1) * wanted:
                validation += members
            else:
                train += members
            passed += len(members)
    return Split(tuple(sorted(train)), tuple(sorted(validation)))


def stratum(picture: LabelledPicture, *, by_prefix: bool = True) -> str:
    """What a picture is evenly split by: its labels or number of faces, and where it came from.

    Our own trainings split by file prefix as well; the names of other data may have no prefix that
    means anything.
    """
    prefix = (picture.group or "") if by_prefix else ""
    if picture.boxes is None:
        return f"{'+'.join(sorted(set(picture.labels)))}/{prefix}"
    return f"{prefix}/{faces_bin(len(picture.boxes))}"


def faces_bin(faces: int) -> str:
    """Name of the range in which a picture's number of faces falls, as the evaluation reports
    it.
    """
    for least, name in ((18, "18+"), (6, "6-17"), (2, "2-5"), (1, "1")):
        if faces >= least:
            return name
    return "0"


def thumbnail(path: Path) -> NDArray[np.float32]:
    """Picture as 16×16 grey values, float32 [16, 16]."""
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise DataError(f"{path}: not a readable picture", hint="mend or remove it")
    return np.asarray(cv2.resize(image, (16, 16), interpolation=cv2.INTER_AREA), np.float32)


def twin_groups(thumbnails: Sequence[NDArray[np.float32]]) -> list[int]:
    """Group number of each picture: the index of the group's first member (union-find over
    near-twin pairs).
    """
    parent = list(range(len(thumbnails)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    hashes = np.array([_difference_hash(t) for t in thumbnails], np.bool_)
    flat = np.array([_standardized(t) for t in thumbnails], np.float32)
    for i in range(len(thumbnails) - 1):
        near = np.count_nonzero(hashes[i + 1 :] != hashes[i], axis=1) <= NEAR_BITS
        for j in np.flatnonzero(near) + i + 1:
            if float(flat[i] @ flat[j]) >= NEAR_CORRELATION:
                a, b = sorted((root(i), root(int(j))))
                parent[b] = a
    return [root(i) for i in range(len(thumbnails))]


def _difference_hash(thumb: NDArray[np.float32]) -> NDArray[np.bool_]:
    """64 bits: is each of 8×8 areas brighter than its right neighbour?"""
    small = cv2.resize(thumb, (9, 8), interpolation=cv2.INTER_AREA)
    return np.asarray(small[:, :-1] > small[:, 1:]).ravel()


def _standardized(thumb: NDArray[np.float32]) -> NDArray[np.float32]:
    centred = thumb.ravel() - thumb.mean()
    return np.asarray(centred / max(float(np.linalg.norm(centred)), 1e-6), np.float32)


def _prefix(name: str) -> str:
    prefix, underscore, _ = name.partition("_")
    return prefix if underscore else ""


def _draw(path: Path, seed: int) -> bytes:
    # The parent's name keeps equal file names of two folders apart.
    return hashlib.sha256(f"{seed}/{path.parent.name}/{path.name}".encode()).digest()
