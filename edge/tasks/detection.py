"""Boxes of things in a frame."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from edge.contract import boxes as geometry
from edge.contract.manifest import CenterDecode, Manifest
from edge.contract.preprocess import Transform
from edge.errors import ModelError
from edge.protocols import Engine
from edge.records import Detections, Floats, Frame, Image, Observation, Outputs
from edge.tasks.model import LoadedModel, Stopwatch
from edge.tasks.outputs import output_reader

# Non-maximum suppression sees at most this many candidates for each box that it may keep: a sane
# heat map has far fewer, and a damaged one (every cell a maximum) must not stall the station.
_CANDIDATES_PER_BOX = 16


class DetectionTask:
    """Finds the boxes of a frame with one detector. Used by one thread.

    Parameters
    ----------
    manifest, engine
        A bundle for detection and what runs a variant of it.

    Attributes
    ----------
    model
        The detector's file.
    threshold
        The score from which on the manifest counts a box as found.

    Raises
    ------
    ModelError
        The bundle is for another task, or the engine runs a file that is not of this bundle.
    """

    def __init__(self, manifest: Manifest, engine: Engine) -> None:
        self._loaded = LoadedModel(manifest, engine, "detection")
        self.manifest = manifest
        self.model = engine.model
        self.threshold = _decode_of(manifest).threshold

    def detect(
        self, image: Image, watch: Stopwatch, *, threshold: float | None = None
    ) -> Detections:
        """Boxes in an image, (H, W, 3) uint8 BGR; ``threshold`` takes the manifest's place.

        Raises
        ------
        NonFiniteOutput, EngineError
            As in :meth:`observe`.
        """
        outputs, (transform,) = self._loaded.run([image], watch)
        with watch.measure("postprocess"):
            return decode_detections(
                outputs, self.manifest, self.model.variant, transform, threshold=threshold
            )

    def observe(self, frame: Frame) -> Observation:
        """Judge one frame; the result is ``Detections`` without classifications.

        Raises
        ------
        NonFiniteOutput
            The model gave NaN or infinity; there is no result.
        EngineError
            The runtime failed.
        """
        watch = Stopwatch()
        result = self.detect(frame.image, watch)
        return Observation(frame.header, result, self.model, watch.timings)

    def close(self) -> None:
        """Release the engine. Harmless when called twice."""
        self._loaded.close()


def decode_detections(
    outputs: Outputs,
    manifest: Manifest,
    variant: str,
    transform: Transform,
    *,
    index: int = 0,
    threshold: float | None = None,
) -> Detections:
    """Boxes from a detector's raw outputs: the formula of ``CenterDecode``, as pure function.

    Parameters
    ----------
    outputs
        ``center_scores`` (N, rows, columns, labels), ``center_offsets`` and ``center_sizes``
        (N, rows, columns, 2), x before y, in the variant's dtypes.
    manifest, variant
        Where the outputs come from.
    transform
        How the image came into the model's input.
    index
        Which image of the batch.
    threshold
        In place of the manifest's; a score of 0 is no box at any. What a lower threshold gives
        begins with exactly what a higher one gives.

    Returns
    -------
    Detections
        Best score first, in image pixels, clipped to the image; boxes that lie outside it
        altogether are left out.

    Raises
    ------
    NonFiniteOutput
        A float output holds NaN or infinity.
    EngineError
        The outputs are not those of the manifest.
    ModelError
        The manifest is not a detector's or has no such variant.
    """
    decode = _decode_of(manifest)
    score_reader = output_reader(manifest, variant, "center_scores")
    offset_reader = output_reader(manifest, variant, "center_offsets")
    size_reader = output_reader(manifest, variant, "center_sizes")
    raw_offsets, raw_sizes = offset_reader.raw(outputs)[index], size_reader.raw(outputs)[index]

    scores = np.clip(score_reader.real(score_reader.raw(outputs)[index]), 0.0, 1.0)
    # Dilating with a 3×3 square takes the neighbourhood's maximum; outside the map is nothing.
    highest = cv2.dilate(scores, np.ones((3, 3), np.uint8)).reshape(scores.shape)
    limit = decode.threshold if threshold is None else threshold
    peaks = np.flatnonzero((scores >= limit) & (scores > 0) & (scores >= highest))
    rows, columns, labels = np.unravel_index(peaks, scores.shape)
    found = scores.reshape(-1)[peaks]

    # In float64, and sizes up to twice the input only (more is clipped anyway): a damaged model
    # may say 1e38, or the exponential of it.
    offsets = offset_reader.real(raw_offsets[rows, columns]).astype(np.float64)
    longest = math.log(2 * max(manifest.input.width, manifest.input.height) / decode.stride)
    sizes = np.minimum(size_reader.real(raw_sizes[rows, columns]).astype(np.float64), longest)
    sides = np.exp(sizes) * decode.stride
    centres = (np.stack([columns, rows], axis=1) + offsets) * decode.stride
    boxes = np.hstack([centres - sides / 2, sides])

    kept = _suppress(boxes, found, decode)
    placed = transform.boxes_to_image(boxes[kept], clip=True)
    inside = (placed[:, 2] > 0) & (placed[:, 3] > 0)
    kept, placed = kept[inside], placed[inside]
    return Detections(placed, found[kept], tuple(manifest.labels[k] for k in labels[kept]))


def _suppress(
    boxes: npt.NDArray[np.float64], scores: Floats, decode: CenterDecode
) -> npt.NDArray[np.int64]:
    """Rows that greedy non-maximum suppression keeps, best first; equal scores by row."""
    if len(boxes) < 2:  # nothing to suppress it
        return np.arange(len(boxes), dtype=np.int64)
    candidates = _CANDIDATES_PER_BOX * decode.max_detections
    # The threshold has been applied: 0 lets every score above it pass.
    kept = cv2.dnn.NMSBoxes(boxes.tolist(), scores.tolist(), 0.0, decode.nms_iou, top_k=candidates)
    rows = np.asarray(kept, np.int64).reshape(-1)
    if decode.nms_nested is not None:
        rows = rows[_outermost(boxes[rows], decode.nms_nested)]
    return rows[: decode.max_detections]


def _outermost(boxes: npt.NDArray[np.float64], limit: float) -> npt.NDArray[np.bool_]:
    """Which boxes, best first, do not lie inside a better one that stays."""
    nested = np.tril(geometry.share_inside(boxes, boxes) >= limit, -1)
    stays = np.ones(len(boxes), np.bool_)
    for row in np.flatnonzero(nested.any(axis=1)):
        stays[row] = not (nested[row] & stays).any()
    return stays


def _decode_of(manifest: Manifest) -> CenterDecode:
    if not isinstance(manifest.decode, CenterDecode):
        raise ModelError(f"model {manifest.name}: decode.kind {manifest.decode.kind} has no boxes")
    return manifest.decode
