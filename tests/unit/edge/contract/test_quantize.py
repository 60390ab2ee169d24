"""Quantization of tensors."""

from __future__ import annotations

import numpy as np
import pytest

from edge.contract.quantize import dequantize, quantize


def test_halves_go_away_from_zero() -> None:
    """Ties are rounded as LiteRT's reference kernel rounds them, not to even."""
    halves = [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5]
    assert quantize(halves, 1.0, 0, "int8").tolist() == [-3, -2, -1, 1, 2, 3]


def test_the_number_before_a_half_goes_down() -> None:
    """Adding 0.5 and truncating would round 0.49999999999999994 up; we do not."""
    assert quantize([np.nextafter(0.5, 0.0)], 1.0, 0, "int8").tolist() == [0]


def test_infinity_saturates() -> None:
    """Infinities become the limits of the type."""
    assert quantize([np.inf, -np.inf], 0.1, 3, "uint8").tolist() == [255, 0]


def test_the_shape_is_kept() -> None:
    """A scalar and a batch keep their shapes on both ways."""
    assert quantize(1.0, 0.5, 0, "int16").shape == ()
    assert dequantize(np.zeros((2, 3, 4), np.int8), 0.5, 1).shape == (2, 3, 4)


def test_dequantize_does_not_overflow() -> None:
    """Quantum minus zero point leaves int8 and is computed wider."""
    real = dequantize(np.array([-128, 127], np.int8), 1.0, 127)
    assert real.dtype == np.float32
    assert real.tolist() == [-255.0, 0.0]


@pytest.mark.parametrize(
    ("scale", "zero_point", "dtype", "reason"),
    [
        (0.0, 0, "int8", "scale 0.0"),
        (-1.0, 0, "int8", "scale -1.0"),
        (float("nan"), 0, "int8", "scale nan"),
        (1.0, 128, "int8", "zero_point 128 lies outside int8"),
        (1.0, -1, "uint8", "zero_point -1 lies outside uint8"),
        (1.0, 0, "int32", "dtype int32"),
        (1.0, 0, "float32", "dtype float32"),
    ],
)
def test_senseless_parameters_are_refused(
    scale: float, zero_point: int, dtype: str, reason: str
) -> None:
    """A scale, zero point or dtype that no tensor can have is an error that names it."""
    with pytest.raises(ValueError, match=reason):
        quantize([1.0], scale, zero_point, dtype)
