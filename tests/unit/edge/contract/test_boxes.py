"""Geometry of boxes."""

from __future__ import annotations

import numpy as np

from edge.contract.boxes import clip, grow, iou, share_inside


def test_iou_by_hand() -> None:
    """Identical 1, half overlapped a third, apart and touching 0; rows against columns."""
    one = np.array([[0, 0, 10, 10]], np.float32)
    others = np.array([[0, 0, 10, 10], [5, 0, 10, 10], [10, 0, 10, 10], [50, 50, 1, 1]], np.float32)
    np.testing.assert_allclose(iou(one, others), [[1, 1 / 3, 0, 0]])
    assert iou(others, one).shape == (4, 1)
    assert iou(one[:0], others).shape == (0, 4)


def test_share_inside_by_hand() -> None:
    """A quarter of the first box lies in the second, which lies in it with all of itself."""
    big, small = np.array([[0.0, 0, 4, 4]]), np.array([[1.0, 1, 2, 2]])
    assert share_inside(big, small).tolist() == [[0.25]]
    assert share_inside(small, big).tolist() == [[1.0]]
    assert share_inside(np.zeros((1, 4)), big).tolist() == [[0.0]]


def test_boxes_without_area_overlap_nothing() -> None:
    """A box without area has IoU 0, also with itself, and no division by zero."""
    point = np.array([[5, 5, 0, 0]])
    assert iou(point, point)[0, 0] == 0.0


def test_grow_keeps_the_centre() -> None:
    """A margin of 0.5 doubles both sides around the same centre; the input stays as it is."""
    box = np.array([[10, 20, 4, 8]], np.float32)
    np.testing.assert_allclose(grow(box, 0.5), [[8, 16, 8, 16]])
    np.testing.assert_allclose(box, [[10, 20, 4, 8]])


def test_clip_cuts_off_what_lies_outside() -> None:
    """The inner part stays; a box outside has no size."""
    boxes = np.array([[-5, -5, 10, 10], [90, 40, 30, 30], [200, 200, 5, 5], [-1e38, 0, 2e38, 9]])
    np.testing.assert_allclose(
        clip(boxes, 100, 50), [[0, 0, 5, 5], [90, 40, 10, 10], [100, 50, 0, 0], [0, 0, 100, 9]]
    )
