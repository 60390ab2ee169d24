"""Geometry of boxes: one meaning of IoU, growing and clipping for decode, tracker and evaluation.

Boxes are rows of ``x, y, width, height``; every function takes any floating dtype and computes in
float64, so that 1e38 in a corrupt model's output is a large number and not an overflow.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Boxes = npt.NDArray[np.float64]


def iou(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> Boxes:
    """Intersection over union of each box of ``first`` (N, 4) with each of ``second`` (M, 4).

    Returns
    -------
    numpy.ndarray
        (N, M) float64 in [0, 1]; boxes without area overlap nothing.
    """
    shared, area_first, area_second = _shared(first, second)
    return _share(shared, area_first + area_second - shared)


def share_inside(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> Boxes:
    """How much of each box of ``first`` (N, 4) lies inside each of ``second`` (M, 4).

    Returns
    -------
    numpy.ndarray
        (N, M) float64 in [0, 1]; boxes without area lie inside nothing.
    """
    shared, area_first, _ = _shared(first, second)
    return _share(shared, np.broadcast_to(area_first, shared.shape))


def _shared(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> tuple[Boxes, Boxes, Boxes]:
    """Areas: (N, M) of the intersections, (N, 1) and (1, M) of the boxes."""
    # Side by side: tables of (N, M) are twice as fast as one of (N, M, 2).
    x, y, width, height = np.asarray(first, np.float64).reshape(-1, 4).T[..., np.newaxis]
    u, v, across, down = np.asarray(second, np.float64).reshape(-1, 4).T[:, np.newaxis]
    columns = np.minimum(x + width, u + across) - np.maximum(x, u)
    rows = np.minimum(y + height, v + down) - np.maximum(y, v)
    shared = np.maximum(columns, 0.0) * np.maximum(rows, 0.0)
    return shared, width * height, across * down


def _share(part: Boxes, whole: Boxes) -> Boxes:
    share: Boxes = np.zeros_like(part)
    np.divide(part, whole, out=share, where=whole > 0)
    return share


def grow(boxes: npt.NDArray[Any], margin: float) -> Boxes:
    """Boxes (N, 4) with ``margin`` × width added left and right, × height above and below."""
    grown = np.array(boxes, np.float64).reshape(-1, 4)
    grown[:, :2] -= margin * grown[:, 2:]
    grown[:, 2:] *= 1.0 + 2.0 * margin
    return grown


def clip(boxes: npt.NDArray[Any], width: float, height: float) -> Boxes:
    """The part of each box (N, 4) that lies in a ``width`` × ``height`` image; outside: no size."""
    rows = np.asarray(boxes, np.float64).reshape(-1, 4)
    limit = np.array([width, height], np.float64)
    low = np.clip(rows[:, :2], 0.0, limit)
    high = np.clip(rows[:, :2] + rows[:, 2:], 0.0, limit)
    return np.concatenate([low, np.maximum(high - low, 0.0)], axis=1)
