"""Strips: what a segmenter sees in training, surfaces side by side and disturbed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from converter.training.loop import Batch
from converter.training.settings import SegmenterTraining
from converter.training.surfaces import Grey, Surface, Surfaces

DRAWN_SHARE = 0.15
"""Of the clean places, those that show a drawn surface."""

DRAWN_SIDE = 200
"""Pixels of a drawn tile."""

ALIKE_SHARE = 0.25
"""Of the strips with clean surfaces, those that show one of them from end to end: real strips have
no seams."""

FARTHEST, CLOSEST = 0.85, 1.35
"""How many times nearer than its own scale a surface is looked at, at least and at most."""

TURN, FRAME_TURN = 10.0, 1.0
"""By how many degrees a tile, and a whole frame, is turned at most beside the quarters."""

ENLARGED_SHARE = 0.7
"""Of the quarters of pictures, those that fill a picture's place, enlarged; the others come at
their own scale, mirrored."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """What strips are drawn from: labelled surfaces by label, clean ones by folder, and quarters of
    labelled ones.
    """

    by_label: tuple[tuple[Surface, ...], ...]
    clean: tuple[tuple[Surface, ...], ...]
    quadrants: tuple[Surface, ...] = ()

    @classmethod
    def of(cls, side: Surfaces, labels: int) -> Drawing:
        """Sort one side's surfaces; a surface with two labels is in both lists.

        Labelled surfaces that hold nothing are clean ones.
        """
        held = [(one, one.held(labels)) for one in side.labelled]
        by_label = tuple(tuple(one for one, numbers in held if k in numbers) for k in range(labels))
        empty = tuple(one for one, numbers in held if not numbers)
        return cls(
            tuple(group for group in by_label if group),
            tuple(group for group in (*side.clean.values(), empty) if group),
            side.quadrants,
        )


def draw_batch(drawing: Drawing, settings: SegmenterTraining, rng: np.random.Generator) -> Batch:
    """One step's strips.

    Every label is drawn as often as every other, so rare ones come again flipped and turned.

    Returns
    -------
    images, masks
        [batch, height, width, 1] and [batch, height, width, labels], float32 in [0, 1].
    """
    strips = [_strip(drawing, settings, rng) for _ in range(settings.batch)]
    images = np.stack([image for image, _ in strips])
    index = np.stack([index for _, index in strips])
    return to_input(images), to_masks(index, len(settings.labels))


def to_input(images: Grey) -> NDArray[np.float32]:
    """Grey pixels [n, height, width] as the networks take them, [.., 1] in [0, 1]."""
    return images[..., np.newaxis].astype(np.float32) / np.float32(255)


def to_masks(index: NDArray[np.uint8], labels: int) -> NDArray[np.float32]:
    """Bits of labels [n, height, width] as [.., labels] of 0 and 1."""
    bits = index[..., np.newaxis] >> np.arange(labels, dtype=np.uint8) & 1
    return bits.astype(np.float32)


def lay(surfaces: Sequence[Surface], settings: SegmenterTraining) -> tuple[Grey, Grey]:
    """Surfaces as they are in strips, in their order; the last strip is filled up with its own.

    Returns
    -------
    images, index
        [n, height, width] uint8 each, ``index`` with a bit for each label.
    """
    width = settings.width // settings.tiles
    images, indices = [], []
    for start in range(0, len(surfaces), settings.tiles):
        part = list(surfaces[start : start + settings.tiles])
        part = (part * settings.tiles)[: settings.tiles]
        tiles = [_fitted(one.image, one.index, settings.height, width) for one in part]
        images.append(np.hstack([image for image, _ in tiles]))
        indices.append(np.hstack([index for _, index in tiles]))
    return np.stack(images), np.stack(indices)


def _strip(
    drawing: Drawing, settings: SegmenterTraining, rng: np.random.Generator
) -> tuple[Grey, Grey]:
    """A strip's pixels and bits, [height, width] each."""
    height, tiles = settings.height, settings.tiles
    width = settings.width // tiles
    if rng.random() < settings.clean_share * ALIKE_SHARE:
        image = _clean(drawing, settings, rng)
        whole = np.asarray(_mirrored(image, 1, tiles), np.uint8)
        return _exposed(_resized(whole, height, settings.width), rng), np.zeros(
            (height, settings.width), np.uint8
        )
    places = []
    for _ in range(tiles):
        image, index = _place(drawing, settings, rng)
        if tiles > 1 and rng.random() < 0.5:  # a square may be turned, a frame not
            image, index = np.rot90(image), np.rot90(index)
        image, index = _flipped(image, index, rng)
        turn = TURN if tiles > 1 else FRAME_TURN
        image, index = _seen(image, index, height, width, turn, rng)
        places.append((_exposed(image, rng), index))
    return np.hstack([image for image, _ in places]), np.hstack([index for _, index in places])


def _place(
    drawing: Drawing, settings: SegmenterTraining, rng: np.random.Generator
) -> tuple[Grey, Grey]:
    if drawing.by_label and rng.random() >= settings.clean_share:
        group = drawing.by_label[rng.integers(len(drawing.by_label))]
        one = group[rng.integers(len(group))]
        assert one.index is not None
        return one.image, one.index
    image = _clean(drawing, settings, rng)
    return image, np.zeros(image.shape, np.uint8)


def _clean(drawing: Drawing, settings: SegmenterTraining, rng: np.random.Generator) -> Grey:
    """A clean surface: a quarter of a picture, one of a folder, or drawn."""
    shape = (DRAWN_SIDE, DRAWN_SIDE) if settings.tiles > 1 else (settings.height, settings.width)
    if rng.random() < DRAWN_SHARE:
        return drawn_surface(rng, shape)
    if drawing.quadrants and rng.random() < 0.5:
        image = drawing.quadrants[rng.integers(len(drawing.quadrants))].image
        return image if rng.random() < ENLARGED_SHARE else _mirrored(image, 2, 2)
    if not drawing.clean:
        return drawn_surface(rng, shape)
    group = drawing.clean[rng.integers(len(drawing.clean))]
    return group[rng.integers(len(group))].image


def drawn_surface(rng: np.random.Generator, shape: tuple[int, int]) -> Grey:
    """Rolled steel without a defect, (rows, columns): grain stretched along a direction, uneven
    light, now and then the dark beside the strip.
    """
    turned = rng.random() < 0.5
    rows, columns = shape[::-1] if turned else shape
    grain = np.zeros((rows, columns), np.float32)
    for weight in (1.0, 0.7):
        along, across = rng.uniform(0.6, 30), rng.uniform(0.4, 2.0)
        noise = rng.normal(0, 1, (rows, columns)).astype(np.float32)
        part = cv2.GaussianBlur(noise, (0, 0), sigmaX=across, sigmaY=along)
        grain += weight * part / max(float(part.std()), 1e-6)
    light = cv2.resize(
        rng.normal(0, 1, (3, 3)).astype(np.float32), (columns, rows), interpolation=cv2.INTER_CUBIC
    )
    surface = rng.uniform(40, 190) + grain * rng.uniform(0.5, 9) + light * rng.uniform(0, 18)
    if rng.random() < 0.15:
        edge = int(rng.integers(5, columns // 2))
        surface[:, :edge] = rng.uniform(0, 12) + np.abs(grain[:, :edge])
        surface = cv2.GaussianBlur(surface, (0, 0), rng.uniform(0.5, 2))
    return np.clip(surface.T if turned else surface, 0, 255).astype(np.uint8)


def _flipped(image: Grey, index: Grey, rng: np.random.Generator) -> tuple[Grey, Grey]:
    if rng.random() < 0.5:
        image, index = image[::-1], index[::-1]
    if rng.random() < 0.5:
        image, index = image[:, ::-1], index[:, ::-1]
    return image, index


def _seen(
    image: Grey, index: Grey, height: int, width: int, turn: float, rng: np.random.Generator
) -> tuple[Grey, Grey]:
    """A place of (height, width) with the surface a little nearer or farther, shifted, and turned
    by up to ``turn`` degrees; what lies beyond its edge is mirrored.
    """
    rows, columns = image.shape
    zoom = np.exp(rng.uniform(np.log(FARTHEST), np.log(CLOSEST)) + rng.uniform(-0.1, 0.1, 2))
    angle = np.deg2rad(rng.uniform(-turn, turn))
    cos, sin = np.cos(angle), np.sin(angle)
    scale = np.diag([width / columns * zoom[0], height / rows * zoom[1]])
    linear = scale @ np.array([[cos, -sin], [sin, cos]])
    # Where the surface is larger than its place, any part of it may be seen.
    room = np.maximum(zoom - 1.0, 0.0) * (width, height) / 2
    centre = np.array([width, height]) / 2 - 0.5 + rng.uniform(-room, room)
    shift = centre - linear @ (np.array([columns, rows]) / 2 - 0.5)
    matrix = np.hstack([linear, shift[:, np.newaxis]]).astype(np.float32)

    def warped(plane: Grey) -> Grey:
        return np.asarray(
            cv2.warpAffine(
                np.ascontiguousarray(plane),
                matrix,
                (width, height),
                flags=cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REFLECT_101,
            ),
            np.uint8,
        )

    return warped(image), _by_bit(index, warped, (height, width))


def _exposed(image: Grey, rng: np.random.Generator) -> Grey:
    """Another exposure, contrast, focus and noise."""
    values = np.arange(256, dtype=np.float32) / 255
    table = values ** np.exp(rng.uniform(-0.4, 0.4))
    table = (table - 0.5) * np.exp(rng.uniform(-0.4, 0.3)) + 0.5 + rng.uniform(-0.12, 0.12)
    found = np.asarray(cv2.LUT(image, np.clip(table * 255, 0, 255).astype(np.uint8)), np.uint8)
    if rng.random() < 0.15:
        found = np.asarray(cv2.GaussianBlur(found, (0, 0), rng.uniform(0.3, 1.0)), np.uint8)
    if rng.random() < 0.3:
        noise = rng.normal(0, rng.uniform(1, 8), found.shape)
        found = np.clip(found + noise, 0, 255).astype(np.uint8)
    return found


def _fitted(image: Grey, index: Grey | None, height: int, width: int) -> tuple[Grey, Grey]:
    """Stretched to a place; of a picture without bits they are 0."""
    resized = _resized(image, height, width)
    if index is None:
        return resized, np.zeros((height, width), np.uint8)
    return resized, _by_bit(index, lambda plane: _resized(plane, height, width), resized.shape)


def _by_bit(index: Grey, moved: Callable[[Grey], Grey], shape: tuple[int, ...]) -> Grey:
    """Bits of labels after a move that interpolates, each plane by itself."""
    bits = np.zeros(shape, np.uint8)
    for k in range(int(index.max()).bit_length()):
        plane = moved((index >> k & 1).astype(np.uint8) * 255)
        bits |= (plane >= 128).astype(np.uint8) << k
    return bits


def _resized(image: Grey, height: int, width: int) -> Grey:
    return np.asarray(
        cv2.resize(
            np.ascontiguousarray(image), (width, height), interpolation=cv2.INTER_LINEAR_EXACT
        ),
        np.uint8,
    )


def _mirrored(image: Grey, down: int, across: int) -> Grey:
    """The picture repeated, every second time mirrored, so that there is no seam."""
    row = np.hstack([image if k % 2 == 0 else image[:, ::-1] for k in range(across)])
    return np.vstack([row if k % 2 == 0 else row[::-1] for k in range(down)])
