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
from edge.contract.boxes import share_inside

HIDDEN = 0.5
"""A face of which less than this lies in the crop counts neither for nor against the network."""

COVERED = 0.3
"""A face of which a pasted picture hides more than this counts neither for nor against."""


@dataclass(frozen=True, slots=True)
class View:
    """A square crop: uint8 [side, side, 3] with boxes [n, 4] in its pixels, not yet clipped to
    it, and boxes [m, 4] of what may or may not be a face.
    """

    image: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    doubtful: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Sources:
    """Group photos, and tidy crops of one or a few faces, which may be none."""

    photos: Sequence[Picture]
    portraits: Sequence[Picture] = ()


def draw_view(
    sources: Sources, side: int, settings: DetectorTraining, rng: np.random.Generator
) -> View:
    """One crop; large ones hold the big faces and the whole pictures, with the letterbox's grey
    bars around them.
    """
    large = side >= settings.large_crop
    if sources.portraits and rng.random() < settings.portrait_share:
        return _portrait(sources, side, settings, rng)
    kind = rng.random()
    if kind < 0.15:
        return _mosaic(sources.photos, side, settings, rng)
    picture = _pick(sources.photos, rng)
    zoom = float(np.exp(rng.uniform(np.log(0.5), np.log(1.7))))
    if large and kind < 0.7 and len(picture.boxes):
        # Big faces are rare in group photos; zoom until one has a size drawn evenly on a
        # logarithmic scale.
        wish = float(np.exp(rng.uniform(np.log(70), np.log(settings.largest_face))))
        zoom = wish / (_longest(picture.boxes) * _natural(picture, settings))
    return _crop(picture, side, _natural(picture, settings) * zoom, settings, rng)


def _natural(picture: Picture, settings: DetectorTraining) -> float:
    height, width = picture.image.shape[:2]
    return float(min(settings.width / width, settings.height / height))


def _longest(boxes: NDArray[np.float32]) -> float:
    return max(float((boxes[:, 2:] - boxes[:, :2]).max(initial=0)), 1.0)


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
        scale = min(scale, settings.largest_face / _longest(boxes))
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
    turn = float(rng.normal(0, 9)) if rng.random() < 0.3 else 0.0
    return _warp(picture, side, np.array([[sx, 0, tx], [0, sy, ty]], np.float64), turn)


def _warp(picture: Picture, side: int, place: NDArray[np.float64], turn: float) -> View:
    """Map the picture by ``place`` [2, 3] (coordinates of pixel edges), then turn it by so many
    degrees around the crop's middle.
    """
    around = np.vstack([cv2.getRotationMatrix2D((side / 2, side / 2), turn, 1.0), [0, 0, 1]])
    matrix = (around @ np.vstack([place, [0, 0, 1]]))[:2]
    # Half a pixel: pixel centres, not corners, are what the warp maps.
    centres = matrix.copy()
    centres[:, 2] += matrix[:, :2].sum(axis=1) / 2 - 0.5
    image = cv2.warpAffine(
        picture.image, centres, (side, side), flags=cv2.INTER_LINEAR, borderValue=(PAD, PAD, PAD)
    )
    return View(
        np.asarray(image, np.uint8),
        _moved(picture.boxes, matrix),
        _moved(picture.doubtful, matrix),
    )


def _moved(boxes: NDArray[np.float32], matrix: NDArray[np.float64]) -> NDArray[np.float32]:
    """Boxes [n, 4] around the mapped ellipses that fill the given ones: a face is no rectangle,
    whose corners would make it grow as it turns.
    """
    linear = matrix[:, :2]
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2 @ linear.T + matrix[:, 2]
    half = np.sqrt(((boxes[:, 2:] - boxes[:, :2]) / 2) ** 2 @ (linear**2).T)
    return np.concatenate([centre - half, centre + half], axis=1).astype(np.float32)


def _within(shift: float, room: float) -> float:
    return float(min(max(shift, min(room, 0.0)), max(room, 0.0)))


def _mosaic(
    pictures: Sequence[Picture], side: int, settings: DetectorTraining, rng: np.random.Generator
) -> View:
    """Four crops side by side (Bochkovskiy et al. 2020, YOLOv4), each clipped to its quarter."""
    half = side // 2
    image = np.empty((side, side, 3), np.uint8)
    boxes, doubtful = [], []
    for x, y in ((0, 0), (half, 0), (0, half), (half, half)):
        picture = pictures[int(rng.integers(len(pictures)))]
        zoom = float(np.exp(rng.uniform(np.log(0.4), np.log(1.1))))
        view = _crop(picture, half, _natural(picture, settings) * zoom, settings, rng)
        image[y : y + half, x : x + half] = view.image
        inside, hidden = visible(view.boxes, half, 0)
        there = np.array([x, y, x, y], np.float32)
        boxes.append(inside + there)
        doubtful += [hidden + there, np.clip(view.doubtful, 0, half) + there]
    return View(image, np.concatenate(boxes), np.concatenate(doubtful))


def _portrait(
    sources: Sources, side: int, settings: DetectorTraining, rng: np.random.Generator
) -> View:
    """A tidy crop pasted into a view of a group photo, or onto grey: faces of many sizes with masks
    of many kinds, of which group photos have few.
    """
    portrait = sources.portraits[int(rng.integers(len(sources.portraits)))]
    if rng.random() < 0.7:
        photo = _pick(sources.photos, rng)
        zoom = float(np.exp(rng.uniform(np.log(0.5), np.log(1.7))))
        ground = _crop(photo, side, _natural(photo, settings) * zoom, settings, rng)
    else:
        none = np.zeros((0, 4), np.float32)
        grey = int(rng.choice([PAD, int(rng.integers(0, 256))]))
        ground = View(np.full((side, side, 3), grey, np.uint8), none, none)
    most = min(settings.largest_face, 1.3 * side)
    wish = float(np.exp(rng.uniform(np.log(24), np.log(most))))
    scale = wish / _longest(portrait.boxes)
    face = portrait.boxes[int(rng.integers(len(portrait.boxes)))]
    spot = rng.uniform(0.15, 0.85, 2) * side
    tx, ty = spot - (face[:2] + face[2:]) / 2 * scale
    sx = scale
    if rng.random() < 0.5:
        sx, tx = -scale, side - tx
    height, width = portrait.image.shape[:2]
    view = _warp(portrait, side, np.array([[sx, 0, tx], [0, scale, ty]], np.float64), 0.0)
    left, right = sorted((tx, tx + width * sx))
    patch = np.clip(np.array([[left, ty, right, ty + height * scale]], np.float32), 0, side)
    x0, y0, x1, y1 = np.rint(patch[0]).astype(int).tolist()
    image = ground.image.copy()
    image[y0:y1, x0:x1] = view.image[y0:y1, x0:x1]
    there = as_sides(patch)
    covered = share_inside(as_sides(ground.boxes), there)[:, 0]
    doubt_covered = share_inside(as_sides(ground.doubtful), there)[:, 0]
    return View(
        image,
        np.concatenate([ground.boxes[covered <= COVERED], view.boxes]),
        np.concatenate(
            [
                ground.boxes[(covered > COVERED) & (covered < 0.95)],
                ground.doubtful[doubt_covered < 0.95],
                view.doubtful,
            ]
        ),
    )


def as_sides(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Corners [n, 4] as x, y, width, height, which is how `edge.contract.boxes` has boxes."""
    return np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]])


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
    sources: Sources, settings: DetectorTraining, rng: np.random.Generator
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
        view = draw_view(sources, side, settings, rng)
        learn, ignore = visible(view.boxes, side, settings.smallest_face)
        image = view.image.copy()
        for box in learn:
            kind = rng.random()
            if kind < 0.12:
                draw_mask(image, box, rng)
            elif kind < 0.17:
                draw_obstacle(image, box, rng)
        ignore = np.concatenate([ignore, np.clip(view.doubtful, 0, side)])
        target = encode(learn, ignore, side, side)
        rows.append((photometric(image, rng), target.heat, target.keep, target.box, target.weight))
    images, *targets = (np.stack(column) for column in zip(*rows, strict=True))
    return (to_tensor(images), *targets)
