"""What a `Labeller` adds to the data: boxes in tidy crops, doubts in group photos.

It looks once; what it said stays in ``labels.json`` beside the training's state, as long as it is
the same labeller that looks in the same way.
"""

from __future__ import annotations

import hashlib
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
from edge.errors import ModelError

SURE = 0.6
"""Score from which on a face of a tidy crop is taken for labelled."""

UNSURE = 0.3
"""Score from which on something may be a face."""

CROP_SIDES = (150, 208, 260)
"""Sides at which tidy crops are seen: in some the face fills the picture, in some it is small."""

PHOTO_SIDES = (260, 512)

SAVE_EVERY = 300
"""New pictures after which what is known is written, so that an interruption loses little."""


def labels_for(labeller: str | None, data: Path, out: Path) -> Labels | None:
    """The labels of the recipe's labeller, whose file is told from the data folder; None without
    one.
    """
    return None if labeller is None else Labels(data / labeller, out / "labels.json")


class Labels:
    """Boxes and scores by file name, found on demand and remembered.

    Parameters
    ----------
    labeller
        Its file.
    memory
        Where to remember; what another labeller found, or this one in another way, is forgotten.

    Raises
    ------
    ModelError
        The labeller's file cannot be read.
    """

    def __init__(self, labeller: Path, memory: Path) -> None:
        self._file, self._memory = labeller, memory
        self._labeller: Labeller | None = None
        self._origin = _origin(labeller)
        self._known = _remembered(memory, self._origin)
        self._new = 0

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
            self._new += 1
            if self._new % SAVE_EVERY == 0:
                self.save()
        boxes, scores = self._known[key]
        return np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32)

    def save(self) -> None:
        """Write what is known."""
        write_json(self._memory, {"origin": self._origin, "pictures": self._known})


def _origin(labeller: Path) -> dict[str, Any]:
    """All that decides what is found in a picture."""
    try:
        content = labeller.read_bytes()
    except OSError as error:
        raise ModelError(
            f"{labeller}: cannot be read: {error.strerror}",
            hint="name the file of the trained detector in [training].labeller, or leave it out",
        ) from error
    return {
        "labeller_sha256": hashlib.sha256(content).hexdigest(),
        "unsure": UNSURE,
        "crop_sides": list(CROP_SIDES),
        "photo_sides": list(PHOTO_SIDES),
    }


def _remembered(memory: Path, origin: dict[str, Any]) -> dict[str, Any]:
    """What is known by picture; nothing where the file is not there, damaged or of another
    origin.
    """
    try:
        content = json.loads(memory.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    if not isinstance(content, dict) or content.get("origin") != origin:
        return {}
    known = content.get("pictures")
    return known if isinstance(known, dict) else {}


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
