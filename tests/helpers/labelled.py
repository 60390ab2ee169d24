"""Labelled pictures that a program paints, laid out like the real data of the face_mask station."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.records import Image

COLORS = {"with_mask": (200, 120, 40), "without_mask": (60, 100, 220)}
"""BGR: masks are bluish, bare faces reddish, so RGB taken for BGR turns every verdict around."""


def write_labelled(data: Path, *, photos: int, crops: int, seed: int = 0) -> None:
    """``boxes/images`` with annotations.json (two faces a photo) and ``crops/<label>``."""
    rng = np.random.default_rng(seed)
    folder = data / "boxes" / "images"
    folder.mkdir(parents=True)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    categories = {"face": 1, "with_mask": 2, "without_mask": 3, "mask_incorrect": 4}
    for number in range(photos):
        name = f"gen_{number:04}.png"
        photo = _ground(rng, 120, 160)
        for slot, label in enumerate(("with_mask", "without_mask")):
            side = int(rng.integers(24, 48))
            x, y = 10 + 75 * slot + int(rng.integers(0, 20)), int(rng.integers(5, 65))
            _paint(photo, x, y, side, label, rng)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number + 1,
                    "category_id": categories[label],
                    "bbox": [x, y, side, side],
                }
            )
        cv2.imwrite(str(folder / name), photo)
        images.append({"id": number + 1, "file_name": name, "width": 160, "height": 120})
    table = {
        "categories": [{"id": v, "name": k} for k, v in categories.items()],
        "images": images,
        "annotations": annotations,
    }
    (data / "boxes" / "annotations.json").write_text(json.dumps(table), encoding="utf-8")
    for label in COLORS:
        (data / "crops" / label).mkdir(parents=True)
        for number in range(crops):
            crop = _ground(rng, 48, 48)
            _paint(crop, 4, 4, 40, label, rng)
            cv2.imwrite(str(data / "crops" / label / f"gen_{number:04}.png"), crop)


def _ground(rng: np.random.Generator, height: int, width: int) -> Image:
    """Coarse grey noise: no two pictures are near-twins, and no colour gives the label away."""
    small = rng.integers(40, 216, (6, 8), dtype=np.uint8)
    grey = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.repeat(np.asarray(grey, np.uint8)[:, :, np.newaxis], 3, axis=2)


def _paint(image: Image, x: int, y: int, side: int, label: str, rng: np.random.Generator) -> None:
    color = [int(c) for c in np.clip(np.array(COLORS[label]) + rng.integers(-25, 26, 3), 0, 255)]
    center, axes = (x + side // 2, y + side // 2), (side // 2, side // 2)
    cv2.ellipse(image, center, axes, 0, 0, 360, color, -1)
    # Noise within the face keeps the crops apart from each other.
    noise = cv2.resize(rng.uniform(-30, 30, (4, 4)).astype(np.float32), (side, side))
    patch = image[y : y + side, x : x + side]
    patch[...] = np.clip(patch + noise[..., np.newaxis], 0, 255).astype(np.uint8)
