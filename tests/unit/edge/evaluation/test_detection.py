"""Figures of a detector against values computed by hand."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from edge.evaluation.detection import Matched, average_precision, detection_figures, match


def _boxes(*left: float) -> npt.NDArray[np.float32]:
    """Boxes of 10×10 with these left edges."""
    return np.array([[x, 0, 10, 10] for x in left], np.float32).reshape(-1, 4)


def _scores(*scores: float) -> npt.NDArray[np.float32]:
    return np.array(scores, np.float32)


def _matched(scores: tuple[float, ...], hits: tuple[bool, ...], faces: int) -> Matched:
    numbers = iter(range(faces))
    truth = np.array([next(numbers) if hit else -1 for hit in hits], np.int64)
    return Matched(_scores(*scores), truth, faces)


def test_a_face_is_found_once() -> None:
    """Of two detections on one face the better gets it, whatever row it stands in."""
    assert match(_boxes(1, 0), _scores(0.6, 0.9), _boxes(0)).truth.tolist() == [-1, 0]
    assert match(_boxes(0, 1), _scores(0.6, 0.9), _boxes(0)).truth.tolist() == [-1, 0]


def test_a_detection_takes_the_face_it_overlaps_most() -> None:
    """The best detection chooses first; the next takes what is free and overlaps enough."""
    assert match(_boxes(2, 1), _scores(0.9, 0.8), _boxes(0, 3)).truth.tolist() == [1, 0]


def test_the_overlap_must_reach_the_limit() -> None:
    """IoU 6/14 finds the face, 5/15 does not."""
    assert match(_boxes(4), _scores(0.9), _boxes(0)).truth.tolist() == [0]
    assert match(_boxes(5), _scores(0.9), _boxes(0)).truth.tolist() == [-1]


def test_matching_nothing() -> None:
    """No detections or no faces match nothing."""
    assert match(_boxes(), _scores(), _boxes(0)).truth.tolist() == []
    assert match(_boxes(0), _scores(0.9), _boxes()).truth.tolist() == [-1]


def test_average_precision_by_hand() -> None:
    """Hit, miss, hit of 4 faces: 1/4 at precision 1, 1/4 at 2/3; interpolation fills the dip."""
    hits = np.array([True, False, True])
    assert average_precision(_scores(0.9, 0.8, 0.7), hits, 4) == pytest.approx(0.25 + 0.25 * 2 / 3)
    late = np.array([False, True, True, True])
    assert average_precision(_scores(0.9, 0.8, 0.7, 0.6), late, 3) == pytest.approx(0.75)


def test_equal_scores_pass_together() -> None:
    """Whether a hit or a miss of the same score comes first does not change the AP."""
    for hits in ([True, False], [False, True]):
        assert average_precision(_scores(0.9, 0.9), np.array(hits), 1) == pytest.approx(0.5)


def test_perfect_detector() -> None:
    """All faces found and nothing else: recall, precision and AP are 1."""
    figures = detection_figures([_matched((0.9, 0.8), (True, True), 2)], 0.5)
    assert figures == {
        "recall": 1.0,
        "precision": 1.0,
        "ap": 1.0,
        "images": 1,
        "faces": 2,
        "by_faces": {"2-5": {"recall": 1.0, "precision": 1.0, "images": 1}},
    }


def test_silent_detector() -> None:
    """A detector that finds nothing has recall 0, AP 0 and no precision at all."""
    figures = detection_figures([_matched((), (), 1)], 0.5)
    assert figures == {
        "recall": 0.0,
        "ap": 0.0,
        "images": 1,
        "faces": 1,
        "by_faces": {"1": {"recall": 0.0, "images": 1}},
    }


def test_pictures_without_faces_count_in_the_precision() -> None:
    """A detection where nobody is costs precision; without any face there is no recall."""
    empty = _matched((0.9,), (False,), 0)
    assert detection_figures([empty], 0.5) == {"precision": 0.0, "images": 1, "faces": 0}
    both = detection_figures([empty, _matched((0.9,), (True,), 1)], 0.5)
    assert (both["recall"], both["precision"], both["images"]) == (1.0, 0.5, 2)


def test_threshold_cuts_recall_and_precision_but_not_ap() -> None:
    """Detections below the threshold count in the AP alone; one at the threshold counts."""
    figures = detection_figures([_matched((0.9, 0.5, 0.1), (True, False, True), 2)], 0.5)
    assert (figures["recall"], figures["precision"]) == (0.5, 0.5)
    assert figures["ap"] == pytest.approx(0.5 + 0.5 * 2 / 3)


def test_buckets_by_number_of_faces() -> None:
    """Pictures fall into the four ranges at their ends; recall is over the faces of a range."""
    pictures = [
        _matched((0.9,) * found, (True,) * found, faces)
        for faces, found in ((1, 1), (2, 1), (5, 1), (6, 3), (17, 3), (18, 9))
    ]
    by_faces = detection_figures(pictures, 0.5)["by_faces"]
    assert by_faces == {
        "1": {"recall": 1.0, "precision": 1.0, "images": 1},
        "2-5": {"recall": 2 / 7, "precision": 1.0, "images": 2},
        "6-17": {"recall": 6 / 23, "precision": 1.0, "images": 2},
        "18+": {"recall": 0.5, "precision": 1.0, "images": 1},
    }
