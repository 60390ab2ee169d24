"""Affine quantization of tensors: ``real = (quantum - zero_point) * scale``.

The rule is that of LiteRT's reference kernel (``AffineQuantize``): divide by the scale, round half
away from zero, add the zero point, saturate at the limits of the integer type. (Its optimized
kernels round half to even; pixels normalized with mean 127.5 are all close to a half, so that would
use only every second integer.) It is computed in float64, so that the only error is the rounding
itself: at most ``scale / 2`` inside the range.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

INTEGER_DTYPES = ("uint8", "int8", "int16")


def quantize(
    real: npt.ArrayLike, scale: float, zero_point: int, dtype: npt.DTypeLike
) -> npt.NDArray[Any]:
    """Real numbers to integers of ``dtype``; infinities saturate like any number out of range.

    Parameters
    ----------
    real
        Any shape.
    scale, zero_point
        As the manifest has them; ``scale`` > 0.
    dtype
        uint8, int8 or int16.

    Raises
    ------
    ValueError
        ``real`` holds NaN, the scale is not a positive number, the zero point lies outside
        ``dtype``, or ``dtype`` is none of those above.
    """
    limits = _limits(scale, zero_point, dtype)
    values = np.asarray(real, dtype=np.float64)
    if np.isnan(values).any():
        raise ValueError("quantize: NaN has no integer")
    with np.errstate(over="ignore"):
        steps = values / scale
    # np.round rounds half to even; the kernel's std::round goes away from zero.
    whole = np.trunc(steps)
    with np.errstate(invalid="ignore"):  # infinity minus infinity, never at least a half
        away = np.abs(steps - whole) >= 0.5
    whole += np.where(away, np.sign(steps), 0.0)
    quanta: npt.NDArray[Any] = np.clip(whole + zero_point, limits.min, limits.max)
    return quanta.astype(limits.dtype)


def dequantize(quanta: npt.NDArray[Any], scale: float, zero_point: int) -> npt.NDArray[np.float32]:
    """Integers of a quantized tensor to real numbers, the shape kept.

    Raises
    ------
    ValueError
        ``quanta`` is not uint8, int8 or int16, or scale and zero point do not fit it.
    """
    _limits(scale, zero_point, quanta.dtype)
    steps = quanta.astype(np.int32) - np.int32(zero_point)
    return (steps * np.float64(scale)).astype(np.float32)


def _limits(scale: float, zero_point: int, dtype: npt.DTypeLike) -> np.iinfo[Any]:
    kind = np.dtype(dtype)
    if kind.name not in INTEGER_DTYPES:
        raise ValueError(f"quantize: dtype {kind.name} is none of {', '.join(INTEGER_DTYPES)}")
    if not (np.isfinite(scale) and scale > 0):
        raise ValueError(f"quantize: scale {scale} is not a positive number")
    limits = np.iinfo(kind)
    if not limits.min <= zero_point <= limits.max:
        raise ValueError(f"quantize: zero_point {zero_point} lies outside {kind.name}")
    return limits
