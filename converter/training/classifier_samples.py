"""Training crops for the mask classifier: tidy face crops and jittered boxes of group photos,
classes balanced.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from converter.training.augment import photometric
from converter.training.pictures import Picture, read, to_tensor
from converter.training.settings import ClassifierTraining

LABELS = ("with_mask", "without_mask")
"""Order of the network's outputs. Wrongly worn masks (``mask_incorrect``) are left out of
training.
"""

SMALLEST = 10.0
"""Boxes with a shorter side than this, in pixels of the picture, show no mask to learn from."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A region of a picture (x0, y0, x1, y1, pixels, margin included) with the index of its
    label.
    """

    image: NDArray[np.uint8]
    region: tuple[float, float, float, float]
    label: int


def crop_samples(paths: Iterable[Path]) -> list[Sample]:
    """Whole crops; the folder's name is the label."""
    samples = []
    for path in paths:
        image = read(path)
        samples.append(
            Sample(
                image,
                (0.0, 0.0, float(image.shape[1]), float(image.shape[0])),
                LABELS.index(path.parent.name),
            )
        )
    return samples


def box_samples(
    pictures: Iterable[Picture], margin: float, *, smallest: float = 0.0
) -> list[Sample]:
    """Boxes of labelled mask state, each grown by ``margin`` of its side on every side."""
    samples = []
    for picture in pictures:
        for (x0, y0, x1, y1), state in zip(picture.boxes.tolist(), picture.states, strict=True):
            w, h = x1 - x0, y1 - y0
            if state in LABELS and min(w, h) >= max(smallest, 1.0):
                region = (x0 - margin * w, y0 - margin * h, x1 + margin * w, y1 + margin * h)
                samples.append(Sample(picture.image, region, LABELS.index(state)))
    return samples


def cut(image: NDArray[np.uint8], region: Sequence[float], size: int) -> NDArray[np.uint8]:
    """Region, cut off at the picture's edge, stretched to a square uint8 [size, size, 3] by
    linear interpolation.
    """
    height, width = image.shape[:2]
    x0, y0 = min(max(int(region[0]), 0), width - 1), min(max(int(region[1]), 0), height - 1)
    x1, y1 = (
        max(min(int(np.ceil(region[2])), width), x0 + 1),
        max(min(int(np.ceil(region[3])), height), y0 + 1),
    )
    return np.asarray(
        cv2.resize(image[y0:y1, x0:x1], (size, size), interpolation=cv2.INTER_LINEAR), np.uint8
    )


def draw_batch(
    crops: Sequence[Sequence[Sample]],
    boxes: Sequence[Sequence[Sample]],
    settings: ClassifierTraining,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Images [batch, size, size, 3] and one-hot labels [batch, 2]; ``crops`` and ``boxes`` hold
    the samples label by label.
    """
    images, labels = [], []
    for i in range(settings.batch):
        label = i % len(LABELS)
        source = boxes if rng.random() < settings.box_share and boxes[label] else crops
        sample = source[label][int(rng.integers(len(source[label])))]
        images.append(_vary(sample, settings, rng))
        labels.append(label)
    return to_tensor(np.stack(images)), np.eye(len(LABELS), dtype=np.float32)[labels]


def _vary(
    sample: Sample, settings: ClassifierTraining, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """One sample as a detector might have cut it: shifted, scaled, turned, flipped, sometimes
    from far away.
    """
    x0, y0, x1, y1 = sample.region
    w, h = (
        (x1 - x0) * float(np.exp(rng.normal(0, settings.jitter))),
        (y1 - y0) * float(np.exp(rng.normal(0, settings.jitter))),
    )
    cx = (x0 + x1) / 2 + w * float(rng.normal(0, settings.jitter)) / 2
    cy = (y0 + y1) / 2 + h * float(rng.normal(0, settings.jitter)) / 2
    side = settings.size
    if rng.random() < 0.3:  # a distant face has few pixels of its own
        side = int(rng.integers(12, settings.size))
    image = cut(sample.image, (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2), side)
    if side != settings.size:
        image = np.asarray(
            cv2.resize(image, (settings.size, settings.size), interpolation=cv2.INTER_LINEAR),
            np.uint8,
        )
    if rng.random() < 0.5:
        image = np.ascontiguousarray(image[:, ::-1])
    if rng.random() < 0.3:
        turn = cv2.getRotationMatrix2D(
            (settings.size / 2, settings.size / 2), float(rng.normal(0, 10)), 1.0
        )
        turned = cv2.warpAffine(
            image, turn, (settings.size, settings.size), borderMode=cv2.BORDER_REPLICATE
        )
        image = np.asarray(turned, np.uint8)
    return photometric(image, rng)
