"""What a `Labeller` adds to the data: boxes in tidy crops, doubts in group photos.

It looks once; what it said stays in ``labels.json`` beside the training's state.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.training.labeller import Labeller
from converter.training.pictures import FACE, Picture, read
from converter.training.state import write_json
from converter.training.targets import box_iou

SURE = 0.6
"""Score from which on a face of a tidy crop is taken for labelled."""

UNSURE = 0.3
"""Score from which on something may be a face."""

CROP_SIDES = (150, 208, 260)
"""Sides at which tidy crops are seen: in some the face fills the picture, in some it is small."""

PHOTO_SIDES = (260, 512)


def labels_for(labeller: str | None, data: Path, out: Path) -> Labels | None:
    """The labels of the recipe's labeller, whose file is told from the data folder; None without
    one.
    """
    return None if labeller is None else Labels(data / labeller, out / "labels.json")


class Labels:
    """Boxes and scores by file name, found on demand and remembered."""

    def __init__(self, labeller: Path, memory: Path) -> None:
        self._file, self._memory = labeller, memory
        self._labeller: Labeller | None = None
        self._known: dict[str, Any] = {}
        if memory.exists():
            self._known = json.loads(memory.read_text(encoding="utf-8"))

    def of(
        self, path: Path, image: NDArray[np.uint8], sides: Sequence[int]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Boxes [n, 4] and scores [n], at least `UNSURE`, of the picture at ``path``."""
        key = f"{path.parent.name}/{path.name}"
        if key not in self._known:
            if self._labeller is None:
                self._labeller = Labeller(self._file)
            boxes, scores = self._labeller.find(image, sides, threshold=UNSURE)
            self._known[key] = [boxes.round(1).tolist(), scores.round(3).tolist()]
        boxes, scores = self._known[key]
        return np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32)

    def save(self) -> None:
        """Write what is known."""
        write_json(self._memory, self._known)


def portraits(paths: Iterable[Path], labels: Labels) -> list[Picture]:
    """Tidy crops with the faces that the labeller is sure of; crops without one are left out."""
    found = []
    for path in paths:
        image = read(path)
        boxes, scores = labels.of(path, image, CROP_SIDES)
        sure = scores >= SURE
        if sure.any():
            states = (FACE,) * int(sure.sum())
            found.append(Picture(path, image, boxes[sure], states, boxes[~sure]))
    return found


def with_doubts(pictures: Iterable[Picture], labels: Labels) -> list[Picture]:
    """Group photos, and what the labeller takes for a face where no label is."""
    return [
        replace(
            picture,
            doubtful=unlabelled(
                labels.of(picture.path, picture.image, PHOTO_SIDES)[0], picture.boxes
            ),
        )
        for picture in pictures
    ]


def unlabelled(found: NDArray[np.float32], labelled: NDArray[np.float32]) -> NDArray[np.float32]:
    """Those of the boxes ``found`` [n, 4] that hardly overlap a labelled one [m, 4]."""
    if not len(found) or not len(labelled):
        return found
    return np.asarray(found[box_iou(found, labelled).max(axis=1) < 0.2], np.float32)
