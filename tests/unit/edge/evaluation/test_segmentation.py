"""Figures of a segmentation, on counts and masks small enough to do by hand."""

from __future__ import annotations

import numpy as np
import pytest

from edge.evaluation.segmentation import Overlap, overlaps, segmentation_figures


def _overlap(true_px: int, found_px: int, both_px: int, least: int = 1) -> Overlap:
    return Overlap(true_px, found_px, both_px, true_px >= least, found_px > 0, 0.5)


EMPTY = _overlap(0, 0, 0)


def test_dice_counts_pictures_that_hold_the_class() -> None:
    """A class's Dice is the mean over pictures whose truth holds it; the mean is over classes."""
    pictures = [
        [_overlap(10, 10, 5), EMPTY],  # 0.5
        [_overlap(4, 0, 0), _overlap(0, 3, 0)],  # 0; a false alarm of the other
        [EMPTY, _overlap(6, 2, 2)],  # 0.5
        [EMPTY, EMPTY],
    ]
    dice = segmentation_figures(pictures, ("a", "b"))["dice"]
    assert (dice["a"], dice["b"], dice["mean"]) == (0.25, 0.5, 0.375)
    # Eight cells: 0.5, 1; 0, 0; 1, 0.5; 1, 1. Saying nothing is right in five of them.
    assert (dice["kaggle"], dice["kaggle_silent"]) == (5 / 8, 5 / 8)


def test_a_class_that_is_nowhere_has_no_dice() -> None:
    """Without a picture that holds it a class has no figure, and without any there is no mean."""
    figures = segmentation_figures([[EMPTY, _overlap(0, 2, 0)]], ("a", "b"))
    assert figures["dice"] == {"kaggle": 0.5, "kaggle_silent": 1.0}


def test_verdicts() -> None:
    """Each class of each picture is a verdict; a truth below the least area does not count."""
    pictures = [
        [_overlap(10, 8, 8), EMPTY],
        [_overlap(10, 0, 0), _overlap(0, 5, 0)],
        [_overlap(3, 0, 0, least=5), _overlap(9, 9, 9)],
        [EMPTY, EMPTY],
    ]
    figures = segmentation_figures(pictures, ("a", "b"))
    assert figures["verdict"] == {
        "accuracy_all": 6 / 8,
        "missed": 0.0,
        "a": {"tn": 2, "fp": 0, "fn": 1, "tp": 1, "accuracy": 0.75},
        "b": {"tn": 2, "fp": 1, "fn": 0, "tp": 1, "accuracy": 0.75},
    }
    assert figures["images"] == 4


def test_a_picture_is_missed_when_nothing_is_reported() -> None:
    """Silence misses, a wrong label does not; clean pictures do not count."""
    silent, wrong = [_overlap(9, 0, 0), EMPTY], [_overlap(9, 0, 0), _overlap(0, 5, 0)]
    clean = [EMPTY, EMPTY]
    verdict = segmentation_figures([silent, wrong, clean], ("a", "b"))["verdict"]
    assert verdict["missed"] == 0.5
    assert "missed" not in segmentation_figures([clean], ("a", "b"))["verdict"]


def test_pixels_are_counted_by_label() -> None:
    """Truth, prediction and both, at the threshold; presence of the truth by its least area."""
    truth = np.zeros((2, 4, 4), np.bool_)
    truth[0, :2] = True
    scores = np.zeros((4, 4, 2), np.float32)
    scores[1:3, :, 0] = 0.5
    scores[3, 0, 0] = 0.4
    first, second = overlaps(truth, scores, 0.5, least_px=8.0)
    assert (first.true_px, first.found_px, first.both_px) == (8, 8, 4)
    assert (first.truth, first.found, first.dice) == (True, True, 0.5)
    assert (second.truth, second.found, second.dice) == (False, False, 1.0)
    assert not overlaps(truth, scores, 0.5, least_px=8.5)[0].truth
    assert not overlaps(truth, scores, 0.0, least_px=0.0)[1].truth


def test_surety_is_of_what_is_true() -> None:
    """Higher scores on the truth raise the surety, and so do lower ones where there is none."""
    truth = np.zeros((2, 4, 4), np.bool_)
    truth[0, :2] = True
    exact = np.moveaxis(truth, 0, -1).astype(np.float32)
    assert [o.surety for o in overlaps(truth, exact, 0.5, 1.0)] == [1.0, 1.0]
    assert [o.surety for o in overlaps(truth, np.float32(1) - exact, 0.5, 1.0)] == [0.0, 0.0]
    half = overlaps(truth, (exact / 2 + 0.25).astype(np.float32), 0.5, 1.0)
    assert [o.surety for o in half] == pytest.approx([2 * 6 / (8 + 8), 0.75])
