"""One label for a whole frame, or for each box in it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edge.contract import boxes as geometry
from edge.contract.manifest import ClassificationDecode, Manifest
from edge.errors import ModelError
from edge.protocols import Engine
from edge.records import Classification, Floats, Frame, Image, Observation, Outputs
from edge.tasks.model import LoadedModel, Stopwatch
from edge.tasks.outputs import output_reader


class ClassificationTask:
    """Classifies whole frames with one classifier. Used by one thread.

    Parameters
    ----------
    manifest, engine
        A bundle for classification and what runs a variant of it.

    Attributes
    ----------
    model
        The classifier's file.

    Raises
    ------
    ModelError
        The bundle is for another task, or the engine runs a file that is not of this bundle.
    """

    def __init__(self, manifest: Manifest, engine: Engine) -> None:
        self._loaded = LoadedModel(manifest, engine, "classification")
        self.manifest = manifest
        self.model = engine.model
        self._margin = _decode_of(manifest).crop_margin

    def classify(self, images: Sequence[Image], watch: Stopwatch) -> tuple[Classification, ...]:
        """Classify images, each (H, W, 3) uint8 BGR, in one engine call; none need no call.

        Raises
        ------
        NonFiniteOutput, EngineError
            As in :meth:`observe`.
        """
        if not images:
            return ()
        outputs, _ = self._loaded.run(images, watch)
        with watch.measure("postprocess"):
            return decode_classifications(outputs, self.manifest, self.model.variant)

    def classify_boxes(
        self, image: Image, boxes: Floats, watch: Stopwatch
    ) -> tuple[Classification, ...]:
        """Classify boxes (N, 4) of one image in one engine call.

        Each box is grown by the manifest's ``crop_margin`` and clipped to the image.

        Raises
        ------
        NonFiniteOutput, EngineError
            As in :meth:`observe`.
        """
        with watch.measure("preprocess"):
            crops = cut(image, boxes, self._margin)
        return self.classify(crops, watch)

    def observe(self, frame: Frame) -> Observation:
        """Judge one whole frame; the result is a ``Classification``.

        Raises
        ------
        NonFiniteOutput
            The model gave NaN or infinity; there is no result.
        EngineError
            The runtime failed.
        """
        watch = Stopwatch()
        (result,) = self.classify([frame.image], watch)
        return Observation(frame.header, result, self.model, watch.timings)

    def close(self) -> None:
        """Release the engine. Harmless when called twice."""
        self._loaded.close()


def decode_classifications(
    outputs: Outputs, manifest: Manifest, variant: str
) -> tuple[Classification, ...]:
    """Scores from a classifier's raw output, N records.

    ``class_scores`` (N, labels), or ``binary_score`` (N, 1), the score of the second of two labels.

    Raises
    ------
    NonFiniteOutput
        The output holds NaN or infinity.
    EngineError
        The output is not that of the manifest.
    ModelError
        The manifest is not a classifier's or has no such variant.
    """
    binary = "binary_score" in manifest.outputs.values()
    reader = output_reader(manifest, variant, "binary_score" if binary else "class_scores")
    # A quantized 1.0 may come back as 1.004.
    scores = np.clip(reader.real(reader.raw(outputs)), 0.0, 1.0)
    if binary:
        scores = np.hstack([1.0 - scores, scores])
    return Classification.of_rows(manifest.labels, scores)


def cut(image: Image, boxes: Floats, margin: float) -> list[Image]:
    """Views on an image, one for each box (N, 4) grown by ``margin`` and clipped to the image.

    Each holds every pixel that the grown box touches, and at least one.
    """
    height, width = image.shape[:2]
    crops: list[Image] = []
    for x, y, across, down in geometry.clip(geometry.grow(boxes, margin), width, height).tolist():
        left, top = min(math.floor(x), width - 1), min(math.floor(y), height - 1)
        right, bottom = max(math.ceil(x + across), left + 1), max(math.ceil(y + down), top + 1)
        crops.append(image[top:bottom, left:right])
    return crops


def _decode_of(manifest: Manifest) -> ClassificationDecode:
    if not isinstance(manifest.decode, ClassificationDecode):
        raise ModelError(
            f"model {manifest.name}: decode.kind {manifest.decode.kind} is no classifier's"
        )
    return manifest.decode
