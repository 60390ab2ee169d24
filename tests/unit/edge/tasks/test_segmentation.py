"""Decoding maps of scores into masks and regions."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.contract.manifest import Manifest
from edge.contract.transform import Transform
from edge.errors import EngineError, ModelError, NonFiniteOutput
from edge.records import Image, Segmentation
from edge.tasks import SegmentationTask
from edge.tasks.model import Stopwatch
from edge.tasks.segmentation import (
    MOST_REGIONS,
    decode_scores,
    decode_segmentation,
    marks,
)
from tests.fakes import make_frame
from tests.helpers.colours import LABELS, ColourEngine, colour_manifest, paint
from tests.helpers.maps import classifier_manifest, same_size

SIZE = (16, 32)


def _segment(image: Image, of: Manifest, variant: str = "float32") -> Segmentation:
    return SegmentationTask(of, ColourEngine(of, variant)).segment(image, Stopwatch())


def _mask(size: tuple[int, int], rows: slice, columns: slice) -> npt.NDArray[np.bool_]:
    mask = np.zeros(size, np.bool_)
    mask[rows, columns] = True
    return mask


@pytest.mark.parametrize("variant", ["float32", "int8"])
def test_own_size_is_exact(variant: str) -> None:
    """A picture of the model's size gives each label's pixels and no others, in every variant."""
    spots = (slice(3, 8), slice(4, 20)), (slice(0, 16), slice(31, 32))
    result = _segment(
        paint(SIZE, ("red", *spots[0]), ("blue", *spots[1])), colour_manifest(), variant
    )
    assert result.labels == LABELS
    np.testing.assert_array_equal(result.masks[0], _mask(SIZE, *spots[0]))
    assert not result.masks[1].any()
    np.testing.assert_array_equal(result.masks[2], _mask(SIZE, *spots[1]))


def test_stretched_picture_gets_its_masks_back() -> None:
    """Of a picture of twice the model's width and height, masks lie where the colour does."""
    spot = slice(8, 20), slice(30, 60)
    result = _segment(paint((32, 64), ("green", *spot)), colour_manifest())
    np.testing.assert_array_equal(result.masks[1], _mask((32, 64), *spot))


def test_letterboxed_picture_gets_its_masks_back() -> None:
    """What is centred on padding is cut out of it again."""
    spot = slice(8, 16), slice(4, 12)
    result = _segment(paint((32, 32), ("red", *spot)), colour_manifest(resize="letterbox"))
    np.testing.assert_array_equal(result.masks[0], _mask((32, 32), *spot))


def test_padding_does_not_count() -> None:
    """Marks on the padding do not help a label over its least area; the same on the picture do."""
    manifest = colour_manifest(resize="letterbox", min_area=8)
    transform = Transform.fit(32, 32, manifest.input)  # columns 8 to 24 of 32
    for columns, reported in ((slice(5, 11), False), (slice(8, 14), True)):
        scores = np.zeros((1, *SIZE, 3), np.float32)
        scores[0, 4:6, columns, 0] = 1.0
        image = decode_scores({"masks": scores}, manifest, "float32", transform)
        assert bool(image[..., 0].max() >= 0.5) == reported


@pytest.mark.parametrize(("side", "reported"), [(3, True), (2, False)])
def test_small_labels_are_not_reported(side: int, reported: bool) -> None:
    """From min_area cells on a label is there, below it its mask and regions are empty."""
    manifest = colour_manifest(min_area=9)
    spot = slice(1, 1 + side), slice(1, 1 + side)
    big = slice(8, 14), slice(8, 14)
    result = _segment(paint(SIZE, ("red", *spot), ("blue", *big)), manifest)
    assert result.masks[0].any() == reported
    assert [region.label for region in result.regions] == ["red"] * reported + ["blue"]
    assert result.masks[2].sum() == 36


def test_threshold_is_inclusive() -> None:
    """A score equal to the threshold belongs to the label, the next lower one does not."""
    manifest = colour_manifest(min_area=0)
    scores = np.zeros((1, *SIZE, 3), np.float32)
    scores[0, 0, 0, 0] = 0.5
    scores[0, 0, 5, 0] = np.nextafter(np.float32(0.5), np.float32(0))
    found = decode_segmentation({"masks": scores}, manifest, "float32", same_size(manifest))
    assert np.argwhere(found.masks).tolist() == [[0, 0, 0]]


def test_a_score_of_nothing_is_nothing() -> None:
    """Even with a threshold of 0, black pixels and labels that are too small belong to nothing."""
    manifest = colour_manifest(threshold=0.0, min_area=4)
    image = paint(SIZE, ("red", slice(0, 2), slice(0, 3)), ("blue", slice(9, 10), slice(9, 10)))
    result = _segment(image, manifest)
    assert [int(mask.sum()) for mask in result.masks] == [6, 0, 0]


def test_regions() -> None:
    """Each connected part has box, area, length, width and mean score; the largest comes first."""
    image = paint(SIZE, ("green", slice(2, 4), slice(3, 6)), ("green", slice(8, 12), slice(4, 14)))
    image[8:12, 4:9, 1] = 204  # half of it scores 0.8
    first, second = _segment(image, colour_manifest()).regions
    assert (first.box.x, first.box.y, first.box.width, first.box.height) == (4, 8, 10, 4)
    assert (first.area_px, second.area_px) == (40, 6)
    assert (first.length_px, first.width_px) == pytest.approx((10, 4))
    assert (second.length_px, second.width_px) == pytest.approx((3, 2))
    assert (first.score, second.score) == pytest.approx((0.9, 1.0))


def test_a_slanted_region_is_measured_along_itself() -> None:
    """A scratch at 30 degrees has the length and width of the scratch, not those of its box."""
    image = np.zeros((120, 160, 3), np.uint8)
    turned = ((80.0, 60.0), (100.0, 8.0), 30.0)
    corners = cv2.boxPoints(turned).round().astype(np.int32)
    cv2.fillPoly(image, [corners], (0, 0, 255))
    (region,) = _segment(np.asarray(image, np.uint8), colour_manifest((120, 160))).regions
    assert region.length_px == pytest.approx(101, abs=2)
    assert region.width_px == pytest.approx(9, abs=2)
    assert region.box.height == pytest.approx(100 * math.sin(math.pi / 6) + 8, abs=3)


def test_parts_that_touch_at_a_corner_are_one() -> None:
    """Regions are connected over corners; with a pixel between them they are two."""
    spots = ("red", slice(2, 5), slice(2, 5)), ("red", slice(5, 8), slice(5, 8))
    assert len(_segment(paint(SIZE, *spots), colour_manifest()).regions) == 1
    apart = ("red", slice(5, 8), slice(6, 9))
    assert len(_segment(paint(SIZE, spots[0], apart), colour_manifest()).regions) == 2


def test_noise_cannot_stall() -> None:
    """Of a map where every other pixel is a region only the largest are described."""
    image = paint((64, 96))
    image[::2, ::2] = 255
    image[30:33, 40:43, 2] = 255
    result = _segment(image, colour_manifest((64, 96), min_area=1))
    assert len(result.regions) == 3 * MOST_REGIONS
    assert [region.area_px for region in result.regions[:2]] == [9, 1]
    assert int(result.masks[1].sum()) == 32 * 48


def test_crumbs_are_not_described() -> None:
    """Regions that cover too little are left out beside a larger one; the largest always is."""
    crumb, large = (slice(1, 2), slice(1, 3)), (slice(4, 8), slice(8, 16))
    image = paint(SIZE, ("red", *crumb), ("red", *large), ("blue", *crumb))
    image[12:13, 4:6, 0] = image[14:15, 8:10, 0] = 255  # three blue ones of two pixels
    result = _segment(image, colour_manifest(min_area=4))
    found = [(region.label, region.area_px) for region in result.regions]
    assert found == [("red", 32), ("blue", 2)]
    assert int(result.masks[0].sum()) == 34


@pytest.mark.parametrize("size", [(16, 32), (18, 35)])
def test_stride(size: tuple[int, int]) -> None:
    """Cells of several pixels cover all of the picture, also where they do not divide it."""
    manifest = colour_manifest(size, stride=4, min_area=6)
    spot = slice(4, 12), slice(8, 20)  # 2 × 3 cells
    result = _segment(paint(size, ("red", *spot), ("blue", slice(0, 18), slice(28, 35))), manifest)
    wrong = np.argwhere(result.masks[0] != _mask(size, *spot))
    # Interpolation takes the four corners off, and nothing else.
    assert wrong.tolist() == [[4, 8], [4, 19], [11, 8], [11, 19]]
    few = colour_manifest(size, stride=4, min_area=7)
    assert not _segment(paint(size, ("red", *spot)), few).masks.any()
    full = paint(size, ("blue", slice(0, size[0]), slice(0, size[1])))
    assert _segment(full, manifest).masks[2].all()


def test_more_labels_than_channels() -> None:
    """Six labels are resized to the picture like three."""
    labels = tuple(f"defect_{k}" for k in range(6))
    manifest = colour_manifest(labels=labels)
    scores = np.zeros((1, *SIZE, 6), np.float32)
    scores[0, 2:6, 8:16, 5] = 0.9
    transform = Transform.fit(32, 64, manifest.input)
    masks = decode_segmentation({"masks": scores}, manifest, "float32", transform).masks
    np.testing.assert_array_equal(masks[5], _mask((32, 64), slice(4, 12), slice(16, 32)))
    assert not masks[:5].any()


@given(
    spots=st.lists(
        st.tuples(
            st.integers(0, 2),
            st.integers(0, 14),
            st.integers(0, 22),
            st.integers(1, 8),
            st.sampled_from([0.2, 0.5, 0.7, 1.0]),
        ),
        max_size=6,
    ),
    min_area=st.sampled_from([0, 4, 9]),
    stride=st.sampled_from([1, 2]),
    resize=st.sampled_from(["stretch", "letterbox"]),
)
def test_masks_are_where_scores_pass_the_threshold(
    spots: list[tuple[int, int, int, int, float]], min_area: int, stride: int, resize: str
) -> None:
    """Label by label, whichever are brought to the picture's size: the same pixels as the scores
    of all of them, and each region's box lies around pixels of its label.
    """
    size = (16 * stride, 24 * stride)
    manifest = colour_manifest(size, stride=stride, min_area=min_area, resize=resize)
    maps = np.zeros((1, 16, 24, 3), np.float32)
    for label, y, x, side, score in spots:
        maps[0, y : y + side, x : x + side, label] = score
    transform = Transform.fit(50, 70, manifest.input)
    scores = decode_scores({"masks": maps.copy()}, manifest, "float32", transform)
    found = decode_segmentation({"masks": maps.copy()}, manifest, "float32", transform)
    np.testing.assert_array_equal(found.masks, np.moveaxis(marks(scores, 0.5), -1, 0))
    for one in found.regions:
        mask = found.masks[LABELS.index(one.label)]
        box = one.box
        part = mask[int(box.y) : int(box.y + box.height), int(box.x) : int(box.x + box.width)]
        assert part.any(axis=0).all() or part.any(axis=1).all()
        assert 1 <= one.area_px <= part.sum()


def test_picks_its_image_of_a_batch() -> None:
    """``index`` chooses whose map is decoded."""
    manifest = colour_manifest()
    scores = np.zeros((2, *SIZE, 3), np.float32)
    scores[1, :4, :4, 0] = 1.0
    sums = [
        decode_scores({"masks": scores}, manifest, "float32", same_size(manifest), index=k).sum()
        for k in range(2)
    ]
    assert sums == [0, 16]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite_maps_are_refused(value: float) -> None:
    """F21: NaN or infinity anywhere in the map is NonFiniteOutput."""
    manifest = colour_manifest()
    scores = np.zeros((1, *SIZE, 3), np.float32)
    scores[0, 7, 7, 1] = value
    with pytest.raises(NonFiniteOutput, match="a_segmentation_model: output 'masks'"):
        decode_scores({"masks": scores}, manifest, "float32", same_size(manifest))


def test_other_maps_than_promised_are_refused() -> None:
    """A missing map, another dtype or another shape is an EngineError that names it."""
    manifest = colour_manifest()
    scores = np.zeros((1, *SIZE, 3), np.float32)
    for wrong in ({}, {"masks": scores.astype(np.float64)}, {"masks": scores[:, :8]}):
        with pytest.raises(EngineError, match="'masks'"):
            decode_scores(wrong, manifest, "float32", same_size(manifest))


def test_a_classifier_has_no_masks() -> None:
    """A classifier's manifest is a ModelError, for the task and for its decoding."""
    other, own = classifier_manifest(), colour_manifest()
    with pytest.raises(ModelError, match="needed is segmentation"):
        SegmentationTask(other, ColourEngine(other))
    with pytest.raises(ModelError, match="is no segmentation's"):
        decode_scores({}, other, "float32", same_size(own))


def test_observe_and_close() -> None:
    """A frame becomes an observation with masks of its size; closing releases the engine."""
    manifest = colour_manifest()
    engine = ColourEngine(manifest)
    task = SegmentationTask(manifest, engine)
    frame = make_frame()
    observation = task.observe(frame)
    assert isinstance(observation.result, Segmentation)
    assert observation.result.masks.shape == (3, *frame.image.shape[:2])
    assert observation.model == task.model == engine.model
    assert observation.timings.postprocess_ms > 0
    task.close()
    assert engine.closed == 1
