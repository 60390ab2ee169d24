"""Changes a camera, a lens, a night or a hand may make to a picture, drawn at random."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


def photometric(image: Image, rng: np.random.Generator) -> Image:
    """Colour and contrast by look-up table; sometimes grey, dark and noisy, blurred, or
    coarsely compressed.
    """
    image = _colour(image, rng)
    if rng.random() < 0.05:
        image = np.asarray(
            cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR), np.uint8
        )
    if rng.random() < 0.15:
        image = _low_light(image, rng)
    if rng.random() < 0.15:
        image = _blur(image, rng)
    if rng.random() < 0.25:
        _, code = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 85))])
        image = np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR), np.uint8)
    return image


def _colour(image: Image, rng: np.random.Generator) -> Image:
    level = np.arange(256, dtype=np.float32)[:, None] / 255
    gamma = np.exp(rng.normal(0, 0.18)) * np.exp(rng.normal(0, 0.06, 3))
    contrast, bright = np.exp(rng.normal(0, 0.2)), rng.normal(0, 0.06)
    table = (level**gamma - 0.5) * contrast + 0.5 + bright + rng.normal(0, 0.02, 3)
    return np.asarray(cv2.LUT(image, _bytes(table)[:, None]), np.uint8)


def _low_light(image: Image, rng: np.random.Generator) -> Image:
    level = np.arange(256, dtype=np.float32) / 255
    dark = cv2.LUT(image, _bytes(level ** rng.uniform(1.0, 1.8) * rng.uniform(0.2, 0.7)))
    noise = rng.standard_normal(image.shape, np.float32) * np.float32(rng.uniform(2, 9))
    return np.clip(dark + noise, 0, 255).astype(np.uint8)


def _blur(image: Image, rng: np.random.Generator) -> Image:
    if rng.random() < 0.6:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.5, 1.6))), np.uint8)
    length = int(rng.integers(3, 8))
    kernel = np.zeros((length, length), np.float32)
    end = (length - 1, int(rng.integers(0, length)))
    cv2.line(kernel, (0, length - 1 - end[1]), end, 1.0)
    kernel = kernel if rng.random() < 0.5 else kernel.T.copy()
    return np.asarray(cv2.filter2D(image, -1, kernel / float(kernel.sum())), np.uint8)


def _bytes(table: NDArray[np.floating]) -> Image:
    return np.asarray(np.clip(np.rint(table * 255), 0, 255), np.uint8)


MASK_COLOURS = (
    (235, 235, 235),
    (200, 160, 110),
    (190, 190, 120),
    (35, 35, 35),
    (160, 150, 220),
)
"""BGR of the masks that are worn most: white, two blues, black, pink."""


def draw_mask(image: Image, box: NDArray[np.float32], rng: np.random.Generator) -> None:
    """Draw something like a face mask over the lower half of a face, in place: most labelled
    faces wear none. Half the masks have a common colour, the others any, and some a pattern.
    """
    h = float(box[3] - box[1])
    top = float(box[1]) + h * rng.uniform(0.42, 0.6)
    _draw_cover(image, box, top, float(box[1]) + h * rng.uniform(0.94, 1.04), rng)


def draw_chin_mask(image: Image, box: NDArray[np.float32], rng: np.random.Generator) -> None:
    """Draw a mask that was pulled below the chin, in place: it leaves mouth and nose free."""
    h = float(box[3] - box[1])
    top = float(box[1]) + h * rng.uniform(0.93, 1.0)
    _draw_cover(image, box, top, top + h * rng.uniform(0.15, 0.3), rng)


def _draw_cover(
    image: Image, box: NDArray[np.float32], top: float, bottom: float, rng: np.random.Generator
) -> None:
    x0, x1 = float(box[0]), float(box[2])
    w, h = x1 - x0, bottom - top
    tilt = h * rng.normal(0, 0.07)
    outline = np.array(
        [
            (x0 + 0.06 * w, top + tilt),
            (x0 + 0.5 * w, top - 0.13 * h),
            (x1 - 0.06 * w, top - tilt),
            (x1 - 0.12 * w, top + 0.65 * h),
            (x0 + 0.5 * w, bottom),
            (x0 + 0.12 * w, top + 0.65 * h),
        ],
        np.float32,
    )
    points = np.rint(outline * 8).astype(np.int32)
    colour = _mask_colour(rng)
    cv2.fillPoly(image, [points], colour, cv2.LINE_AA, 3)
    if w > 24 and rng.random() < 0.15:
        _draw_pattern(image, points, colour, rng)
    if w > 24 and rng.random() < 0.7:  # pleats
        for share in (0.36, 0.55, 0.75):
            y = round(top + share * h)
            left, right = (round(x0 + 0.15 * w), y), (round(x1 - 0.15 * w), y)
            cv2.line(image, left, right, [c * 0.88 for c in colour], 1, cv2.LINE_AA)


def _mask_colour(rng: np.random.Generator) -> list[float]:
    if rng.random() < 0.5:
        common = np.array(MASK_COLOURS[int(rng.integers(len(MASK_COLOURS)))])
        return [float(c) for c in np.clip(common + rng.normal(0, 18, 3), 0, 255)]
    return [float(c) for c in rng.integers(0, 256, 3)]


def _draw_pattern(
    image: Image,
    outline: NDArray[np.int32],
    colour: list[float],
    rng: np.random.Generator,
) -> None:
    """Stripes of a second colour within the outline (eighths of a pixel), in place."""
    inside = np.zeros(image.shape[:2], np.uint8)
    cv2.fillPoly(inside, [outline], 255, cv2.LINE_8, 3)
    y, x = np.indices(inside.shape, np.float32)
    angle, period = rng.uniform(0, np.pi), rng.uniform(5, 16)
    wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period)
    image[(inside > 0) & (wave > rng.uniform(-0.3, 0.6))] = np.clip(
        np.array(colour) + rng.normal(0, 80, 3), 0, 255
    ).astype(np.uint8)


def recolour(image: Image, rng: np.random.Generator) -> Image:
    """Turn all hues, or exchange red and blue: a mask is a mask in any colour and any light."""
    if rng.random() < 0.3:
        return np.ascontiguousarray(image[..., ::-1])
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
    hsv[..., 0] = (hsv[..., 0].astype(np.int32) + int(rng.integers(1, 180))) % 180
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR), np.uint8)


def draw_hand(image: Image, box: NDArray[np.float32], rng: np.random.Generator) -> None:
    """Cover part of mouth and chin by fingers in the face's own colour, in place."""
    x0, y0, x1, y1 = (float(v) for v in box)
    w, h = x1 - x0, y1 - y0
    rows, columns = image.shape[:2]
    y, x = min(max(round(y0 + 0.3 * h), 0), rows - 1), min(max(round(x0 + 0.5 * w), 0), columns - 1)
    skin = image[y, x].astype(np.float64) * rng.uniform(0.85, 1.1)
    start = np.array([rng.choice([x0 - 0.1 * w, x1 + 0.1 * w]), y1 + 0.1 * h])
    for finger in range(int(rng.integers(2, 5))):
        end = np.array([x0 + w * rng.uniform(0.3, 0.7), y0 + h * (0.62 + 0.1 * finger)])
        ends = [tuple(int(v) for v in np.rint(point)) for point in (start, end)]
        shade = [float(c) for c in np.clip(skin * rng.uniform(0.85, 1.1), 0, 255)]
        cv2.line(image, ends[0], ends[1], shade, max(round(w * 0.11), 1), cv2.LINE_AA)


def draw_obstacle(image: Image, box: NDArray[np.float32], rng: np.random.Generator) -> None:
    """Cover up to a third of a face by a plain ellipse (a hand, a head in front), in place."""
    x0, y0, x1, y1 = (float(v) for v in box)
    w, h = x1 - x0, y1 - y0
    centre = (
        round(rng.choice([x0, x1]) + rng.normal(0, 0.1) * w),
        round(rng.uniform(y0 + 0.3 * h, y1)),
    )
    axes = (max(round(w * rng.uniform(0.12, 0.35)), 1), max(round(h * rng.uniform(0.15, 0.4)), 1))
    colour = rng.integers(20, 220, 3).tolist()
    cv2.ellipse(image, centre, axes, float(rng.uniform(0, 180)), 0, 360, colour, -1, cv2.LINE_AA)
