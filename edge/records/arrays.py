"""Checks that records make when they are built."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Outputs = Mapping[str, npt.NDArray[Any]]
"""A model's raw outputs in the model's own dtype, keyed by manifest name; axis 0 is the batch."""


def frozen_array(owner: object, name: str, dtype: type, shape: tuple[int | None, ...]) -> None:
    """Replace a field of a frozen record by a read-only view, after checking dtype and shape."""
    array = checked_array(type(owner), name, getattr(owner, name), dtype, shape)
    object.__setattr__(owner, name, array)


def checked_array(
    owner: type, name: str, array: object, dtype: type, shape: tuple[int | None, ...]
) -> npt.NDArray[Any]:
    """A read-only view of an array, after checking dtype and shape; floats must be finite."""
    if not isinstance(array, np.ndarray) or array.dtype != dtype:
        raise TypeError(f"{owner.__name__}.{name}: needs an array of {dtype.__name__}")
    if array.ndim != len(shape) or any(
        want is not None and have != want for have, want in zip(array.shape, shape, strict=True)
    ):
        raise ValueError(f"{owner.__name__}.{name}: shape {array.shape}, expected {shape}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"{owner.__name__}.{name}: holds NaN or infinity")
    view = array.view()
    view.flags.writeable = False
    return view


def unit_interval(owner: type, name: str, array: Floats) -> None:
    """Refuse an array with a number outside [0, 1]."""
    if array.size and not (array.min() >= 0.0 and array.max() <= 1.0):
        raise ValueError(f"{owner.__name__}.{name}: not in [0, 1]")


def utc(owner: object, moment: datetime) -> None:
    """Refuse a time that is not UTC."""
    offset = moment.utcoffset()
    if offset is None or offset.total_seconds() != 0:
        raise ValueError(f"{type(owner).__name__}.captured_at: must be UTC")


def fraction(owner: object, name: str, value: float) -> None:
    """Refuse a number outside [0, 1], NaN included."""
    if not (math.isfinite(value) and 0.0 <= value <= 1.0):
        raise ValueError(f"{type(owner).__name__}.{name}: {value} is not in [0, 1]")
