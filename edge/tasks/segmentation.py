"""Which pixels of a frame belong to which label, and the connected regions of each."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from edge.contract.manifest import Manifest, SegmentationDecode
from edge.contract.transform import Transform
from edge.errors import ModelError
from edge.protocols import Engine
from edge.records import Box, Floats, Frame, Image, Observation, Outputs, Region, Segmentation
from edge.tasks.model import LoadedModel, Stopwatch
from edge.tasks.outputs import output_reader
from edge.tasks.tiles import lay_tiles

MOST_REGIONS = 100
"""Regions of one label in a frame that are described: a sane map has far fewer, and a damaged one,
where every other pixel is a region, must not stall the station."""


class SegmentationTask:
    """Segments whole frames with one network. Used by one thread.

    Parameters
    ----------
    manifest, engine
        A bundle for segmentation and what runs a variant of it.

    Attributes
    ----------
    model
        The network's file.

    Raises
    ------
    ModelError
        The bundle is for another task, or the engine runs a file that is not of this bundle.
    """

    def __init__(self, manifest: Manifest, engine: Engine) -> None:
        self._loaded = LoadedModel(manifest, engine, "segmentation")
        self.manifest = manifest
        self.model = engine.model
        self.decode = segmentation_decode(manifest)

    def scores(self, image: Image, watch: Stopwatch) -> Floats:
        """Scores of an image, (H, W, 3) uint8 BGR: (H, W, labels) float32 in [0, 1], of each pixel.

        A label that the manifest's rule does not report has score 0 where it would have passed the
        threshold.

        Raises
        ------
        NonFiniteOutput, EngineError
            As in :meth:`observe`.
        """
        outputs, transforms = self._loaded.run([image], watch)
        with watch.measure("postprocess"):
            return decode_scores(outputs, self.manifest, self.model.variant, transforms[0])

    def tile_scores(self, images: Sequence[Image], watch: Stopwatch) -> list[Floats]:
        """Scores of 1 to ``decode.tiles`` images, each (H, W, 3) uint8 BGR, that lie side by side
        in one input: of each as of :meth:`scores`, ``min_area`` too is asked of each.

        Raises
        ------
        NonFiniteOutput, EngineError
            As in :meth:`observe`.
        """
        strip = lay_tiles(images, self.decode.tiles, self.manifest.input)
        outputs, _ = self._loaded.run([strip], watch)
        with watch.measure("postprocess"):
            maps = _maps(outputs, self.manifest, self.model.variant, 0)
            width = maps.shape[1] // self.decode.tiles
            cells = self.decode.stride
            found = []
            for k, image in enumerate(images):
                tile = maps[:, k * width : (k + 1) * width]
                size = (self.manifest.input.height, width * cells)
                transform = Transform.whole(image.shape[0], image.shape[1], *size)
                found.append(_placed(tile, self.decode, transform))
            return found

    def segment(self, image: Image, watch: Stopwatch) -> Segmentation:
        """Masks and regions of an image, (H, W, 3) uint8 BGR.

        Raises
        ------
        NonFiniteOutput, EngineError
            As in :meth:`observe`.
        """
        outputs, transforms = self._loaded.run([image], watch)
        with watch.measure("postprocess"):
            return decode_segmentation(outputs, self.manifest, self.model.variant, transforms[0])

    def observe(self, frame: Frame) -> Observation:
        """Segment one whole frame; the result is a ``Segmentation``.

        Raises
        ------
        NonFiniteOutput
            The model gave NaN or infinity; there is no result.
        EngineError
            The runtime failed.
        """
        watch = Stopwatch()
        result = self.segment(frame.image, watch)
        return Observation(frame.header, result, self.model, watch.timings)

    def close(self) -> None:
        """Release the engine. Harmless when called twice."""
        self._loaded.close()


def segmentation_decode(manifest: Manifest) -> SegmentationDecode:
    """How the manifest turns maps into labels.

    Raises
    ------
    ModelError
        The manifest is not of a segmentation.
    """
    if not isinstance(manifest.decode, SegmentationDecode):
        raise ModelError(
            f"model {manifest.name}: decode.kind {manifest.decode.kind} is no segmentation's"
        )
    return manifest.decode


def decode_scores(
    outputs: Outputs, manifest: Manifest, variant: str, transform: Transform, *, index: int = 0
) -> Floats:
    """Scores of each image pixel from the raw output ``class_masks`` (N, rows, columns, labels).

    The model's own map decides whether a label is reported at all (``min_area``; cells on the
    padding do not count); then the scores are interpolated linearly to the image. A picture of the
    model's own size gets exactly the scores of the map.

    Parameters
    ----------
    outputs
        In the variant's dtype.
    manifest, variant
        Where the outputs come from.
    transform
        How the image came into the model's input.
    index
        Which image of the batch.

    Returns
    -------
    (H, W, labels) float32 in [0, 1].

    Raises
    ------
    NonFiniteOutput, EngineError, ModelError
        As in :func:`edge.tasks.decode_classifications`.
    """
    decode = segmentation_decode(manifest)
    return _placed(_maps(outputs, manifest, variant, index), decode, transform)


def _maps(outputs: Outputs, manifest: Manifest, variant: str, index: int) -> Floats:
    """The model's own scores (rows, columns, labels) of one image of the batch."""
    reader = output_reader(manifest, variant, "class_masks")
    # A quantized 1.0 may come back as 1.004.
    scores: Floats = np.clip(reader.real(reader.raw(outputs)[index]), 0.0, 1.0)
    return scores


def decode_segmentation(
    outputs: Outputs, manifest: Manifest, variant: str, transform: Transform, *, index: int = 0
) -> Segmentation:
    """Masks and regions from the raw output ``class_masks``, as :func:`decode_scores` takes it.

    The masks are where :func:`decode_scores` passes the threshold; only labels that are reported
    are brought to the image's size, which are few on most frames. Of each label the largest region
    comes first. Regions of fewer pixels than ``min_area`` stands for are crumbs of a larger one and
    not described, but the largest of a label always is; nor are more than :data:`MOST_REGIONS` of
    each. The masks hold all.

    Raises
    ------
    NonFiniteOutput, EngineError, ModelError
        As :func:`decode_scores`.
    """
    decode = segmentation_decode(manifest)
    scores = _maps(outputs, manifest, variant, index)
    covered = _covered(scores, decode, transform)
    height, width = transform.image_height, transform.image_width
    least_px = least_pixels(height, width, manifest)
    masks = np.zeros((len(manifest.labels), height, width), np.bool_)
    regions: list[Region] = []
    for k in np.flatnonzero(covered >= max(decode.min_area, 1)).tolist():
        plane = _to_input(np.ascontiguousarray(scores[..., k : k + 1]), transform, decode.stride)
        whole = np.asarray(transform.mask_to_image(plane), np.float32).reshape(height, width)
        masks[k] = marks(whole, decode.threshold)
        regions += _regions(masks[k], whole, manifest.labels[k], least_px)
    return Segmentation(manifest.labels, masks, tuple(regions))


def _placed(scores: Floats, decode: SegmentationDecode, transform: Transform) -> Floats:
    """A map's scores on the image it came from; labels that cover too little get 0, in the map."""
    marked = marks(scores, decode.threshold)
    scores[marked & (_covered(scores, decode, transform) < decode.min_area)] = 0.0
    image: Floats = transform.mask_to_image(_to_input(scores, transform, decode.stride))
    return image


def _covered(
    scores: Floats, decode: SegmentationDecode, transform: Transform
) -> npt.NDArray[np.int64]:
    """How many cells each label covers on the picture."""
    marked = _on_picture(marks(scores, decode.threshold), transform, decode.stride)
    return np.asarray(np.count_nonzero(marked, axis=(0, 1)), np.int64)


def marks(scores: Floats, threshold: float) -> npt.NDArray[np.bool_]:
    """Where scores belong to their label: from ``threshold`` on, but never with a score of 0."""
    marked: npt.NDArray[np.bool_] = (scores >= np.float32(threshold)) & (scores > 0)
    return marked


def least_pixels(height: int, width: int, manifest: Manifest, tiles: int = 1) -> float:
    """Pixels of an image of this size, one of ``tiles`` in its input, that as many cells cover as
    ``min_area`` asks for.
    """
    decode, spec = segmentation_decode(manifest), manifest.input
    if tiles > 1:
        transform = Transform.whole(height, width, spec.height, spec.width // tiles)
    else:
        transform = Transform.fit(height, width, spec)
    across, down = transform.scale
    return decode.min_area * decode.stride**2 / (across * down)


def _on_picture(
    cells: npt.NDArray[np.bool_], transform: Transform, stride: int
) -> npt.NDArray[np.bool_]:
    """The cells of a map (rows, columns, labels) whose centres do not lie on the padding."""
    first, last = transform.top, transform.top + transform.inner_height
    left, right = transform.left, transform.left + transform.inner_width
    rows, columns = ((np.arange(side) + 0.5) * stride for side in cells.shape[:2])
    return cells[(rows > first) & (rows < last)][:, (columns > left) & (columns < right)]


def _to_input(scores: Floats, transform: Transform, stride: int) -> Floats:
    """A map (rows, columns, labels) → one score for each pixel of the model's input.

    Where the stride does not divide the input, its last pixels have no cell and get the nearest
    one's scores.
    """
    if stride == 1:
        return scores
    rows, columns, labels = scores.shape
    size = (columns * stride, rows * stride)
    # cv2 drops an axis of length 1.
    larger = np.asarray(cv2.resize(scores, size), np.float32).reshape(size[1], size[0], labels)
    rest = (transform.model_height - size[1], transform.model_width - size[0])
    return np.pad(larger, ((0, rest[0]), (0, rest[1]), (0, 0)), mode="edge")


def _regions(
    mask: npt.NDArray[np.bool_], scores: Floats, label: str, least_px: float
) -> list[Region]:
    """Connected areas (8-neighbours) of one label, the largest first.

    Length and width are those of the smallest rectangle around the pixels, at any angle.
    """
    # Most of a frame is clean: only the part that holds marks is looked at.
    left, top, across, down = cv2.boundingRect(mask.view(np.uint8))
    if not across:
        return []
    part = (slice(top, top + down), slice(left, left + across))
    mask, scores = mask[part], scores[part]
    count, numbers, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    totals = np.bincount(numbers[mask], weights=scores[mask], minlength=count)
    order = 1 + np.argsort(-statistics[1:, cv2.CC_STAT_AREA], kind="stable")
    regions: list[Region] = []
    for k in order[:MOST_REGIONS].tolist():
        x, y, width, height, area = (int(v) for v in statistics[k])
        if regions and area < least_px:
            break
        own = (numbers[y : y + height, x : x + width] == k).astype(np.uint8)
        outlines, _ = cv2.findContours(own, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        # Outlines run through the centres of pixels, each of which is one pixel wide.
        sides = sorted(side + 1.0 for side in cv2.minAreaRect(np.vstack(outlines))[1])
        score = min(float(totals[k]) / area, 1.0)
        box = Box(float(left + x), float(top + y), float(width), float(height))
        regions.append(Region(label, box, float(area), sides[1], sides[0], score))
    return regions
