"""The map between an image and the model's input that a resize makes.

Coordinates are continuous: 0 is the left (upper) edge of the first pixel, pixel ``i`` covers
``[i, i + 1]`` and its centre is ``i + 0.5``. That is the half-pixel convention of ``cv2.resize``,
so a resize is a pure scaling and nothing shifts on the way there and back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edge.contract.manifest import InputSpec

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Transform:
    """Where one image lies in the model's input. All lengths are pixels.

    Parameters
    ----------
    image_height, image_width
        Size of the image.
    model_height, model_width
        Size of the model's input.
    left, top, inner_width, inner_height
        The rectangle of the model's input that the image fills; with ``stretch`` all of it.
    """

    image_height: int
    image_width: int
    model_height: int
    model_width: int
    left: int
    top: int
    inner_width: int
    inner_height: int

    @classmethod
    def fit(cls, image_height: int, image_width: int, spec: InputSpec) -> Transform:
        """The map that ``spec.resize`` demands for an image of this size.

        Raises
        ------
        ValueError
            The image has no pixels.
        """
        if image_height < 1 or image_width < 1:
            raise ValueError(f"an image of {image_height}×{image_width} has no pixels")
        _, model_height, model_width, _ = spec.shape
        height, width = model_height, model_width
        if spec.resize.mode == "letterbox":
            scale = min(height / image_height, width / image_width)
            # A sliver keeps at least one row; its two scales then differ, which the map knows.
            height = min(height, max(1, round(image_height * scale)))
            width = min(width, max(1, round(image_width * scale)))
        left, top = (model_width - width) // 2, (model_height - height) // 2
        return cls(image_height, image_width, model_height, model_width, left, top, width, height)

    @classmethod
    def whole(
        cls, image_height: int, image_width: int, model_height: int, model_width: int
    ) -> Transform:
        """The map of an image that is stretched to the whole of the model's input."""
        sizes = (image_height, image_width, model_height, model_width)
        return cls(*sizes, 0, 0, model_width, model_height)

    @property
    def scale(self) -> tuple[float, float]:
        """Model pixels for one image pixel: (x, y)."""
        return self.inner_width / self.image_width, self.inner_height / self.image_height

    @property
    def padded(self) -> bool:
        """Whether some of the model's input is padding."""
        return (self.inner_height, self.inner_width) != (self.model_height, self.model_width)

    def points_to_model(self, points: npt.ArrayLike) -> Floats:
        """(N, 2) x, y in the image → the same points in the model's input."""
        model = _table(points, 2) * self.scale
        model += (self.left, self.top)
        return model.astype(np.float32)

    def points_to_image(self, points: npt.ArrayLike, *, clip: bool = False) -> Floats:
        """(N, 2) x, y in the model's input → the image; ``clip`` keeps them inside it."""
        image = (_table(points, 2) - (self.left, self.top)) / self.scale
        if clip:
            image = np.clip(image, 0, (self.image_width, self.image_height))
        return image.astype(np.float32)

    def boxes_to_model(self, boxes: npt.ArrayLike) -> Floats:
        """(N, 4) x, y, width, height in the image → the same boxes in the model's input."""
        table = _table(boxes, 4)
        corner = table[:, :2] * self.scale + (self.left, self.top)
        return np.hstack([corner, table[:, 2:] * self.scale]).astype(np.float32)

    def boxes_to_image(self, boxes: npt.ArrayLike, *, clip: bool = False) -> Floats:
        """(N, 4) x, y, width, height in the model's input → the image.

        ``clip`` cuts off what lies outside the image; a box that lies outside altogether gets a
        width or height of 0.
        """
        table = _table(boxes, 4)
        scale = np.array(self.scale)
        corner = (table[:, :2] - (self.left, self.top)) / scale
        far = corner + table[:, 2:] / scale
        if clip:
            limits = np.array((self.image_width, self.image_height), np.float64)
            corner, far = np.clip(corner, 0, limits), np.clip(far, 0, limits)
        image = np.empty(table.shape, np.float32)
        image[:, :2] = corner
        image[:, 2:] = far - corner
        return image

    def mask_to_model(self, mask: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """(H, W) or (H, W, C) in the image → (h, w) or (h, w, C) in the model's input.

        The padding is 0. Whole numbers and truth values take the nearest pixel, float32 is
        interpolated linearly; the dtype is kept.

        Raises
        ------
        ValueError
            The mask has not the image's size.
        """
        self._expect(mask, self.image_height, self.image_width)
        inner = _resize(mask, self.inner_height, self.inner_width)
        if not self.padded:
            return inner
        whole = np.zeros((self.model_height, self.model_width, *mask.shape[2:]), mask.dtype)
        whole[self._rows, self._columns] = inner
        return whole

    def mask_to_image(self, mask: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """(h, w) or (h, w, C) in the model's input → (H, W) or (H, W, C) in the image.

        The padding is cut off. Whole numbers and truth values take the nearest pixel, float32 is
        interpolated linearly; the dtype is kept.

        Raises
        ------
        ValueError
            The mask has not the size of the model's input.
        """
        self._expect(mask, self.model_height, self.model_width)
        return _resize(mask[self._rows, self._columns], self.image_height, self.image_width)

    @property
    def _rows(self) -> slice:
        return slice(self.top, self.top + self.inner_height)

    @property
    def _columns(self) -> slice:
        return slice(self.left, self.left + self.inner_width)

    @staticmethod
    def _expect(mask: npt.NDArray[Any], height: int, width: int) -> None:
        if mask.ndim not in (2, 3) or mask.shape[:2] != (height, width):
            raise ValueError(f"mask: shape {mask.shape}, expected ({height}, {width}) first")


def _table(values: npt.ArrayLike, columns: int) -> npt.NDArray[np.float64]:
    table = np.asarray(values, dtype=np.float64)
    if table.size == 0:
        return np.empty((0, columns))
    if table.ndim != 2 or table.shape[1] != columns:
        raise ValueError(f"shape {table.shape}, expected (N, {columns})")
    return table


def _resize(mask: npt.NDArray[Any], height: int, width: int) -> npt.NDArray[Any]:
    if mask.dtype != np.float32:
        return nearest(mask, height, width)
    resized = cv2.resize(np.ascontiguousarray(mask), (width, height))
    # cv2 drops an axis of length 1.
    return np.asarray(resized).reshape(height, width, *mask.shape[2:])


def nearest(image: npt.NDArray[Any], height: int, width: int) -> npt.NDArray[Any]:
    """Resize (H, W, ...) of any dtype to (height, width, ...) by the pixel at each centre.

    Not ``cv2.INTER_NEAREST``, which does not keep pixel centres, nor ``cv2.INTER_NEAREST_EXACT``,
    which in OpenCV 4 reads outside of images longer than 32767 pixels.
    """
    rows = (2 * np.arange(height) + 1) * image.shape[0] // (2 * height)
    columns = (2 * np.arange(width) + 1) * image.shape[1] // (2 * width)
    resized: npt.NDArray[Any] = image[rows[:, np.newaxis], columns]
    return resized
