"""Labelled pictures in memory, and the letterbox that the shipped detector sees them through."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import DataError

PAD = 127
"""Grey of the letterbox's bars; the normalization maps it to almost zero."""

FACE, WITH_MASK, WITHOUT_MASK, MASK_INCORRECT = (
    "face",
    "with_mask",
    "without_mask",
    "mask_incorrect",
)


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture (uint8 [H, W, 3], BGR) with its faces: ``boxes`` float32 [n, 4] as x0, y0, x1,
    y1 in pixels, and ``states`` [n]; ``doubtful`` [m, 4] may be faces that nobody labelled.
    """

    path: Path
    image: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    states: tuple[str, ...]
    doubtful: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 4), np.float32))


def load_pictures(data: Path, wanted: Iterable[Path]) -> list[Picture]:
    """Read ``wanted`` files of ``data/boxes/images`` with their boxes; 2000 web pictures take
    about 700 MB.
    """
    table = json.loads((data / "boxes" / "annotations.json").read_text(encoding="utf-8"))
    names = {c["id"]: c["name"] for c in table["categories"]}
    ids = {image["file_name"]: image["id"] for image in table["images"]}
    found: dict[int, list[tuple[list[float], str]]] = {}
    for annotation in table["annotations"]:
        found.setdefault(annotation["image_id"], []).append(
            (annotation["bbox"], names[annotation["category_id"]])
        )
    pictures = []
    for path in wanted:
        faces = found.get(ids[path.name], [])
        boxes = np.array([[x, y, x + w, y + h] for (x, y, w, h), _ in faces], np.float32).reshape(
            -1, 4
        )
        pictures.append(Picture(path, read(path), boxes, tuple(state for _, state in faces)))
    return pictures


def read(path: Path) -> NDArray[np.uint8]:
    """Picture as uint8 [H, W, 3], BGR."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise DataError(f"{path}: not a readable picture", hint="mend or remove it")
    return np.asarray(image, np.uint8)


def letterbox(
    image: NDArray[np.uint8], height: int, width: int
) -> tuple[NDArray[np.uint8], float, int, int]:
    """Fit the picture centred into ``height`` × ``width``; returns it with the scale and the
    left and upper bar in pixels.
    """
    h, w = image.shape[:2]
    scale = min(width / w, height / h)
    new_w, new_h = max(round(w * scale), 1), max(round(h * scale), 1)
    left, top = (width - new_w) // 2, (height - new_h) // 2
    canvas = np.full((height, width, 3), PAD, np.uint8)
    canvas[top : top + new_h, left : left + new_w] = cv2.resize(
        image, (new_w, new_h), interpolation=cv2.INTER_LINEAR
    )
    return canvas, scale, left, top


def to_tensor(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """BGR pixels [.., 3] to the networks' input: RGB, ``(pixel - 127.5) / 127.5``, float32."""
    return np.asarray((images[..., ::-1].astype(np.float32) - 127.5) / 127.5, np.float32)
