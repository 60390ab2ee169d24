"""A segmenter without a model file: the colours of a picture are its scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edge.contract.manifest import Manifest
from edge.contract.quantize import quantize
from edge.records import Image, ModelRef
from tests.helpers.maps import SHA, manifest

LABELS = ("red", "green", "blue")

_STEP, _ZERO = 1 / 256, -128


def colour_manifest(
    size: tuple[int, int] = (16, 32),
    *,
    labels: tuple[str, ...] = LABELS,
    resize: str = "stretch",
    **decode: Any,
) -> Manifest:
    """Scores of a pixel are its red, green and blue; a float32 and an int8 variant."""
    stride = decode.get("stride", 1)
    shape = [1, size[0] // stride, size[1] // stride, len(labels)]
    masks = {"shape": shape, "dtype": "float32"}
    quantized = {"shape": shape, "dtype": "int8", "scale": _STEP, "zero_point": _ZERO}
    return manifest(
        "segmentation",
        {"float32": {"masks": masks}, "int8": {"masks": quantized}},
        size=size,
        resize=resize,
        labels=list(labels),
        outputs={"masks": "class_masks"},
        decode={"kind": "segmentation", "threshold": 0.5, "min_area": 4, **decode},
    )


class ColourEngine:
    """Gives the colours that it is shown, at the middle of each cell."""

    def __init__(self, of: Manifest, variant: str = "float32") -> None:
        self.model = ModelRef(of.name, of.version, variant, SHA)
        self.closed = 0
        self._stride = getattr(of.decode, "stride", 1)
        self._height, self._width = of.input.height, of.input.width

    def infer(self, tensor: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        """(N, height, width, 3) in [0, 1] → its cells."""
        stride = self._stride
        height, width = (side // stride * stride for side in (self._height, self._width))
        cells = tensor[:, stride // 2 : height : stride, stride // 2 : width : stride].copy()
        if self.model.variant == "int8":
            cells = quantize(cells, _STEP, _ZERO, "int8")
        return {"masks": cells}

    def close(self) -> None:
        """Count it."""
        self.closed += 1


def paint(size: tuple[int, int], *spots: tuple[str, slice, slice], shade: int = 255) -> Image:
    """A black picture of (height, width), BGR, with spots of a label: rows, columns."""
    image = np.zeros((*size, 3), np.uint8)
    for label, rows, columns in spots:
        image[rows, columns, 2 - LABELS.index(label)] = shade
    return image
