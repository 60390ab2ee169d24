"""Decoding class scores, and cutting boxes out of a frame."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from edge.contract.manifest import Manifest
from edge.errors import ModelError, NonFiniteOutput
from edge.tasks import decode_classifications
from edge.tasks.classification import cut
from tests.helpers.maps import classifier_manifest, detector_manifest, manifest

MANIFEST = classifier_manifest()


def _binary() -> Manifest:
    """A classifier of one output, the probability of ``without_mask``."""
    float32 = {"dtype": "float32", "shape": [1, 1]}
    int8 = {"dtype": "uint8", "shape": [1, 1], "scale": 1 / 250, "zero_point": 0}
    return manifest(
        "classification",
        {"float32": {"probability": float32}, "int8": {"probability": int8}},
        labels=["with_mask", "without_mask"],
        outputs={"probability": "binary_score"},
        decode={"kind": "classification"},
    )


def test_one_record_for_each_row() -> None:
    """A batch of scores becomes as many classifications with the manifest's labels."""
    scores = np.array([[0.75, 0.25], [0.25, 0.75]], np.float32)
    first, second = decode_classifications({"scores": scores}, MANIFEST, "float32")
    assert (first.label, second.label) == ("with_mask", "without_mask")
    assert second.score_of("with_mask") == 0.25


def test_quantized_scores_are_made_real() -> None:
    """Integers become scores, and a quantized score above 1 becomes 1."""
    (result,) = decode_classifications(
        {"scores": np.array([[255, 50]], np.uint8)}, MANIFEST, "int8"
    )
    np.testing.assert_allclose(result.scores, [1.0, 0.2], rtol=1e-6)


@pytest.mark.parametrize(
    ("variant", "raw"),
    [
        ("float32", np.array([[0.2], [1.0]], np.float32)),
        ("int8", np.array([[50], [255]], np.uint8)),
    ],
)
def test_one_score_is_that_of_the_second_label(
    variant: str, raw: npt.NDArray[np.float32 | np.uint8]
) -> None:
    """A binary score belongs to the second label, and the first one gets what is left of 1."""
    first, second = decode_classifications({"probability": raw}, _binary(), variant)
    assert first.labels == ("with_mask", "without_mask")
    np.testing.assert_allclose(first.scores, [0.8, 0.2], rtol=1e-6)
    np.testing.assert_array_equal(second.scores, [0.0, 1.0])
    assert (first.label, second.label) == ("with_mask", "without_mask")


def test_non_finite_binary_scores_are_refused() -> None:
    """F21: NaN in a binary score is NonFiniteOutput."""
    with pytest.raises(NonFiniteOutput, match="'probability'"):
        decode_classifications(
            {"probability": np.array([[np.nan]], np.float32)}, _binary(), "float32"
        )


def test_non_finite_scores_are_refused() -> None:
    """F21: NaN in any row is NonFiniteOutput."""
    scores = np.array([[0.75, 0.25], [np.nan, 0.75]], np.float32)
    with pytest.raises(NonFiniteOutput, match="'scores'"):
        decode_classifications({"scores": scores}, MANIFEST, "float32")


def test_a_detector_has_no_classes() -> None:
    """A detector's manifest is a ModelError."""
    with pytest.raises(ModelError, match="a_detection_model"):
        decode_classifications({}, detector_manifest(), "float32")


def _coordinates() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """An image whose pixels say where they are: (column, row, 0)."""
    rows, columns = np.mgrid[0:50, 0:80].astype(np.uint8)
    return np.dstack([columns, rows, np.zeros_like(rows)])


def _span(x: float, y: float, width: float, height: float, margin: float = 0.0) -> list[int]:
    (crop,) = cut(_coordinates(), np.array([[x, y, width, height]], np.float32), margin)
    first, last = crop[0, 0], crop[-1, -1]
    return [int(first[0]), int(first[1]), int(last[0]), int(last[1])]


def test_crop_holds_every_pixel_it_touches() -> None:
    """Fractions of a pixel are rounded outward."""
    assert _span(10, 20, 5, 6) == [10, 20, 14, 25]
    assert _span(10.4, 20.6, 5, 6) == [10, 20, 15, 26]


def test_crop_grows_by_the_margin_on_every_side() -> None:
    """A margin of 0.1 adds a tenth of the width left and right, of the height above and below."""
    assert _span(20, 20, 20, 10, margin=0.1) == [18, 19, 41, 30]


def test_crop_is_clipped_and_never_empty() -> None:
    """Boxes over the edge are cut off; outside the image or without size one pixel remains."""
    assert _span(70, 40, 30, 30) == [70, 40, 79, 49]
    assert _span(-5, -5, 10, 10) == [0, 0, 4, 4]
    assert _span(200, 200, 10, 10) == [79, 49, 79, 49]
    assert _span(30, 30, 0, 0) == [30, 30, 30, 30]
