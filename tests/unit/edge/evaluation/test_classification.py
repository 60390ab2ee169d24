"""Figures of a classifier against values computed by hand."""

from __future__ import annotations

from edge.evaluation.classification import Verdict, classification_figures

LABELS = ("with_mask", "without_mask")


def test_by_hand() -> None:
    """Accuracy, confusion and groups of five verdicts."""
    verdicts = [
        Verdict("with_mask", "with_mask", "kag"),
        Verdict("with_mask", "without_mask", "kag"),
        Verdict("with_mask", "with_mask", "adi"),
        Verdict("without_mask", "without_mask", "adi"),
        Verdict("without_mask", "without_mask", "adi"),
    ]
    assert classification_figures(verdicts, LABELS) == {
        "accuracy": 0.8,
        "confusion": {
            "with_mask": {"with_mask": 2, "without_mask": 1},
            "without_mask": {"with_mask": 0, "without_mask": 2},
        },
        "by_group": {"adi": {"accuracy": 1.0, "n": 3}, "kag": {"accuracy": 0.5, "n": 2}},
    }


def test_incorrect_masks_count_apart() -> None:
    """mask_incorrect has its own figures and is in no accuracy."""
    verdicts = [
        Verdict("mask_incorrect", "with_mask", "kag"),
        Verdict("mask_incorrect", "without_mask", "kag"),
        Verdict("with_mask", "with_mask", "kag"),
    ]
    figures = classification_figures(verdicts, LABELS)
    assert figures is not None
    assert figures["accuracy"] == 1.0
    assert figures["by_group"]["kag"]["n"] == 1
    assert figures["mask_incorrect"] == {"n": 2, "as_mask": 0.5}


def test_faces_without_a_state_are_left_out() -> None:
    """Where no face has a state that the model knows there is no section."""
    assert classification_figures([], LABELS) is None
    assert classification_figures([Verdict("face", "with_mask", "icy")], LABELS) is None


def test_faces_from_nowhere_are_in_no_group() -> None:
    """A face whose origin is not known counts, but not as a group of its own."""
    nowhere = Verdict("with_mask", "with_mask", None)
    figures = classification_figures([nowhere, Verdict("with_mask", "with_mask", "kag")], LABELS)
    assert figures is not None
    assert figures["by_group"] == {"kag": {"accuracy": 1.0, "n": 1}}
    alone = classification_figures([nowhere], LABELS)
    assert alone is not None
    assert "by_group" not in alone
