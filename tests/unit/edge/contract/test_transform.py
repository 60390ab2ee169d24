"""The map between an image and the model's input."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edge.contract.transform import Transform, nearest
from tests.helpers.specs import input_spec

LETTERBOX = Transform.fit(480, 640, input_spec(64, 64, mode="letterbox"))
STRETCH = Transform.fit(480, 640, input_spec(64, 64, mode="stretch"))


def test_letterbox_centres_the_picture() -> None:
    """A 4:3 picture in a square input leaves the same padding above and below."""
    assert (LETTERBOX.left, LETTERBOX.top) == (0, 8)
    assert (LETTERBOX.inner_width, LETTERBOX.inner_height) == (64, 48)
    assert LETTERBOX.scale == (0.1, 0.1)
    assert LETTERBOX.padded


def test_stretch_fills_the_input() -> None:
    """Stretching leaves no padding and has a scale for each axis."""
    assert not STRETCH.padded
    assert STRETCH.scale == (0.1, 64 / 480)


def test_boxes_reach_the_image() -> None:
    """A box in model pixels is moved by the padding and scaled."""
    boxes = LETTERBOX.boxes_to_image(np.array([[10, 18, 4, 2]], np.float32))
    assert boxes.dtype == np.float32
    np.testing.assert_allclose(boxes, [[100, 100, 40, 20]], rtol=1e-6)


def test_clip_cuts_boxes_at_the_image() -> None:
    """What lies in the padding is cut off; a box altogether there keeps no area."""
    boxes = [[-2, 4, 10, 8], [0, 0, 64, 4]]
    clipped = LETTERBOX.boxes_to_image(boxes, clip=True)
    np.testing.assert_allclose(clipped[0], [0, 0, 80, 40], atol=1e-4)
    assert clipped[1, 3] == 0
    assert LETTERBOX.boxes_to_image(boxes)[1, 1] == pytest.approx(-80)


def test_clip_keeps_points_in_the_image() -> None:
    """Points in the padding move to the image's edge."""
    assert LETTERBOX.points_to_image([[70, 2]], clip=True).tolist() == [[640, 0]]


def test_nothing_maps_to_nothing() -> None:
    """No boxes and no points are no error and keep their columns."""
    assert LETTERBOX.boxes_to_image(np.empty((0, 4))).shape == (0, 4)
    assert LETTERBOX.points_to_model([]).shape == (0, 2)


def test_a_table_of_another_width_is_refused() -> None:
    """Corner pairs are not taken for boxes."""
    with pytest.raises(ValueError, match=r"expected \(N, 4\)"):
        LETTERBOX.boxes_to_image([[1, 2]])


@pytest.mark.parametrize("size", [(0, 5), (5, 0)])
def test_an_image_without_pixels_is_refused(size: tuple[int, int]) -> None:
    """There is no map for an empty image."""
    with pytest.raises(ValueError, match="no pixels"):
        Transform.fit(*size, input_spec())


def test_a_sliver_keeps_a_row() -> None:
    """An image of 1×5000 pixels still has one row in the model's input."""
    sliver = Transform.fit(1, 5000, input_spec(64, 64, mode="letterbox"))
    assert (sliver.inner_height, sliver.inner_width) == (1, 64)
    np.testing.assert_allclose(sliver.boxes_to_image([[0, 31, 64, 1]]), [[0, 0, 5000, 1]])


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.float32])
def test_masks_lose_the_padding_and_get_the_images_size(dtype: type) -> None:
    """A mask over the picture's left half covers the left half of the image; padding is no part
    of it, and the dtype stays.
    """
    mask: npt.NDArray[Any] = np.zeros((64, 64), dtype)
    mask[:, :32] = 1
    image = LETTERBOX.mask_to_image(mask)
    assert image.shape == (480, 640)
    assert image.dtype == dtype
    assert (image[:, :310] == 1).all()
    assert (image[:, 330:] == 0).all()


def test_masks_come_back() -> None:
    """A mask that is larger than the model's pixels survives the way there and back but for a
    seam of half a model pixel.
    """
    mask = np.zeros((480, 640), np.bool_)
    mask[100:300, 200:500] = True
    for transform in (LETTERBOX, STRETCH):
        back = transform.mask_to_image(transform.mask_to_model(mask))
        seam = int(np.ceil(0.5 / min(transform.scale)))
        assert back[100 + seam : 300 - seam, 200 + seam : 500 - seam].all()
        back[100 - seam : 300 + seam, 200 - seam : 500 + seam] = False
        assert not back.any()


def test_masks_have_channels_too() -> None:
    """Several channels, and a single one, are kept as they are."""
    for channels in (1, 4):
        mask: npt.NDArray[np.float32] = np.ones((64, 64, channels), np.float32)
        assert LETTERBOX.mask_to_image(mask).shape == (480, 640, channels)
        there = LETTERBOX.mask_to_model(np.ones((480, 640, channels), np.float32))
        assert there.shape == (64, 64, channels)
        assert (there[:8] == 0).all()
        assert (there[8:56] == 1).all()


def test_nearest_takes_the_pixel_at_the_centre() -> None:
    """Shrinking by three takes the middle one of three; enlarging repeats; the order stays."""
    line = np.arange(9)[np.newaxis]
    assert nearest(line, 1, 3).tolist() == [[1, 4, 7]]
    assert nearest(line[:, :3], 2, 6).tolist() == [[0, 0, 1, 1, 2, 2]] * 2
    long = np.arange(1_000_000)[np.newaxis]
    assert nearest(long, 1, 4).tolist() == [[125_000, 375_000, 625_000, 875_000]]


def test_a_mask_of_another_size_is_refused() -> None:
    """A mask at the stride of the network is not taken for one of the input's size."""
    with pytest.raises(ValueError, match=r"expected \(64, 64\)"):
        LETTERBOX.mask_to_image(np.zeros((32, 32), np.bool_))
    with pytest.raises(ValueError, match=r"expected \(480, 640\)"):
        LETTERBOX.mask_to_model(np.zeros((64, 64), np.bool_))
