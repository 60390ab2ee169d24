"""Small square pictures side by side, as a network for long strips has learned them.

A network for strips of 128×800 pixels that was trained on eight tiles in a row knows no other
shape. On the device it gets whole frames; data sets have tiles.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from edge.contract.manifest import Manifest, SegmentationDecode
from edge.records import Image


def tiles_of(manifest: Manifest) -> int:
    """How many tiles one input holds; 1 of a model that knows no tiles."""
    decode = manifest.decode
    return decode.tiles if isinstance(decode, SegmentationDecode) else 1


def is_tile(image: Image, manifest: Manifest) -> bool:
    """Whether an image (H, W, 3) is one of several in an input: its shape is nearer to a tile's
    than to the whole input's.
    """
    tiles = tiles_of(manifest)
    if tiles == 1:
        return False
    spec = manifest.input
    whole, image_aspect = spec.width / spec.height, image.shape[1] / image.shape[0]
    return bool(image_aspect**2 < whole * (whole / tiles))


def lay_tiles(images: Sequence[Image], manifest: Manifest) -> Image:
    """1 to ``tiles_of(manifest)`` tiles, each (H, W, 3) uint8, side by side in an image of the
    input's size, each stretched to its place; where there are fewer, they come again.

    Raises
    ------
    ValueError
        None, or more than an input holds.
    """
    tiles = tiles_of(manifest)
    if not 1 <= len(images) <= tiles:
        raise ValueError(f"lay_tiles: {len(images)} images, needs 1 to {tiles}")
    size = (manifest.input.width // tiles, manifest.input.height)
    laid = [cv2.resize(image, size, interpolation=cv2.INTER_LINEAR_EXACT) for image in images]
    return np.hstack([laid[k % len(laid)] for k in range(tiles)]).astype(np.uint8, copy=False)
