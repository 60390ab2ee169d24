"""The messages between ``linesight-convert`` and the process that holds the model.

One message is a length (4 bytes, big-endian), a JSON object of that length, and the bytes of the
arrays that the object lists under ``arrays``, in C order. Nothing in it can name code: neither
side believes the other more than a file from a stranger.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.errors import LineSightError

Arrays = Mapping[str, npt.NDArray[Any]]

_LENGTH = struct.Struct(">I")
_HEADER = 64 * 2**20
_ARRAYS = 4 * 2**30
_DTYPES = frozenset({"float32", "uint8"})
_NOTHING: Arrays = {}


class WireError(LineSightError):
    """What came through the pipe is no message."""


@dataclass(frozen=True, slots=True)
class Message:
    """A JSON object and the arrays that travel with it, by name."""

    header: Mapping[str, Any]
    arrays: Arrays = field(default_factory=dict)


def encode(header: Mapping[str, Any], arrays: Arrays = _NOTHING) -> Iterator[memoryview]:
    """The message in pieces; arrays are not copied when they are contiguous."""
    kept = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    listed = [
        {"name": name, "dtype": array.dtype.name, "shape": list(array.shape)}
        for name, array in kept.items()
    ]
    text = json.dumps({**header, "arrays": listed}).encode()
    yield memoryview(_LENGTH.pack(len(text)) + text)
    for array in kept.values():
        if array.size:
            yield memoryview(array.reshape(-1).view(np.uint8).data)


def decode(read: Callable[[int], bytearray]) -> Message:
    """One message.

    Parameters
    ----------
    read
        Gives exactly so many bytes, or raises.

    Raises
    ------
    WireError
        The bytes are no message of this module.
    """
    (length,) = _LENGTH.unpack(bytes(read(_LENGTH.size)))
    if length > _HEADER:
        raise WireError(f"a header of {length} bytes")
    try:
        header = json.loads(read(length))
        listed = header.pop("arrays")
        plan = [
            (str(part["name"]), str(part["dtype"]), tuple(int(n) for n in part["shape"]))
            for part in listed
        ]
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise WireError("a header that is not of this protocol") from error
    for _, dtype, shape in plan:
        if dtype not in _DTYPES or any(size < 0 for size in shape):
            raise WireError(f"an array of {dtype}, shape {shape}")
    if sum(_bytes(dtype, shape) for _, dtype, shape in plan) > _ARRAYS:
        raise WireError("arrays that no model gives")
    return Message(
        header,
        {
            name: np.frombuffer(read(_bytes(dtype, shape)), dtype).reshape(shape)
            for name, dtype, shape in plan
        },
    )


def _bytes(dtype: str, shape: tuple[int, ...]) -> int:
    return int(np.dtype(dtype).itemsize) * math.prod(shape)
