"""From an image to the model's input tensor, the only way there is to it.

Training, calibration, golden vectors and the device all come through here. It gives the same bytes
on every machine: the resize is OpenCV's bit-exact one, and normalizing and quantizing together are
one table of 256 entries for each channel, so an int8 model never sees a float.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edge.contract.manifest import InputSpec, TensorSpec
from edge.contract.quantize import quantize
from edge.contract.transform import Transform, nearest

__all__ = ["Preprocessor", "Transform", "normalization_table"]

Image = npt.NDArray[np.uint8]

# The plain INTER_LINEAR may differ between builds of OpenCV by a grey level (it does from the exact
# one in 14 % of all pixels; the exact one costs 0.2 ms more for 640×480 to 512×384).
_LINEAR = cv2.INTER_LINEAR_EXACT

# Resizing four channels is almost twice as fast as three (0.52 against 0.98 ms for 640×480 to
# 512×384) and gives the same bytes. It pays unless the image has so many times the pixels of its
# resized self that widening all of them costs more than it saves.
_WIDEN_UP_TO = 4

_TO_COLOR = {"RGB": cv2.COLOR_BGRA2RGB, "BGR": cv2.COLOR_BGRA2BGR, "GRAY": cv2.COLOR_BGRA2BGR}


def normalization_table(spec: InputSpec, tensor: TensorSpec) -> npt.NDArray[Any]:
    """What every grey value becomes: (256, channels) in the tensor's dtype, ``color`` order.

    A float32 tensor gets ``(pixel - mean) / std``, an integer one that number quantized.
    """
    grey = np.arange(256, dtype=np.float64)[:, np.newaxis]
    mean, std = np.array(spec.normalize.mean), np.array(spec.normalize.std)
    real: npt.NDArray[np.float64] = (grey - mean) / std
    if tensor.scale is None or tensor.zero_point is None:
        return real.astype(np.float32)
    return quantize(real, tensor.scale, tensor.zero_point, tensor.dtype)


class Preprocessor:
    """Makes the input tensors of one variant. Used by one thread: it keeps scratch memory.

    Parameters
    ----------
    spec
        The manifest's ``input``.
    tensor
        The variant's input tensor: ``bundle.input_tensor(variant)``.
    """

    def __init__(self, spec: InputSpec, tensor: TensorSpec) -> None:
        self.spec = spec
        self.dtype = np.dtype(tensor.dtype)
        table = normalization_table(spec, tensor)
        if (table == table[:, :1]).all():
            table = table[:, :1]  # one table for all channels is the faster cv2.LUT
        self._table = np.ascontiguousarray(table[np.newaxis])
        self._shape = (spec.height, spec.width, spec.channels)
        self._resized = np.empty((0, spec.height, spec.width, 4), np.uint8)
        self._colored = np.empty((0, spec.height, spec.width, 3), np.uint8)
        self._wide = np.empty(0, np.uint8)

    def allocate(self, count: int) -> npt.NDArray[Any]:
        """An uninitialized tensor for ``count`` images, for :meth:`prepare`'s ``out``."""
        return np.empty((count, *self._shape), self.dtype)

    def prepare(
        self, images: Sequence[Image], out: npt.NDArray[Any] | None = None
    ) -> tuple[npt.NDArray[Any], tuple[Transform, ...]]:
        """Resize, reorder, normalize and quantize images into one batch.

        Parameters
        ----------
        images
            One or more BGR images, (H, W, 3) uint8, each of any size; views, crops and read-only
            arrays are fine and stay as they are.
        out
            Memory to write to, contiguous and of the shape and dtype of :meth:`allocate`.

        Returns
        -------
        tensor, transforms
            (N, height, width, channels) in the model's dtype (``out`` if it was given), and for
            each image the map between it and its place in the tensor.

        Raises
        ------
        ValueError
            No images, an image of another kind, or an ``out`` that does not fit.
        """
        count = len(images)
        if count == 0:
            raise ValueError("prepare: needs at least one image")
        tensor = self.allocate(count) if out is None else out
        self._reserve(count)
        if not (
            tensor.shape == (count, *self._shape)
            and tensor.dtype == self.dtype
            and tensor.flags.c_contiguous
            and tensor.flags.writeable
        ):
            raise ValueError(
                f"prepare: out is {tensor.dtype.name} {tensor.shape}, expected contiguous "
                f"{self.dtype.name} {(count, *self._shape)}"
            )
        transforms = tuple(
            self._place(image, slot) for image, slot in zip(images, self._resized, strict=False)
        )
        self._convert(count, tensor)
        return tensor, transforms

    def _reserve(self, count: int) -> None:
        if len(self._resized) < count:
            self._resized = np.empty((count, *self._resized.shape[1:]), np.uint8)
            self._colored = np.empty((count, *self._colored.shape[1:]), np.uint8)

    def _place(self, image: Image, slot: Image) -> Transform:
        """Write one image, resized, into its slot of the scratch memory."""
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(
                f"prepare: an image is {image.dtype.name} {image.shape}, expected uint8 (H, W, 3)"
            )
        spec = self.spec
        transform = Transform.fit(image.shape[0], image.shape[1], spec)
        inner = slot
        if transform.padded:
            slot[...] = spec.resize.pad
            top, left = transform.top, transform.left
            inner = slot[top : top + transform.inner_height, left : left + transform.inner_width]
        height, width = inner.shape[:2]
        mode = spec.resize.interpolation
        if mode == "linear" and image.size <= _WIDEN_UP_TO * 3 * height * width:
            wide = self._widened(image)
            cv2.resize(wide, (width, height), dst=inner, interpolation=_LINEAR)
        else:
            small = _resize(image, height, width, mode)
            cv2.cvtColor(small, cv2.COLOR_BGR2BGRA, dst=inner)
        return transform

    def _widened(self, image: Image) -> Image:
        """The image with a fourth channel, in scratch memory."""
        height, width = image.shape[:2]
        length = height * width * 4
        if len(self._wide) < length:
            self._wide = np.empty(length, np.uint8)
        wide = self._wide[:length].reshape(height, width, 4)
        cv2.cvtColor(image, cv2.COLOR_BGR2BGRA, dst=wide)
        return wide

    def _convert(self, count: int, tensor: npt.NDArray[Any]) -> None:
        """Color order and table for the whole batch at once, as one tall image."""
        spec = self.spec
        tall = (count * spec.height, spec.width, -1)
        pixels = self._colored[:count].reshape(tall)
        cv2.cvtColor(self._resized[:count].reshape(tall), _TO_COLOR[spec.color], dst=pixels)
        if spec.color == "GRAY":
            pixels = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY), np.uint8)[..., np.newaxis]
        cv2.LUT(pixels, self._table, dst=tensor.reshape(tall))


def _resize(image: Image, height: int, width: int, interpolation: str) -> Image:
    if interpolation == "nearest":
        return nearest(image, height, width)
    # Area is defined for shrinking only.
    shrinks = height <= image.shape[0] and width <= image.shape[1]
    code = cv2.INTER_AREA if interpolation == "area" and shrinks else _LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=code), np.uint8)
