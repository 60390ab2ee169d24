"""Masks of a given colour, drawn on faces that look into the camera."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from edge.records import Image
from tools.conditions.shots import Box

Color = tuple[float, float, float]

COLOURS: dict[str, Color] = {
    "white": (238, 238, 238),
    "blue": (205, 160, 105),
    "black": (32, 30, 30),
    "red": (45, 40, 190),
    "green": (110, 160, 70),
    "yellow": (60, 205, 230),
}
"""BGR."""

PLAIN: Color = (228, 231, 233)
"""The inner side of a surgical mask."""

UPPER_EDGE = ((0.04, 0.57), (0.28, 0.52), (0.50, 0.47), (0.72, 0.52), (0.96, 0.57))
"""From one cheek over the bridge of the nose to the other, as shares of the face's box."""

LOWER_EDGE = ((0.90, 0.80), (0.72, 0.96), (0.50, 1.03), (0.28, 0.96), (0.10, 0.80))

BELOW_CHIN = (
    (0.14, 0.92), (0.32, 1.00), (0.50, 1.03), (0.68, 1.00), (0.86, 0.92),
    (0.84, 1.12), (0.66, 1.22), (0.50, 1.25), (0.34, 1.22), (0.16, 1.12),
)  # fmt: skip
"""A mask that was pulled down: mouth and nose are bare."""

PLEATS = (0.65, 0.74, 0.83)


def coloured(image: Image, box: Box, color: Color, *, pleats: bool = True) -> Image:
    """The picture with a mask of one colour over nose and mouth."""
    return _worn(image, box, _cloth(image, color), pleats=pleats)


def patterned(image: Image, box: Box) -> Image:
    """The picture with a mask of red and white checks."""
    cloth = _cloth(image, COLOURS["white"])
    rows, columns = np.indices(image.shape[:2])
    step = max(box[2] / 9, 2.0)
    cloth[((rows // step + columns // step) % 2).astype(bool)] = COLOURS["red"]
    return _worn(image, box, cloth, pleats=False)


def skin_toned(image: Image, box: Box) -> Image:
    """The picture with a mask of the colour of the cheeks."""
    x, y, width, height = box
    cheeks = image[
        int(y + 0.55 * height) : int(y + 0.65 * height) + 1,
        int(x + 0.25 * width) : int(x + 0.75 * width) + 1,
    ]
    blue, green, red = np.median(cheeks.reshape(-1, 3), axis=0).tolist()
    return _worn(image, box, _cloth(image, (blue, green, red)), pleats=True)


def below_chin(image: Image, box: Box) -> Image:
    """The picture with a blue mask pulled under the chin."""
    return _blend(image, _cloth(image, COLOURS["blue"]), _inside(image, box, BELOW_CHIN), box)


def hue_turned(image: Image, degrees: float) -> Image:
    """A tidy crop of a masked face with the hues of its lower half turned; the border is soft."""
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
    # OpenCV's hue counts in steps of two degrees.
    hsv[..., 0] = (hsv[..., 0].astype(np.int32) + round(degrees / 2)) % 180
    turned = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
    share = np.clip((np.arange(image.shape[0]) / image.shape[0] - 0.45) / 0.1, 0.0, 1.0)
    weight = share[:, np.newaxis, np.newaxis]
    return np.asarray(np.rint(turned * weight + image * (1 - weight)), np.uint8)


def _worn(image: Image, box: Box, cloth: npt.NDArray[np.float32], *, pleats: bool) -> Image:
    x, y, width, height = box
    if pleats:
        for share in PLEATS:
            row = round(y + share * height)
            cloth[row : row + max(round(height / 60), 1)] *= 0.86
    drawn = _blend(image, cloth, _inside(image, box, (*UPPER_EDGE, *LOWER_EDGE)), box)
    thickness = max(round(width / 60), 1)
    for cheek, ear in ((UPPER_EDGE[0], (-0.04, 0.47)), (UPPER_EDGE[-1], (1.04, 0.47))):
        ends = [(round(x + u * width), round(y + v * height)) for u, v in (cheek, ear)]
        cv2.line(drawn, ends[0], ends[1], (225, 225, 225), thickness, cv2.LINE_AA)
    return drawn


def _cloth(image: Image, color: Color) -> npt.NDArray[np.float32]:
    return np.full(image.shape, color, np.float32)


def _inside(
    image: Image, box: Box, outline: Sequence[tuple[float, float]]
) -> npt.NDArray[np.float32]:
    """How much of each pixel an outline in shares of the box covers."""
    x, y, width, height = box
    points = np.array([(x + u * width, y + v * height) for u, v in outline])
    covered = np.zeros(image.shape[:2], np.uint8)
    cv2.fillPoly(covered, [np.rint(points * 8).astype(np.int32)], 255, cv2.LINE_AA, 3)
    return np.asarray(covered / 255, np.float32)


def _blend(
    image: Image, cloth: npt.NDArray[np.float32], covered: npt.NDArray[np.float32], box: Box
) -> Image:
    """The cloth where it covers, darker towards the sides and with the shades of the face, since
    nothing worn is flat.
    """
    x, _, width, _ = box
    aside = np.clip((np.arange(image.shape[1]) - x - width / 2) / (width / 2), -1.0, 1.0)
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float32)
    shades = cv2.GaussianBlur(grey, (0, 0), max(width / 8, 1.0))
    middle = float(shades[covered > 0.5].mean()) if (covered > 0.5).any() else 1.0
    light = np.clip(shades / max(middle, 1.0), 0.7, 1.2) * (1 - 0.25 * aside**2)
    weight = covered[..., np.newaxis]
    shown = np.clip(cloth * light[..., np.newaxis], 0, 255)
    return np.asarray(np.rint(shown * weight + image * (1 - weight)), np.uint8)
