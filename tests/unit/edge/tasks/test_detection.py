"""Decoding a centre heat map."""

from __future__ import annotations

import numpy as np
import pytest

from edge.contract.transform import Transform
from edge.errors import EngineError, ModelError, NonFiniteOutput
from edge.tasks import decode_detections
from tests.helpers.maps import (
    as_int8,
    classifier_manifest,
    detector_manifest,
    empty_maps,
    put,
    same_size,
)

MANIFEST = detector_manifest()
SAME = same_size(MANIFEST)


def test_nothing_gives_nothing() -> None:
    """An empty map has no boxes, and the record has the right shapes all the same."""
    result = decode_detections(empty_maps(), MANIFEST, "float32", SAME)
    assert (len(result), result.boxes.shape, result.scores.shape) == (0, (0, 4), (0,))


@pytest.mark.parametrize("variant", ["float32", "int8"])
def test_formula(variant: str) -> None:
    """Centre (column + offset) × stride, size exp(size) × stride, best score first."""
    maps = empty_maps()
    put(maps, (5, 4), 0.625, side=(16, 8), offset=(0.25, 0.75))
    put(maps, (10, 18), 0.9, side=(12, 20))
    outputs = maps if variant == "float32" else as_int8(maps, MANIFEST)
    result = decode_detections(outputs, MANIFEST, variant, SAME)
    assert result.labels == ("face", "face")
    np.testing.assert_allclose(result.scores, [0.9, 0.625], atol=1 / 512)
    expected = [[74 - 6, 42 - 10, 12, 20], [17 - 8, 23 - 4, 16, 8]]
    np.testing.assert_allclose(result.boxes, expected, rtol=1 / 32, atol=0.4)


def test_threshold_is_inclusive() -> None:
    """A score equal to the threshold counts, one below does not; a caller may set another."""
    maps = empty_maps()
    put(maps, (3, 3), 0.5)
    put(maps, (10, 10), np.nextafter(np.float32(0.5), np.float32(0)))
    assert len(decode_detections(maps, MANIFEST, "float32", SAME)) == 1
    assert len(decode_detections(maps, MANIFEST, "float32", SAME, threshold=0.2)) == 2


def test_only_the_largest_of_its_neighbourhood() -> None:
    """A cell beside a higher one is no box, even where suppression would keep it."""
    maps = empty_maps()
    put(maps, (5, 5), 0.9, side=(4, 4))
    put(maps, (5, 6), 0.8, side=(4, 4))
    put(maps, (6, 7), 0.85, side=(4, 4))
    scores = decode_detections(maps, MANIFEST, "float32", SAME).scores
    np.testing.assert_allclose(scores, [0.9, 0.85])


def test_cells_at_the_border_have_no_neighbours_outside() -> None:
    """All four corners of the map can hold a box."""
    maps = empty_maps()
    for cell in ((0, 0), (0, 23), (15, 0), (15, 23)):
        put(maps, cell, 0.9, side=(4, 4))
    assert len(decode_detections(maps, MANIFEST, "float32", SAME)) == 4


def test_suppression_drops_overlapping_boxes() -> None:
    """Of two boxes with IoU above nms_iou the better stays; with a limit of 1 both do."""
    maps = empty_maps()
    put(maps, (5, 5), 0.9)
    put(maps, (5, 7), 0.8, offset=(-0.5, 0.5))  # 4 px aside: IoU 0.6
    assert len(decode_detections(maps, MANIFEST, "float32", SAME)) == 1
    loose = detector_manifest(nms_iou=1.0)
    assert len(decode_detections(maps, loose, "float32", SAME)) == 2


def test_one_face_at_two_sizes_is_one_box() -> None:
    """A box inside a better one goes with nms_nested, though their IoU is small; else both stay."""
    maps = empty_maps()
    put(maps, (8, 10), 0.9, side=(32, 32))
    put(maps, (8, 8), 0.8, side=(12, 12))
    put(maps, (8, 20), 0.7, side=(12, 12))
    assert len(decode_detections(maps, MANIFEST, "float32", SAME)) == 3
    nested = detector_manifest(nms_nested=0.8)
    found = decode_detections(maps, nested, "float32", same_size(nested))
    np.testing.assert_allclose(found.scores, [0.9, 0.7])


def test_a_better_box_inside_stays() -> None:
    """Of two nested boxes the better stays; the one around it is judged by its own share."""
    maps = empty_maps()
    put(maps, (8, 10), 0.8, side=(32, 32))
    put(maps, (8, 8), 0.9, side=(12, 12))
    nested = detector_manifest(nms_nested=0.8)
    assert len(decode_detections(maps, nested, "float32", same_size(nested))) == 2


def test_max_detections_keeps_the_best() -> None:
    """No more than max_detections boxes, those with the highest scores."""
    few = detector_manifest(max_detections=2)
    maps = empty_maps()
    for k, score in enumerate((0.6, 0.9, 0.7)):
        put(maps, (2, 3 + 8 * k), score, side=(4, 4))
    np.testing.assert_allclose(decode_detections(maps, few, "float32", SAME).scores, [0.9, 0.7])


def test_boxes_are_mapped_and_clipped() -> None:
    """Letterboxed boxes come back in image pixels; what lies in the padding is left out."""
    maps = empty_maps()
    put(maps, (5, 0), 0.9)  # at the left edge of the image, half outside
    put(maps, (8, 12), 0.8)
    put(maps, (0, 20), 0.7, side=(4, 4))  # in the padding
    transform = Transform.fit(100, 300, MANIFEST.input)  # 96×32 in the middle of 96×64
    result = decode_detections(maps, MANIFEST, "float32", transform)
    scale = 300 / 96
    expected = [
        [0, max(0.0, (22 - 8 - 16) * scale), 10 * scale, 14 * scale],
        [(50 - 8) * scale, (34 - 8 - 16) * scale, 16 * scale, 16 * scale],
    ]
    np.testing.assert_allclose(result.boxes, expected, rtol=1e-5)


def test_picks_its_image_of_a_batch() -> None:
    """``index`` chooses whose boxes are decoded."""
    maps = empty_maps(batch=2)
    put(maps, (5, 5), 0.9, index=1)
    assert len(decode_detections(maps, MANIFEST, "float32", SAME, index=0)) == 0
    assert len(decode_detections(maps, MANIFEST, "float32", SAME, index=1)) == 1


@pytest.mark.parametrize("name", ["score", "offset", "size"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite_outputs_are_refused(name: str, value: float) -> None:
    """F21: NaN or infinity anywhere in any output is NonFiniteOutput, found or not."""
    maps = empty_maps()
    maps[name][0, 7, 7, 0] = value
    with pytest.raises(NonFiniteOutput, match=f"{MANIFEST.name}: output '{name}'"):
        decode_detections(maps, MANIFEST, "float32", SAME)


def test_damaged_model_cannot_overflow_or_stall() -> None:
    """A map of ones with huge sizes and offsets gives boxes inside the image, few and quickly."""
    maps = empty_maps()
    maps["score"][...] = 1.0
    maps["size"][...] = 3e38
    maps["offset"][...] = -3e38
    maps["offset"][0, 4, 4] = 0.5
    result = decode_detections(maps, MANIFEST, "float32", SAME)
    assert len(result) <= 1
    maps["size"][...] = -3e38
    assert len(decode_detections(maps, MANIFEST, "float32", SAME)) <= 100


def test_other_outputs_than_promised_are_refused() -> None:
    """A missing output, another dtype or another shape is an EngineError that names it."""
    maps = empty_maps()
    for wrong in (
        {key: value for key, value in maps.items() if key != "size"},
        maps | {"size": maps["size"].astype(np.float64)},
        maps | {"size": maps["size"][:, :8]},
    ):
        with pytest.raises(EngineError, match="'size'"):
            decode_detections(wrong, MANIFEST, "float32", SAME)


def test_wrong_manifest_or_variant_is_named() -> None:
    """A classifier's manifest, or a variant that is not there, is a ModelError."""
    with pytest.raises(ModelError, match="a_classification_model"):
        decode_detections(empty_maps(), classifier_manifest(), "float32", SAME)
    with pytest.raises(ModelError, match="'float16'"):
        decode_detections(empty_maps(), MANIFEST, "float16", SAME)
