"""Decoding detections and classifications of any output."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edge.contract.boxes import iou
from edge.contract.transform import Transform
from edge.tasks import decode_classifications, decode_detections
from edge.tasks.classification import cut
from tests.helpers.maps import classifier_manifest, detector_manifest, same_size

MANIFEST = detector_manifest()
_SEEDS = st.integers(0, 2**32 - 1)
_FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)


def _random_maps(seed: int) -> dict[str, npt.NDArray[np.float32]]:
    random = np.random.default_rng(seed)
    return {
        "score": random.choice(np.linspace(0, 1, 17), (1, 16, 24, 1)).astype(np.float32),
        "offset": random.uniform(-2, 3, (1, 16, 24, 2)).astype(np.float32),
        "size": random.uniform(-1, 3, (1, 16, 24, 2)).astype(np.float32),
    }


@settings(deadline=None)
@given(_SEEDS, st.integers(1, 2000), st.integers(1, 2000))
def test_boxes_are_inside_sorted_and_apart(seed: int, height: int, width: int) -> None:
    """Boxes lie in the image, best first, all at the threshold or above."""
    transform = Transform.fit(height, width, MANIFEST.input)
    result = decode_detections(_random_maps(seed), MANIFEST, "float32", transform)
    assert (np.diff(result.scores) <= 0).all()
    assert (result.scores >= 0.5).all()
    assert (result.boxes >= 0).all()
    far = result.boxes[:, :2] + result.boxes[:, 2:]
    assert (far <= np.array([width, height]) * (1 + 1e-6)).all()


@settings(deadline=None)
@given(_SEEDS, st.floats(0, 1))
def test_a_lower_threshold_only_adds(seed: int, threshold: float) -> None:
    """What a threshold gives is the beginning of what any lower one gives."""
    maps, place = _random_maps(seed), same_size(MANIFEST)
    less = decode_detections(maps, MANIFEST, "float32", place, threshold=threshold)
    more = decode_detections(maps, MANIFEST, "float32", place, threshold=threshold / 2)
    assert len(less) == int((more.scores >= np.float32(threshold)).sum()) or len(more) == 100
    np.testing.assert_array_equal(less.boxes, more.boxes[: len(less)])


@settings(deadline=None)
@given(_SEEDS)
def test_kept_boxes_do_not_overlap(seed: int) -> None:
    """No two boxes overlap by more than nms_iou while nothing is clipped away."""
    maps = _random_maps(seed)
    maps["offset"] = np.clip(maps["offset"], 0, 1)
    maps["size"] = np.minimum(maps["size"], 1.0)
    maps["score"][:, [0, 1, 2, -3, -2, -1]] = 0
    maps["score"][:, :, [0, 1, 2, -3, -2, -1]] = 0
    result = decode_detections(maps, MANIFEST, "float32", same_size(MANIFEST))
    overlaps = iou(result.boxes, result.boxes)
    np.fill_diagonal(overlaps, 0)
    assert overlaps.max(initial=0.0) <= 0.4 + 1e-5


@settings(deadline=None)
@given(
    hnp.arrays(np.float32, (1, 16, 24, 1), elements=_FINITE),
    hnp.arrays(np.float32, (1, 16, 24, 2), elements=_FINITE),
    hnp.arrays(np.float32, (1, 16, 24, 2), elements=_FINITE),
)
def test_any_finite_output_gives_a_result(
    score: npt.NDArray[np.float32], offset: npt.NDArray[np.float32], size: npt.NDArray[np.float32]
) -> None:
    """No finite output, however absurd, makes decoding fail or a record refuse it."""
    outputs = {"score": score, "offset": offset, "size": size}
    transform = Transform.fit(480, 640, MANIFEST.input)
    assert len(decode_detections(outputs, MANIFEST, "float32", transform)) <= 100


@settings(deadline=None)
@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 20), st.just(2))))
def test_any_quantized_score_gives_a_result(scores: npt.NDArray[np.uint8]) -> None:
    """Every quantized score becomes a number in [0, 1]."""
    assert len(decode_classifications({"scores": scores}, classifier_manifest(), "int8")) == len(
        scores
    )


@settings(deadline=None)
@given(
    st.tuples(_FINITE, _FINITE, st.floats(0, 1e6, width=32), st.floats(0, 1e6, width=32)),
    st.floats(0, 1),
)
def test_any_box_gives_a_crop(box: tuple[float, float, float, float], margin: float) -> None:
    """A crop has at least one pixel and lies in the image, wherever the box is."""
    image = np.zeros((30, 40, 3), np.uint8)
    (crop,) = cut(image, np.array([box], np.float32), margin)
    assert 1 <= crop.shape[0] <= 30
    assert 1 <= crop.shape[1] <= 40
