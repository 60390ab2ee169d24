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

from converter.training.augment import (
    draw_chin_mask,
    draw_hand,
    draw_mask,
    photometric,
    recolour,
)
from converter.training.pictures import Picture, read, to_tensor
from converter.training.settings import ClassifierTraining
from converter.training.targets import box_iou

LABELS = ("with_mask", "without_mask")
"""Order of the network's outputs. Wrongly worn masks (``mask_incorrect``) are left out of
training.
"""

SMALLEST = 10.0
"""Boxes with a shorter side than this, in pixels of the picture, show no mask to learn from."""


Region = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels of the picture."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A region of a picture, margin included, with the index of its label, None for what is no
    face.

    Attributes
    ----------
    image
        The picture, uint8 [H, W, 3], BGR.
    region
        What is judged in validation.
    label
        Of `LABELS`.
    others
        Regions that show the same face as a detector boxed it; training draws one of all.
    face
        The face without margin, where it is known: masks can be drawn on it.
    """

    image: NDArray[np.uint8]
    region: Region
    label: int | None
    others: tuple[Region, ...] = ()
    face: Region | None = None


@dataclass(frozen=True, slots=True)
class Samples:
    """What training draws from: ``crops`` and ``boxes`` label by label, and regions without a
    face.
    """

    crops: Sequence[Sequence[Sample]]
    boxes: Sequence[Sequence[Sample]]
    strangers: Sequence[Sample] = ()


def crop_samples(paths: Iterable[Path]) -> list[Sample]:
    """Whole crops; the folder's name is the label."""
    samples = []
    for path in paths:
        image = read(path)
        samples.append(Sample(image, _whole(image), LABELS.index(path.parent.name)))
    return samples


def portrait_samples(pictures: Iterable[Picture], margin: float) -> list[Sample]:
    """Tidy crops with the boxes that a labeller found in them. Where it found one face alone, that
    face is the crop's other region.
    """
    samples = []
    for picture in pictures:
        others: tuple[Region, ...] = ()
        face: Region | None = None
        if len(picture.boxes) == 1 and not len(picture.doubtful):
            face = _region(picture.boxes[0])
            others = (_grown(face, margin),)
        label = LABELS.index(picture.path.parent.name)
        samples.append(Sample(picture.image, _whole(picture.image), label, others, face))
    return samples


def box_samples(
    pictures: Iterable[Picture], margin: float, *, smallest: float = 0.0
) -> list[Sample]:
    """Boxes of labelled mask state, each grown by ``margin`` of its side on every side."""
    samples = []
    for picture in pictures:
        for box, state in zip(picture.boxes, picture.states, strict=True):
            face = _region(box)
            if state in LABELS and min(face[2] - face[0], face[3] - face[1]) >= max(smallest, 1.0):
                grown = _grown(face, margin)
                samples.append(Sample(picture.image, grown, LABELS.index(state), face=face))
    return samples


def stranger_samples(pictures: Iterable[Picture], count: int, seed: int) -> list[Sample]:
    """Regions of group photos that touch no face and no doubtful box, of the sizes of faces."""
    rng = np.random.default_rng(seed)
    pictures = list(pictures)
    samples: list[Sample] = []
    for _ in range(20 * count):
        if len(samples) == count or not pictures:
            break
        picture = pictures[int(rng.integers(len(pictures)))]
        height, width = picture.image.shape[:2]
        side = float(np.exp(rng.uniform(np.log(16), np.log(max(min(height, width) / 2, 17)))))
        x, y = rng.uniform(0, max(width - side, 1)), rng.uniform(0, max(height - side, 1))
        region = np.array([[x, y, x + side, y + side]], np.float32)
        faces = np.concatenate([picture.boxes, picture.doubtful])
        if not len(faces) or float(box_iou(region, faces).max()) == 0.0:
            samples.append(Sample(picture.image, _region(region[0]), None))
    return samples


def _whole(image: NDArray[np.uint8]) -> Region:
    return (0.0, 0.0, float(image.shape[1]), float(image.shape[0]))


def _region(box: NDArray[np.float32]) -> Region:
    x0, y0, x1, y1 = (float(v) for v in box)
    return (x0, y0, x1, y1)


def _grown(face: Region, margin: float) -> Region:
    x0, y0, x1, y1 = face
    w, h = margin * (x1 - x0), margin * (y1 - y0)
    return (x0 - w, y0 - h, x1 + w, y1 + h)


def cut(image: NDArray[np.uint8], region: Sequence[float], size: int) -> NDArray[np.uint8]:
    """Region, cut off at the picture's edge, stretched to a square uint8 [size, size, 3] by
    linear interpolation.
    """
    x0, y0, x1, y1 = _pixels(image, region)
    return np.asarray(
        cv2.resize(image[y0:y1, x0:x1], (size, size), interpolation=cv2.INTER_LINEAR), np.uint8
    )


def _pixels(image: NDArray[np.uint8], region: Sequence[float]) -> tuple[int, int, int, int]:
    height, width = image.shape[:2]
    x0, y0 = min(max(int(region[0]), 0), width - 1), min(max(int(region[1]), 0), height - 1)
    return (
        x0,
        y0,
        max(min(int(np.ceil(region[2])), width), x0 + 1),
        max(min(int(np.ceil(region[3])), height), y0 + 1),
    )


def draw_batch(
    samples: Samples, settings: ClassifierTraining, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Images [batch, size, size, 3] and targets [batch, 2]: one-hot for a face, halves for what is
    none, so that a stranger raises no alert.
    """
    images, targets = [], []
    for i in range(settings.batch):
        if samples.strangers and rng.random() < settings.stranger_share:
            sample = samples.strangers[int(rng.integers(len(samples.strangers)))]
        else:
            label = i % len(LABELS)
            boxes = samples.boxes[label]
            crops = samples.crops[label]
            source = boxes if boxes and (rng.random() < settings.box_share or not crops) else crops
            sample = source[int(rng.integers(len(source)))]
        image, target = _vary(sample, settings, rng)
        images.append(image)
        targets.append(target)
    return to_tensor(np.stack(images)), np.stack(targets)


def _vary(
    sample: Sample, settings: ClassifierTraining, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """One sample as a detector might have cut it: shifted, scaled, turned, flipped, recoloured,
    sometimes from far away, and sometimes with a mask or a hand drawn over it.
    """
    regions = (sample.region, *sample.others)
    x0, y0, x1, y1 = regions[int(rng.integers(len(regions)))]
    w, h = (
        (x1 - x0) * float(np.exp(rng.normal(0, settings.jitter))),
        (y1 - y0) * float(np.exp(rng.normal(0, settings.jitter))),
    )
    cx = (x0 + x1) / 2 + w * float(rng.normal(0, settings.jitter)) / 2
    cy = (y0 + y1) / 2 + h * float(rng.normal(0, settings.jitter)) / 2
    region = (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)
    size = settings.size
    image = cut(sample.image, region, size)
    label = sample.label
    if label == LABELS.index("without_mask") and sample.face is not None:
        face = _within(sample.image, region, sample.face, size)
        label = _dress(image, face, label, rng)
    if rng.random() < 0.3:  # a distant face has few pixels of its own
        few = int(rng.integers(12, size))
        small = cv2.resize(image, (few, few), interpolation=cv2.INTER_AREA)
        image = np.asarray(cv2.resize(small, (size, size), interpolation=cv2.INTER_LINEAR))
    if rng.random() < 0.5:
        image = np.ascontiguousarray(image[:, ::-1])
    if rng.random() < 0.3:
        turn = cv2.getRotationMatrix2D((size / 2, size / 2), float(rng.normal(0, 10)), 1.0)
        image = np.asarray(
            cv2.warpAffine(image, turn, (size, size), borderMode=cv2.BORDER_REPLICATE), np.uint8
        )
    if rng.random() < 0.15:
        image = recolour(image, rng)
    target = np.full(len(LABELS), 1 / len(LABELS), np.float32)
    if label is not None:
        target = np.eye(len(LABELS), dtype=np.float32)[label]
    return photometric(image, rng), target


def _within(
    image: NDArray[np.uint8], region: Sequence[float], face: Region, size: int
) -> NDArray[np.float32]:
    """Where the face of a picture lies in the crop that `cut` makes of a region."""
    x0, y0, x1, y1 = _pixels(image, region)
    scale = np.array([size / (x1 - x0), size / (y1 - y0)] * 2)
    return np.asarray((np.array(face) - (x0, y0, x0, y0)) * scale, np.float32)


def _dress(
    image: NDArray[np.uint8], face: NDArray[np.float32], label: int, rng: np.random.Generator
) -> int:
    """Draw over a bare face, in place, and return the label that it then has."""
    kind = rng.random()
    if kind < 0.12:
        draw_mask(image, face, rng)
        return LABELS.index("with_mask")
    if kind < 0.2:
        draw_chin_mask(image, face, rng)
    elif kind < 0.28:
        draw_hand(image, face, rng)
    return label
