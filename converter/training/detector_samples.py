"""Training crops for the detector: zoomed views around faces, big faces, whole pictures and
mosaics, drawn at random.

Scales are told in the shipped model's own input: a picture's *natural* scale is the one that
letterboxing gives it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from converter.training.augment import draw_mask, draw_obstacle, photometric
from converter.training.pictures import PAD, Picture, to_tensor
from converter.training.settings import DetectorTraining
from converter.training.targets import encode

HIDDEN = 0.5
"""A face of which less than this lies in the crop counts neither for nor against the network."""


@dataclass(frozen=True, slots=True)
class View:
    """A square crop: uint8 [side, side, 3] with boxes [n, 4] in its pixels, not yet clipped to
    it.
    """

    image: NDArray[np.uint8]
    boxes: NDArray[np.float32]


def draw_view(
    pictures: Sequence[Picture], side: int, settings: DetectorTraining, rng: np.random.Generator
) -> View:
    """One crop; large ones hold the big faces and the whole pictures, with the letterbox's grey
    bars around them.
    """
    large = side >= settings.large_crop
    kind = rng.random()
    if kind < 0.15:
        return _mosaic(pictures, side, settings, rng)
    picture = _pick(pictures, rng)
    natural = min(settings.width / picture.image.shape[1], settings.height / picture.image.shape[0])
    zoom = float(np.exp(rng.uniform(np.log(0.5), np.log(1.7))))
    if large and kind < 0.7 and len(picture.boxes):
        # Big faces are rare in group photos; zoom until one has a size drawn evenly on a
        # logarithmic scale.
        sides = (picture.boxes[:, 2:] - picture.boxes[:, :2]).max(axis=1)
        wish = float(np.exp(rng.uniform(np.log(70), np.log(settings.largest_face))))
        zoom = wish / (float(sides.max()) * natural)
    return _crop(picture, side, natural * zoom, settings, rng)


def _pick(pictures: Sequence[Picture], rng: np.random.Generator) -> Picture:
    """Draw a picture; half the time the emptier of two, or portraits would drown among crowds."""
    first, second = (pictures[int(i)] for i in rng.integers(len(pictures), size=2))
    if rng.random() < 0.5 and 0 < len(second.boxes) < len(first.boxes):
        return second
    return first


def _crop(
    picture: Picture, side: int, scale: float, settings: DetectorTraining, rng: np.random.Generator
) -> View:
    height, width = picture.image.shape[:2]
    boxes = picture.boxes
    if len(boxes):
        biggest = float((boxes[:, 2:] - boxes[:, :2]).max())
        scale = min(scale, settings.largest_face / max(biggest, 1.0))
    stretch = float(np.exp(rng.normal(0, 0.06)))
    sx, sy = scale * stretch, scale / stretch
    if len(boxes) and rng.random() < 0.8:
        # The larger of two drawn faces: at one scale it is the one that decides whether the
        # crop is of use.
        chosen = boxes[rng.integers(len(boxes), size=2)]
        face = chosen[int((chosen[:, 2] - chosen[:, 0]).argmax())]
        half = (face[2:] - face[:2]) * (sx, sy) / 2
        room = np.maximum(side - 2 * half, 0)
        place = half + room * rng.uniform(-0.05, 1.05, 2)
        tx, ty = place - (face[:2] + face[2:]) / 2 * (sx, sy)
        if rng.random() < 0.8:
            # Grey bars teach little: move the crop so that the picture covers as much of it as
            # it can.
            tx = _within(tx, side - width * sx)
            ty = _within(ty, side - height * sy)
    else:
        tx = rng.uniform(min(side - width * sx, 0), max(side - width * sx, 0))
        ty = rng.uniform(min(side - height * sy, 0), max(side - height * sy, 0))
    if rng.random() < 0.5:
        sx, tx = -sx, side - tx
    # Half a pixel: pixel centres, not corners, are what the warp maps.
    matrix = np.array([[sx, 0, tx + sx / 2 - 0.5], [0, sy, ty + sy / 2 - 0.5]], np.float64)
    image = cv2.warpAffine(
        picture.image, matrix, (side, side), flags=cv2.INTER_LINEAR, borderValue=(PAD, PAD, PAD)
    )
    moved = boxes * np.array([sx, sy, sx, sy], np.float32) + np.array([tx, ty, tx, ty], np.float32)
    if sx < 0:
        moved = moved[:, [2, 1, 0, 3]]
    return View(np.asarray(image, np.uint8), np.asarray(moved, np.float32))


def _within(shift: float, room: float) -> float:
    return float(min(max(shift, min(room, 0.0)), max(room, 0.0)))


def _mosaic(
    pictures: Sequence[Picture], side: int, settings: DetectorTraining, rng: np.random.Generator
) -> View:
    """Four crops side by side (Bochkovskiy et al. 2020, YOLOv4), each clipped to its quarter."""
    half = side // 2
    image = np.empty((side, side, 3), np.uint8)
    boxes = []
    for x, y in ((0, 0), (half, 0), (0, half), (half, half)):
        picture = pictures[int(rng.integers(len(pictures)))]
        natural = min(
            settings.width / picture.image.shape[1], settings.height / picture.image.shape[0]
        )
        view = _crop(
            picture,
            half,
            natural * float(np.exp(rng.uniform(np.log(0.4), np.log(1.1)))),
            settings,
            rng,
        )
        image[y : y + half, x : x + half] = view.image
        inside, hidden = visible(view.boxes, half, 0)
        boxes.append(np.concatenate([inside, hidden]) + np.array([x, y, x, y], np.float32))
    return View(image, np.concatenate(boxes).astype(np.float32))


def visible(
    boxes: NDArray[np.float32], side: int, smallest: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Split boxes into those to learn and those to ignore (small or mostly outside), both
    clipped to the crop.
    """
    clipped = np.clip(boxes, 0, side)
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    sides = clipped[:, 2:] - clipped[:, :2]
    seen = np.prod(sides, axis=1)
    learn = (seen >= HIDDEN * area) & (sides.min(axis=1, initial=np.inf) >= max(smallest, 1.0))
    ignore = ~learn & (seen > 0)
    return clipped[learn].astype(np.float32), clipped[ignore].astype(np.float32)


def draw_batch(
    pictures: Sequence[Picture], settings: DetectorTraining, rng: np.random.Generator
) -> tuple[NDArray[np.float32], ...]:
    """A batch of small crops, or of half as many large ones.

    Returns
    -------
    tuple
        Images [n, s, s, 3], heat [n, s/4, s/4], keep [n, s/4, s/4], box [n, s/4, s/4, 4],
        weight [n, s/4, s/4]; see `Targets`.
    """
    large = rng.random() < settings.large_share
    count = max(settings.batch // 2, 1) if large else settings.batch
    side = settings.large_crop if large else settings.small_crop
    rows = []
    for _ in range(count):
        view = draw_view(pictures, side, settings, rng)
        learn, ignore = visible(view.boxes, side, settings.smallest_face)
        image = view.image.copy()
        for box in learn:
            kind = rng.random()
            if kind < 0.12:
                draw_mask(image, box, rng)
            elif kind < 0.17:
                draw_obstacle(image, box, rng)
        target = encode(learn, ignore, side, side)
        rows.append((photometric(image, rng), target.heat, target.keep, target.box, target.weight))
    images, *targets = (np.stack(column) for column in zip(*rows, strict=True))
    return (to_tensor(images), *targets)
