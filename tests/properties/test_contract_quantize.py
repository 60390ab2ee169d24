"""What quantization promises for every number."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edge.contract.quantize import dequantize, quantize

Params = tuple[str, float, int]


@st.composite
def parameters(draw: st.DrawFn) -> Params:
    """A dtype with a scale and a zero point that fit it."""
    dtype = draw(st.sampled_from(["uint8", "int8", "int16"]))
    limits = np.iinfo(dtype)
    scale = draw(st.floats(1e-6, 1e3))
    return dtype, scale, draw(st.integers(int(limits.min), int(limits.max)))


@given(parameters(), st.floats(0, 1))
def test_error_is_at_most_half_a_step_inside_the_range(params: Params, where: float) -> None:
    """A number between the smallest and the largest that the tensor can hold comes back within
    scale / 2.
    """
    dtype, scale, zero_point = params
    limits = np.iinfo(dtype)
    low, high = ((limit - zero_point) * scale for limit in (int(limits.min), int(limits.max)))
    real = low + where * (high - low)
    quanta = quantize([real], scale, zero_point, dtype)
    back = (int(quanta[0]) - zero_point) * scale
    assert abs(back - real) <= scale / 2 * (1 + 1e-9)


@given(parameters(), st.floats(allow_nan=False))
def test_numbers_out_of_range_saturate(params: Params, real: float) -> None:
    """A number beyond the range becomes the nearest limit and never wraps around."""
    dtype, scale, zero_point = params
    limits = np.iinfo(dtype)
    got = int(quantize([real], scale, zero_point, dtype)[0])
    if real >= (int(limits.max) - zero_point) * scale:
        assert got == limits.max
    elif real <= (int(limits.min) - zero_point) * scale:
        assert got == limits.min
    else:
        assert limits.min <= got <= limits.max


@given(
    parameters(),
    arrays.arrays(np.float32, (2, 3), elements=st.floats(width=32, allow_nan=False)),
    st.integers(0, 5),
)
def test_nan_is_refused_wherever_it_stands(
    params: Params, real: npt.NDArray[np.float32], place: int
) -> None:
    """One NaN in an array is an error, not some integer."""
    dtype, scale, zero_point = params
    assert quantize(real, scale, zero_point, dtype).dtype == dtype
    real.flat[place] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        quantize(real, scale, zero_point, dtype)


@given(
    st.sampled_from(["uint8", "int8", "int16"]).flatmap(
        lambda dtype: arrays.arrays(dtype, st.integers(0, 20))
    ),
    st.sampled_from([1.0, 0.00784313772, 3.5e-5]),
)
def test_integers_survive_the_way_through_real_numbers(
    quanta: npt.NDArray[Any], scale: float
) -> None:
    """Dequantizing and quantizing again gives the same integers."""
    zero_point = 0
    again = quantize(dequantize(quanta, scale, zero_point), scale, zero_point, quanta.dtype)
    np.testing.assert_array_equal(again, quanta)
