"""Crowds made of four photos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from converter.training.pictures import Picture
from tools.fold_mosaics import mosaics, summarize


def _photo(faces: int, side: float = 20.0) -> Picture:
    boxes = np.array([[10.0 * k, 5.0, 10.0 * k + side, 5.0 + side] for k in range(faces)])
    image = np.full((96, 128, 3), 10 * faces, np.uint8)
    return Picture(Path(f"{faces}.jpg"), image, boxes.astype(np.float32), ("face",) * faces)


def test_four_photos_become_one_crowd() -> None:
    """Each photo stands in a quarter at half the input's size, and its boxes with it."""
    (made,) = mosaics([_photo(6)] * 4, 96, 128, 6.0)
    assert made.image.shape == (96, 128, 3)
    assert (made.image == 60).all()
    assert len(made.boxes) == 24
    corners = made.boxes[::6, :2]  # of the first face in each quarter
    assert corners == pytest.approx(np.array([[5, 2.5], [69, 2.5], [5, 50.5], [69, 50.5]]) - [5, 0])
    assert made.boxes[0, 2] - made.boxes[0, 0] == pytest.approx(10.0)


def test_what_makes_no_crowd_is_left_out() -> None:
    """Photos with too few or too many faces, threes, and tiny faces do not count."""
    assert mosaics([_photo(4), _photo(18)] * 4, 96, 128, 6.0) == []
    assert mosaics([_photo(6)] * 3, 96, 128, 6.0) == []
    assert mosaics([_photo(6, side=11.0)] * 4, 96, 128, 6.0) == []


def test_recall_is_that_of_all_faces() -> None:
    """Mosaics with more faces weigh more; the interval is that of drawing mosaics again."""
    report = summarize(np.array([[20, 10], [30, 30], [20, 15]]))
    assert (report["mosaics"], report["faces"], report["recall"]) == (3, 70, 55 / 70)
    low, high = report["interval"]["recall"]
    assert 0.5 <= low < 55 / 70 < high <= 1.0
