"""From an image to the model's input tensor."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.contract.preprocess import Preprocessor, normalization_table
from edge.contract.quantize import quantize
from tests.helpers.specs import input_spec, tensor_spec

Image = npt.NDArray[np.uint8]
ROW = [39.0, 50.0, 62.0, 73.0, 85.0, 97.0]


def _picture(height: int, width: int, seed: int = 0) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int8", "int16"])
@pytest.mark.parametrize("color", ["RGB", "BGR", "GRAY"])
def test_the_tensor_is_the_normalized_image(color: str, dtype: str) -> None:
    """At the model's own size every value is (pixel - mean) / std, in the order of ``color``,
    quantized where the tensor is.
    """
    spec = input_spec(color=color, mean=100.0, std=64.0)
    target = tensor_spec(spec, dtype)
    image = _picture(spec.height, spec.width)
    tensor, _ = Preprocessor(spec, target).prepare([image])
    if color == "GRAY":
        ordered = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)[..., np.newaxis]
    else:
        ordered = image[..., ::-1] if color == "RGB" else image
    real = (ordered[np.newaxis].astype(np.float64) - 100.0) / 64.0
    if target.scale is None or target.zero_point is None:
        np.testing.assert_allclose(tensor, real, rtol=1e-6)
    else:
        np.testing.assert_array_equal(
            tensor, quantize(real, target.scale, target.zero_point, dtype)
        )
    assert tensor.shape == (1, *spec.shape[1:])
    assert tensor.dtype == dtype


def test_channels_have_their_own_mean_and_std() -> None:
    """``mean`` and ``std`` stand in the order of ``color``."""
    spec = input_spec().model_copy(
        update={
            "normalize": input_spec().normalize.model_copy(
                update={"mean": (10.0, 20.0, 30.0), "std": (1.0, 2.0, 4.0)}
            )
        }
    )
    image = np.full((24, 32, 3), (3, 2, 1), np.uint8)  # blue 3, green 2, red 1
    tensor, _ = Preprocessor(spec, tensor_spec(spec)).prepare([image])
    assert tensor[0, 0, 0].tolist() == [-9.0, -9.0, -6.75]


def test_int8_pixels_saturate() -> None:
    """A normalization wider than the tensor's range stops at its limits."""
    spec = input_spec(mean=0.0, std=1.0)
    table = normalization_table(spec, tensor_spec(spec, "int8"))
    assert table.dtype == np.int8
    assert table[0, 0] == 0
    assert table[255, 0] == 127


def test_letterbox_pads_with_the_grey_value() -> None:
    """The padding is ``pad`` before normalization; the picture lies where the transform says."""
    spec = input_spec(32, 32, mode="letterbox", pad=51, mean=0.0, std=255.0)
    image = np.full((10, 20, 3), 255, np.uint8)
    tensor, (transform,) = Preprocessor(spec, tensor_spec(spec)).prepare([image])
    assert (transform.top, transform.inner_height) == (8, 16)
    assert (tensor[0, 8:24] == 1).all()
    np.testing.assert_allclose(np.delete(tensor[0], slice(8, 24), axis=0), 0.2)


def test_padding_of_an_earlier_image_does_not_stay() -> None:
    """Scratch memory is cleaned between images of other shapes."""
    spec = input_spec(32, 32, mode="letterbox", pad=0, mean=0.0, std=255.0)
    preprocessor = Preprocessor(spec, tensor_spec(spec))
    white = np.full((32, 32, 3), 255, np.uint8)
    preprocessor.prepare([white, white])
    tensor, _ = preprocessor.prepare([white[:16]])
    assert tensor[0, 0].max() == 0


def test_a_batch_equals_its_singles() -> None:
    """Images of several sizes in one batch give what each gives alone."""
    spec = input_spec(mode="letterbox")
    preprocessor = Preprocessor(spec, tensor_spec(spec, "int8"))
    images = [_picture(h, w, h) for h, w in ((24, 32), (100, 50), (7, 9), (1, 1))]
    batch, transforms = preprocessor.prepare(images)
    assert batch.shape == (4, 24, 32, 3)
    for index, image in enumerate(images):
        single, (transform,) = preprocessor.prepare([image])
        np.testing.assert_array_equal(batch[index], single[0])
        assert transform == transforms[index]


def test_a_result_does_not_change_with_the_next_call() -> None:
    """Without ``out`` each tensor is new memory."""
    spec = input_spec()
    preprocessor = Preprocessor(spec, tensor_spec(spec))
    first, _ = preprocessor.prepare([_picture(24, 32, 1)])
    kept = first.copy()
    preprocessor.prepare([_picture(24, 32, 2)])
    np.testing.assert_array_equal(first, kept)


def test_out_is_written_in_place() -> None:
    """``out`` is what comes back, filled."""
    spec = input_spec()
    preprocessor = Preprocessor(spec, tensor_spec(spec, "int8"))
    images = [_picture(50, 50, 1), _picture(60, 60, 2)]
    out = preprocessor.allocate(2)
    tensor, _ = preprocessor.prepare(images, out)
    assert tensor is out
    np.testing.assert_array_equal(out, preprocessor.prepare(images)[0])


@pytest.mark.parametrize("fault", ["count", "dtype", "strides", "read-only"])
def test_an_out_that_does_not_fit_is_refused(fault: str) -> None:
    """Memory that cannot be written in place is an error, not silently left alone."""
    spec = input_spec()
    preprocessor = Preprocessor(spec, tensor_spec(spec))
    out = preprocessor.allocate(1)
    if fault == "count":
        out = preprocessor.allocate(2)
    elif fault == "dtype":
        out = np.empty(out.shape, np.int8)
    elif fault == "strides":
        out = np.empty((1, 24, 64, 3), np.float32)[:, :, ::2]
    else:
        out.flags.writeable = False
    with pytest.raises(ValueError, match="out is"):
        preprocessor.prepare([_picture(24, 32)], out)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (1, 40_000), (1_000_000, 1), (3, 2)])
@pytest.mark.parametrize("mode", ["stretch", "letterbox"])
@pytest.mark.parametrize("interpolation", ["nearest", "linear", "area"])
def test_odd_sizes_work(size: tuple[int, int], mode: str, interpolation: str) -> None:
    """Single pixels, lines and slivers keep their grey value with every resize."""
    spec = input_spec(mode=mode, interpolation=interpolation, pad=200, mean=0.0, std=1.0)
    tensor, (transform,) = Preprocessor(spec, tensor_spec(spec)).prepare(
        [np.full((*size, 3), 200, np.uint8)]
    )
    assert (tensor == 200).all()
    assert (transform.image_height, transform.image_width) == size


def test_views_of_all_kinds_work_and_stay_as_they_are() -> None:
    """Crops, mirrored, strided and read-only images give what a copy of them gives."""
    spec = input_spec()
    preprocessor = Preprocessor(spec, tensor_spec(spec, "int8"))
    whole = _picture(80, 90)
    whole.flags.writeable = False
    before = whole.copy()
    views = [whole, whole[10:60, 5:70], whole[:, ::-1], whole[::2, ::3], whole[..., ::-1]]
    got, _ = preprocessor.prepare(views)
    expected, _ = preprocessor.prepare([view.copy() for view in views])
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(whole, before)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.uint16),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_another_kind_of_image_is_refused(image: npt.NDArray[np.uint8]) -> None:
    """Grey, four-channel, 16-bit, float and empty images are errors."""
    spec = input_spec()
    with pytest.raises(ValueError, match="image"):
        Preprocessor(spec, tensor_spec(spec)).prepare([image])


def test_no_images_are_refused() -> None:
    """There is no empty batch."""
    spec = input_spec()
    with pytest.raises(ValueError, match="at least one"):
        Preprocessor(spec, tensor_spec(spec)).prepare([])


def test_the_resize_is_the_bit_exact_one() -> None:
    """The bytes of a resized picture are known: another OpenCV, machine or mode is noticed."""
    spec = input_spec(mean=0.0, std=1.0, color="BGR")
    image = (np.add.outer(np.arange(37) ** 2, np.arange(53) * 7) % 256).astype(np.uint8)
    tensor, _ = Preprocessor(spec, tensor_spec(spec)).prepare([np.dstack([image] * 3)])
    assert tensor[0, 20, 8:14, 1].tolist() == ROW
    plain = cv2.resize(image, (32, 24), interpolation=cv2.INTER_LINEAR)
    assert (plain != tensor[0, ..., 1]).any()


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 120), st.integers(1, 120), st.sampled_from(["RGB", "BGR", "GRAY"]))
def test_it_is_the_exact_resize_of_three_channels(height: int, width: int, color: str) -> None:
    """By way of four channels or not, the bytes are those of the plain exact resize."""
    spec = input_spec(mean=0.0, std=1.0, color=color)
    image = _picture(height, width, height * width)
    tensor, _ = Preprocessor(spec, tensor_spec(spec)).prepare([image])
    resized = cv2.resize(image, (spec.width, spec.height), interpolation=cv2.INTER_LINEAR_EXACT)
    if color == "GRAY":
        expected = cv2.cvtColor(resized, cv2.COLOR_BGR2GRAY)[..., np.newaxis]
    else:
        expected = resized if color == "BGR" else resized[..., ::-1]
    np.testing.assert_array_equal(tensor[0], expected)
