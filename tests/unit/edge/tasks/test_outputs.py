"""Raw outputs as real numbers."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from edge.contract.manifest import TensorSpec
from edge.contract.quantize import dequantize
from edge.tasks.outputs import OutputReader


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
def test_every_integer_means_what_the_contract_says(
    dtype: Literal["int8", "uint8", "int16"],
) -> None:
    """Looked up or computed, the number is the contract's to the bit, in any shape and order."""
    limits = np.iinfo(dtype)
    values = (
        np.arange(limits.min, limits.max + 1).astype(dtype).reshape(2, -1, 2).transpose(1, 0, 2)
    )
    zero_point = 0 if dtype == "int16" else 3
    spec = TensorSpec(dtype=dtype, shape=(1, 2), scale=0.0039, zero_point=zero_point)
    real = OutputReader("m", "score", spec).real(values)
    assert real.dtype == np.float32
    assert real.shape == values.shape
    assert np.array_equal(real, dequantize(values, 0.0039, zero_point))
    assert OutputReader("m", "score", spec).real(values[:0]).shape == (0, 2, 2)
