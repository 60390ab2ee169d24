"""What the map between image and model promises for every size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.contract.preprocess import Preprocessor
from edge.contract.transform import Transform
from tests.helpers.specs import input_spec, tensor_spec

sides = st.integers(1, 3000)
modes = st.sampled_from(["stretch", "letterbox"])
fractions = st.tuples(st.floats(0, 1), st.floats(0, 1))


def _fit(image: tuple[int, int], model: tuple[int, int], mode: str) -> Transform:
    return Transform.fit(*image, input_spec(*model, mode=mode))


@given(st.tuples(sides, sides), st.tuples(sides, sides), modes, fractions)
def test_points_come_back(
    image: tuple[int, int], model: tuple[int, int], mode: str, at: tuple[float, float]
) -> None:
    """A point of the image lands inside the model's input and comes back to where it was."""
    transform = _fit(image, model, mode)
    point = np.array([[at[0] * image[1], at[1] * image[0]]])
    there = transform.points_to_model(point)
    assert (there >= 0).all()
    assert (there <= (model[1], model[0])).all()
    # float32 carries 24 bits; the way back magnifies what that loses by the scale.
    slack = 1e-6 * max(model) / min(transform.scale) + 1e-3
    np.testing.assert_allclose(transform.points_to_image(there), point, atol=slack)
    assert slack < 0.5 or min(transform.scale) < 0.01


@given(st.tuples(sides, sides), st.tuples(sides, sides), modes, fractions, fractions)
def test_boxes_come_back(
    image: tuple[int, int],
    model: tuple[int, int],
    mode: str,
    first: tuple[float, float],
    second: tuple[float, float],
) -> None:
    """A box goes with its corners: mapping box and corner points agrees, both ways."""
    transform = _fit(image, model, mode)
    low, high = np.minimum(first, second), np.maximum(first, second)
    size = np.array([image[1], image[0]])
    box = np.concatenate([low * size, (high - low) * size])[np.newaxis]
    there = transform.boxes_to_model(box)
    corners = transform.points_to_model(np.array([low * size, high * size]))
    np.testing.assert_allclose(there[0, :2], corners[0], atol=1e-2)
    np.testing.assert_allclose(there[0, :2] + there[0, 2:], corners[1], atol=1e-2)
    slack = 1e-6 * max(model) / min(transform.scale) + 1e-3
    back = transform.boxes_to_image(there, clip=True)
    np.testing.assert_allclose(back, box, atol=2 * slack)


@given(st.tuples(sides, sides), st.tuples(sides, sides))
def test_letterbox_keeps_the_shape_and_stays_inside(
    image: tuple[int, int], model: tuple[int, int]
) -> None:
    """The picture lies inside the input, touches it on one side at least, is centred to half a
    pixel, and its sides keep their ratio to half a model pixel.
    """
    transform = _fit(image, model, "letterbox")
    inner = np.array([transform.inner_height, transform.inner_width])
    assert (inner >= 1).all()
    assert (inner <= model).all()
    assert (inner == model).any()
    rest = np.array(model) - inner
    assert (np.abs(rest - 2 * np.array([transform.top, transform.left])) <= 1).all()
    exact = np.array(image) * min(model[0] / image[0], model[1] / image[1])
    assert (np.abs(inner - np.maximum(exact, 0.5)) <= 0.5 + 1e-6).all()


@settings(max_examples=60)
@given(
    st.tuples(st.integers(40, 300), st.integers(40, 300)),
    st.tuples(st.integers(24, 200), st.integers(24, 200)),
    modes,
    fractions,
)
def test_what_the_resize_moves_the_transform_moves_back(
    image: tuple[int, int], model: tuple[int, int], mode: str, at: tuple[float, float]
) -> None:
    """A bright square, found again by its centre of mass in the tensor, is within half a pixel
    (of the coarser of both grids) of where it was painted.
    """
    spec = input_spec(*model, mode=mode, interpolation="area", pad=0, mean=0.0, std=255.0)
    height, width = image
    side = 12
    top, left = round(at[1] * (height - side)), round(at[0] * (width - side))
    picture = np.zeros((height, width, 3), np.uint8)
    picture[top : top + side, left : left + side] = 255
    tensor, (transform,) = Preprocessor(spec, tensor_spec(spec)).prepare([picture])
    weight = tensor[0, :, :, 0].astype(np.float64)
    rows, columns = np.indices(weight.shape) + 0.5
    centre = [
        float((columns * weight).sum() / weight.sum()),
        float((rows * weight).sum() / weight.sum()),
    ]
    found = transform.points_to_image([centre])[0]
    painted = (left + side / 2, top + side / 2)
    coarse = max(1.0, *(1 / scale for scale in transform.scale))
    assert np.abs(found - painted).max() <= 0.5 * coarse


def test_a_shifted_map_would_be_caught() -> None:
    """The twin: without the half-pixel convention the square comes back more than half a pixel off
    when a picture is enlarged.
    """
    spec = input_spec(96, 96, interpolation="nearest", mean=0.0, std=255.0)
    picture = np.zeros((12, 12, 3), np.uint8)
    picture[4:8, 4:8] = 255
    tensor, (transform,) = Preprocessor(spec, tensor_spec(spec)).prepare([picture])
    centre = float((np.flatnonzero(tensor[0, 48, :, 0]) + 0.5).mean())
    right = transform.points_to_image([[centre, centre]])[0, 0]
    pixel_corners = centre * (12 - 1) / (96 - 1)
    assert right == pytest.approx(6.0, abs=0.07)
    assert abs(pixel_corners - 6.0) > 0.4
