"""Figures of a classifier against values computed by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.evaluation.classification import (
    Verdict,
    calibration,
    classification_figures,
    end_to_end_figures,
)

LABELS = ("with_mask", "without_mask")


def _verdict(
    truth: str,
    said: str,
    group: str | None,
    *,
    picture: str = "a.png",
    score: float = 1.0,
    width: float | None = None,
) -> Verdict:
    return Verdict(picture, truth, said, score, group, width)


def _figures(*verdicts: Verdict) -> dict[str, Any]:
    figures = classification_figures(verdicts, LABELS)
    assert figures is not None
    return figures


def test_by_hand() -> None:
    """Accuracy, confusion and groups of five verdicts."""
    verdicts = [
        _verdict("with_mask", "with_mask", "kag"),
        _verdict("with_mask", "without_mask", "kag"),
        _verdict("with_mask", "with_mask", "adi"),
        _verdict("without_mask", "without_mask", "adi"),
        _verdict("without_mask", "without_mask", "adi"),
    ]
    assert _figures(*verdicts) == {
        "accuracy": 0.8,
        "balanced": pytest.approx((2 / 3 + 1) / 2),
        "confusion": {
            "with_mask": {"with_mask": 2, "without_mask": 1},
            "without_mask": {"with_mask": 0, "without_mask": 2},
        },
        "by_group": {
            "adi": {"accuracy": 1.0, "balanced": 1.0, "n": 3},
            "kag": {"accuracy": 0.5, "n": 2},  # of one label: not balanced
        },
        "calibration": {"ece": pytest.approx(0.2), "brier": pytest.approx(0.2)},
    }


def test_incorrect_masks_count_apart() -> None:
    """mask_incorrect has its own figures and is in no accuracy."""
    verdicts = [
        _verdict("mask_incorrect", "with_mask", "kag"),
        _verdict("mask_incorrect", "without_mask", "kag"),
        _verdict("with_mask", "with_mask", "kag"),
    ]
    figures = classification_figures(verdicts, LABELS)
    assert figures is not None
    assert figures["accuracy"] == 1.0
    assert figures["by_group"]["kag"]["n"] == 1
    assert figures["mask_incorrect"] == {"n": 2, "as_mask": 0.5}


def test_faces_without_a_state_are_left_out() -> None:
    """Where no face has a state that the model knows there is no section."""
    assert classification_figures([], LABELS) is None
    assert classification_figures([_verdict("face", "with_mask", "icy")], LABELS) is None


def test_faces_from_nowhere_are_in_no_group() -> None:
    """A face whose origin is not known counts, but not as a group of its own."""
    nowhere = _verdict("with_mask", "with_mask", None)
    figures = classification_figures([nowhere, _verdict("with_mask", "with_mask", "kag")], LABELS)
    assert figures is not None
    assert figures["by_group"] == {"kag": {"accuracy": 1.0, "n": 1}}
    alone = classification_figures([nowhere], LABELS)
    assert alone is not None
    assert "by_group" not in alone


def test_balanced_weighs_labels_alike() -> None:
    """A classifier that always says the commoner label is right half of the time when balanced,
    however common that is.
    """
    always = [_verdict("with_mask", "with_mask", None)] * 9
    figures = _figures(*always, _verdict("without_mask", "with_mask", None))
    assert (figures["accuracy"], figures["balanced"]) == (0.9, 0.5)


def test_wide_faces() -> None:
    """Boxes from 24 px of the picture on count in ``wide``; whole pictures are no boxes."""
    faces = [
        _verdict("with_mask", "with_mask", None, width=24.0),
        _verdict("with_mask", "without_mask", None, width=100.0),
        _verdict("without_mask", "without_mask", None, width=24.5),
        _verdict("without_mask", "with_mask", None, width=23.9),
    ]
    assert _figures(*faces)["wide"] == {"accuracy": pytest.approx(2 / 3), "balanced": 0.75, "n": 3}
    assert "wide" not in _figures(faces[3])
    assert "wide" not in _figures(_verdict("with_mask", "with_mask", None))


def test_intervals_are_by_picture() -> None:
    """The faces of a picture are drawn together: five alike in each of 40 pictures leave as wide an
    interval as one; faces of one picture alone have none.
    """

    def width(faces: int, apart: bool = False) -> float:
        verdicts = [
            _verdict(
                LABELS[k % 2],
                LABELS[k % 2 if k % 8 else 1],
                "kag",
                picture=f"{k} {n if apart else 0}.png",
            )
            for k in range(40)
            for n in range(faces)
        ]
        figures = _figures(*verdicts)
        assert figures["by_group"]["kag"]["interval"] == figures["interval"]
        assert set(figures["interval"]) == {"accuracy", "balanced"}
        low, high = figures["interval"]["balanced"]
        assert low < figures["balanced"] < high
        return float(high - low)

    assert width(5) == pytest.approx(width(1))
    assert width(5, apart=True) < 0.6 * width(1)
    alone = [_verdict(label, "with_mask", None) for label in LABELS]
    assert "interval" not in _figures(*alone)


def test_calibration_by_hand() -> None:
    """Two ranges of the score: 0.9 and right, 0.7 and half right."""
    scores, right = np.array([0.9, 0.7, 0.7]), np.array([True, True, False])
    found = calibration(scores, right)
    assert found["ece"] == pytest.approx((0.1 + 2 * 0.2) / 3)
    assert found["brier"] == pytest.approx((0.01 + 0.09 + 0.49) / 3)


def test_ranges_of_the_score_hold_their_upper_end() -> None:
    """10/15 is in the range below 0.67 and not in the one above: the two faces make two ranges."""
    scores, right = np.array([10 / 15, 0.68]), np.array([True, False])
    assert calibration(scores, right)["ece"] == pytest.approx((5 / 15 + 0.68) / 2)
    together = np.array([0.67, 0.68])
    assert calibration(together, right)["ece"] == pytest.approx(abs(1.35 - 1) / 2)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40))
def test_calibration_is_a_fraction(rows: list[tuple[float, bool]]) -> None:
    """Both figures are in [0, 1]; the Brier score of two labels is the same for either label."""
    scores = np.array([score for score, _ in rows])
    right = np.array([hit for _, hit in rows])
    found = calibration(scores, right)
    assert 0 <= found["ece"] <= 1 + 1e-9
    assert 0 <= found["brier"] <= 1 + 1e-9
    assert found["brier"] == pytest.approx(calibration(1 - scores, ~right)["brier"])


def test_end_to_end() -> None:
    """Right faces ÷ labelled faces over all pictures, with the interval by picture."""
    section = end_to_end_figures([(1, 2), (0, 0), (3, 3), (0, 1)])
    low, high = section["interval"].pop("accuracy")
    assert low < 4 / 6 < high
    assert section == {"accuracy": 4 / 6, "interval": {}, "faces": 6}
    assert end_to_end_figures([(1, 2)]) == {"accuracy": 0.5, "faces": 2}
