"""Masks as run lengths, in the form of the Severstal data: 1-based, down the columns."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

_NUMBER = re.compile(r"[0-9]{1,15}")  # sums stay within int64

Mask = npt.NDArray[np.bool_]


def decode_rle(text: str, height: int, width: int) -> Mask:
    """``start length start length …`` → (height, width) bool.

    Pixel 1 is the upper left one, pixel 2 the one below it. An empty text is an empty mask.

    Raises
    ------
    ValueError
        What is no whole number, an odd count, a run that is empty, lies outside of the picture or
        overlaps the one before.
    """
    runs = parse_rle(text)
    pixels = height * width
    starts, ends = runs[:, 0] - 1, runs[:, 0] - 1 + runs[:, 1]
    if len(runs) and ends.max() > pixels:
        raise ValueError(
            f"a run ends at pixel {int(ends.max())} of a picture of {height}×{width}, {pixels}"
        )
    steps = np.zeros(pixels + 1, np.int8)
    steps[starts] += 1  # no start stands there twice, and no end
    steps[ends] -= 1
    flat = np.cumsum(steps[:-1], dtype=np.int8).astype(np.bool_)
    return np.ascontiguousarray(flat.reshape(width, height).T)


def parse_rle(text: str) -> npt.NDArray[np.int64]:
    """``start length …`` → (N, 2) int64, checked but for the size of the picture.

    Raises
    ------
    ValueError
        As :func:`decode_rle`.
    """
    words = text.split()
    if wrong := next((word for word in words if _NUMBER.fullmatch(word) is None), None):
        raise ValueError(f"{wrong[:20]!r} is no whole number")
    if len(words) % 2:
        raise ValueError(f"{len(words)} numbers, needs pairs of start and length")
    runs = np.array(words, np.int64).reshape(-1, 2)
    if len(runs) and runs.min() < 1:
        raise ValueError("a start or a length is below 1")
    if (runs[1:, 0] < runs[:-1].sum(axis=1)).any():
        raise ValueError("a run overlaps the one before it, or stands before it")
    return runs


def encode_rle(mask: Mask) -> str:
    """(height, width) bool → ``start length …``, as :func:`decode_rle` reads it."""
    flat = np.concatenate([[False], mask.T.ravel(), [False]])
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    starts, ends = edges[0::2], edges[1::2]
    return " ".join(map(str, np.stack([starts + 1, ends - starts], axis=1).ravel().tolist()))
