"""From boxes to the detector's grids and back.

The heat map is TTFNet's (Liu et al. 2020, "Training-Time-Friendly Network", section 3): an
elliptic Gaussian on each centre, and the same Gaussian as the weight of the regression, so that
cells beside the centre also learn the box.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from converter.training.architectures import STRIDE

SPREAD = 0.54
"""TTFNet's alpha: the Gaussian's radius as a share of the half box; sigma is a third of the
radius.
"""

REGRESSION_LEVEL = 0.4
"""Cells whose Gaussian lies at or above this learn the box; the network's offsets stay within a
few cells, which int8 needs.
"""

COMMON_SIDE = 40.0
"""
Centres of faces longer than this, in input pixels, weigh more, up to 2.5 times: in a batch a big
face is one among dozens of small ones, and its features are the deepest and the last to form.
"""


@dataclass(frozen=True, slots=True)
class Targets:
    """Training targets of one picture, on a grid of H/4 × W/4 cells.

    Attributes
    ----------
    heat
        float32 [rows, columns], 1 on a centre, falling off around it.
    keep
        float32 [rows, columns], weight of ``heat``: 0 where a face was too small or too much hidden
        to judge, more than 1 on the centre of a big face, else 1.
    box
        float32 [rows, columns, 4]: offset x, offset y (cells), log width, log height (of cells).
    weight
        float32 [rows, columns], weight of ``box``; sums to 1 over each face.
    """

    heat: NDArray[np.float32]
    keep: NDArray[np.float32]
    box: NDArray[np.float32]
    weight: NDArray[np.float32]


def encode(
    boxes: NDArray[np.float32], ignored: NDArray[np.float32], height: int, width: int
) -> Targets:
    """Targets for ``boxes`` [n, 4] (x0, y0, x1, y1, input pixels); ``ignored`` [m, 4] are
    blanked out of the heat map's loss.
    """
    rows, columns = height // STRIDE, width // STRIDE
    heat = np.zeros((rows, columns), np.float32)
    keep = np.ones((rows, columns), np.float32)
    box = np.zeros((rows, columns, 4), np.float32)
    weight = np.zeros((rows, columns), np.float32)
    for x0, y0, x1, y1 in ignored / STRIDE:
        keep[
            max(int(y0), 0) : max(int(np.ceil(y1)), 0), max(int(x0), 0) : max(int(np.ceil(x1)), 0)
        ] = 0
    ys, xs = np.mgrid[0:rows, 0:columns].astype(np.float32)
    # Large first: where two faces overlap, the small one in front owns the cells around its centre.
    for x0, y0, x1, y1 in sorted(
        (boxes / STRIDE).tolist(), key=lambda b: -(b[2] - b[0]) * (b[3] - b[1])
    ):
        cx, cy, w, h = (x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0
        column, row = min(int(cx), columns - 1), min(int(cy), rows - 1)
        sx, sy = max(w * SPREAD / 6, 0.3), max(h * SPREAD / 6, 0.3)
        gauss = np.exp(-((xs - column) ** 2 / (2 * sx * sx) + (ys - row) ** 2 / (2 * sy * sy)))
        np.maximum(heat, gauss, out=heat)
        own = gauss >= REGRESSION_LEVEL
        box[own] = np.stack(
            [
                cx - xs[own],
                cy - ys[own],
                np.full(own.sum(), np.log(w)),
                np.full(own.sum(), np.log(h)),
            ],
            axis=1,
        )
        weight[own] = gauss[own] / gauss[own].sum()
        keep[row, column] = min(max(np.sqrt(max(w, h) * STRIDE / COMMON_SIDE), 1.0), 2.5)
    return Targets(heat, keep, box, weight)


def decode(
    score: NDArray[np.float32],
    offset: NDArray[np.float32],
    size: NDArray[np.float32],
    *,
    threshold: float = 0.05,
    iou: float = 0.45,
    limit: int = 300,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Boxes [n, 4] (x0, y0, x1, y1, input pixels) and scores [n], best first.

    A cell counts when it is the greatest of its 3×3 neighbourhood (CenterNet, section 4) and at
    least ``threshold``; of boxes that overlap by more than ``iou`` the better one stays.
    ``score`` is [rows, columns], ``offset`` and ``size`` [rows, columns, 2].
    """
    peak = (score >= threshold) & (score >= cv2.dilate(score, np.ones((3, 3), np.uint8)))
    row, column = np.nonzero(peak)
    centre = (np.stack([column, row], axis=1) + offset[row, column]) * STRIDE
    half = np.exp(size[row, column]) * (STRIDE / 2)
    boxes = np.concatenate([centre - half, centre + half], axis=1).astype(np.float32)
    scores = score[row, column].astype(np.float32)
    return suppress(boxes, scores, iou=iou, limit=limit)


def suppress(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], *, iou: float, limit: int = 300
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Greedy non-maximum suppression of boxes [n, 4], best first: of two that overlap by more
    than ``iou`` the better one stays. Only the ``limit`` best are looked at.
    """
    order = np.argsort(-scores, kind="stable")[:limit]
    boxes, scores = boxes[order], scores[order]
    kept: list[int] = []
    for i in range(len(boxes)):
        if not kept or float(box_iou(boxes[i : i + 1], boxes[kept]).max()) <= iou:
            kept.append(i)
    return boxes[kept], scores[kept]


def box_iou(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intersection over union of boxes ``a`` [n, 4] with ``b`` [m, 4], float32 [n, m]."""
    upper = np.maximum(a[:, None, :2], b[None, :, :2])
    lower = np.minimum(a[:, None, 2:], b[None, :, 2:])
    inner = np.prod(np.clip(lower - upper, 0, None), axis=2)
    area_a, area_b = np.prod(a[:, 2:] - a[:, :2], axis=1), np.prod(b[:, 2:] - b[:, :2], axis=1)
    return np.asarray(inner / np.maximum(area_a[:, None] + area_b[None] - inner, 1e-9), np.float32)
