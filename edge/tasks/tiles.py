"""Small square pictures side by side, as a network for long strips has learned them.

A network for strips of 128×800 pixels that was trained on eight tiles in a row knows no other
shape. On the device it gets whole frames; data sets have tiles.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from edge.contract.manifest import InputSpec, SegmentationDecode
from edge.records import Image


def is_tile(image: Image, decode: SegmentationDecode, spec: InputSpec) -> bool:
    """Whether an image (H, W, 3) is one of several in an input: its shape is nearer to a tile's
    than to the whole input's. Never for a model that knows no tiles.
    """
    if decode.tiles == 1:
        return False
    whole, aspect = spec.width / spec.height, image.shape[1] / image.shape[0]
    return bool(aspect**2 < whole * (whole / decode.tiles))


def lay_tiles(images: Sequence[Image], tiles: int, spec: InputSpec) -> Image:
    """1 to ``tiles`` images, each (H, W, 3) uint8, side by side in one of the input's size, each
    stretched to its place; where there are fewer, they come again.

    Raises
    ------
    ValueError
        None, or more than an input holds.
    """
    if not 1 <= len(images) <= tiles:
        raise ValueError(f"lay_tiles: {len(images)} images, needs 1 to {tiles}")
    size = (spec.width // tiles, spec.height)
    laid = [cv2.resize(image, size, interpolation=cv2.INTER_LINEAR_EXACT) for image in images]
    return np.hstack([laid[k % len(laid)] for k in range(tiles)]).astype(np.uint8, copy=False)
