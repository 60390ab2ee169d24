"""Faces on the canvas: where they lie, and that the truth lies there too."""

from __future__ import annotations

import numpy as np
import pytest

from edge.contract import boxes as geometry
from edge.records import Image
from tools.conditions import canvas
from tools.conditions.shots import WITH_MASK, Face, Shot


def tile(value: int, height: int = 90, width: int = 60) -> Image:
    """A picture of one colour."""
    return np.full((height, width, 3), value, np.uint8)


@pytest.mark.parametrize("count", [18, 32])
def test_nobody_in_a_crowd_hides_another(count: int) -> None:
    """All faces are there, at their size, on the canvas, and no two overlap."""
    crops = [(tile(value), WITH_MASK) for value in range(count)]
    shot = canvas.crowd(crops, np.random.default_rng(0))
    boxes = np.array([face.box for face in shot.faces])
    assert shot.image.shape == (960, 1280, 3)
    assert len(boxes) == count
    assert geometry.iou(boxes, boxes).sum() == pytest.approx(count)
    assert np.isin(boxes[:, 3], range(48, 71)).all()
    for value, (x, y, width, height) in enumerate(boxes.astype(int)):
        assert (shot.image[y : y + height, x : x + width] == value).all()


def test_a_crowd_is_the_same_each_time() -> None:
    """The seed decides where everybody stands."""
    crops = [(tile(value), WITH_MASK) for value in range(18)]
    one, two, other = (canvas.crowd(crops, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert one.faces == two.faces
    assert one.faces != other.faces


def test_a_close_up_shows_the_face_in_its_box() -> None:
    """A white face of a black photo lies where the shot says, and nothing else is white."""
    photo = tile(0, 300, 400)
    photo[100:180, 150:210] = 255
    shot = canvas.close_up(photo, (150.0, 100.0, 60.0, 80.0), WITH_MASK)
    (face,) = shot.faces
    x, y, width, height = (round(v) for v in face.box)
    assert max(width, height) == canvas.FACE_SIDE
    assert shot.image[y + 3 : y + height - 3, x + 3 : x + width - 3].min() > 250
    white = shot.image.max(axis=2) > 250
    assert white.sum() == pytest.approx(width * height, rel=0.05)


def test_small_faces_of_a_fitted_photo_do_not_count() -> None:
    """A photo of twice the camera's size is halved with its boxes; the face of 40 px is then too
    small for 24, the other is not.
    """
    faces = (Face((0, 0, 40, 40), WITH_MASK), Face((100, 100, 60, 50), WITH_MASK))
    shot = canvas.fitted(Shot(tile(9, 960, 1280), faces), smallest=24)
    assert shot.image.shape == (480, 640, 3)
    assert [face.counted for face in shot.faces] == [False, True]
    assert shot.faces[1].box == (50, 50, 30, 25)


def test_a_photo_that_fits_stays_as_it_is() -> None:
    """Nothing is enlarged."""
    shot = Shot(tile(9, 100, 100), (Face((10, 10, 30, 30), WITH_MASK),))
    assert canvas.fitted(shot, smallest=24).faces == shot.faces
