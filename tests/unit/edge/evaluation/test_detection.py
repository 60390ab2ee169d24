"""Figures of a detector against values computed by hand."""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt
import pytest

from edge.evaluation.detection import Matched, detection_figures, match


def _boxes(*left: float) -> npt.NDArray[np.float32]:
    """Boxes of 10×10 with these left edges."""
    return np.array([[x, 0, 10, 10] for x in left], np.float32).reshape(-1, 4)


def _scores(*scores: float) -> npt.NDArray[np.float32]:
    return np.array(scores, np.float32)


def _matched(
    scores: tuple[float, ...], hits: tuple[bool, ...], faces: int, side: float = 30.0
) -> Matched:
    numbers = iter(range(faces))
    truth = np.array([next(numbers) if hit else -1 for hit in hits], np.int64)
    return Matched(_scores(*scores), truth, np.full(faces, side, np.float32))


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
        "by_width": {"24-47": {"recall": 1.0, "faces": 2}},
        "at_precision": {
            precision: {
                "threshold": pytest.approx(0.8),
                "recall": 1.0,
                "by_faces": {"2-5": {"recall": 1.0}},
            }
            for precision in ("0.90", "0.95")
        },
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
        "by_width": {"24-47": {"recall": 0.0, "faces": 1}},
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
    for part in by_faces.values():
        part.pop("interval", None)
    assert by_faces == {
        "1": {"recall": 1.0, "precision": 1.0, "images": 1},
        "2-5": {"recall": 2 / 7, "precision": 1.0, "images": 2},
        "6-17": {"recall": 6 / 23, "precision": 1.0, "images": 2},
        "18+": {"recall": 0.5, "precision": 1.0, "images": 1},
    }


def test_the_shorter_side_in_the_input_counts_as_width() -> None:
    """A box is as wide as its shorter side after the resize, whatever it was in the picture."""
    truth = np.array([[0, 0, 40, 60], [0, 0, 60, 40]], np.float32)
    assert match(_boxes(), _scores(), truth, (0.5, 0.25)).sides.tolist() == [15.0, 10.0]
    assert match(_boxes(), _scores(), truth).sides.tolist() == [40.0, 40.0]


def test_faces_by_width() -> None:
    """Faces fall into the five ranges at their ends; a range without faces is absent."""
    sides = np.array([11.9, 12, 23.9, 24, 47.9, 48, 95.9, 96, 500], np.float32)
    found = np.array([1, 3, 5, 7, 8], np.int64)
    picture = Matched(np.full(5, 0.9, np.float32), found, sides)
    assert detection_figures([picture], 0.5)["by_width"] == {
        "0-11": {"recall": 0.0, "faces": 1},
        "12-23": {"recall": 0.5, "faces": 2},
        "24-47": {"recall": 0.5, "faces": 2},
        "48-95": {"recall": 0.5, "faces": 2},
        "96+": {"recall": 1.0, "faces": 2},
    }
    one = detection_figures([_matched((0.9,), (True,), 1, side=12.0)], 0.95)
    assert one["by_width"] == {"12-23": {"recall": 0.0, "faces": 1}}


def test_recall_at_a_precision() -> None:
    """The lowest threshold with the precision over all pictures serves every range of faces, and
    what it passes has just that recall and precision.
    """
    pictures = [
        _matched((0.9,), (True,), 1),
        *[_matched((0.8, 0.7, 0.3), (True, True, True), 3)] * 6,
        _matched((0.6, 0.4), (False, False), 2),
    ]
    at_precision = detection_figures(pictures, 0.5)["at_precision"]
    # 13 hits before the first miss, 14 detections with it; then a second miss and 6 more hits.
    assert at_precision["0.90"]["threshold"] == pytest.approx(0.3)
    assert at_precision["0.95"]["threshold"] == pytest.approx(0.7)
    recalls = {
        name: (part["recall"], *(inner["recall"] for inner in part["by_faces"].values()))
        for name, part in at_precision.items()
    }
    assert recalls == {"0.90": (19 / 21, 1.0, 18 / 20), "0.95": (13 / 21, 1.0, 12 / 20)}
    for name, part in at_precision.items():
        at = detection_figures(pictures, part["threshold"])
        assert at["recall"] == part["recall"]
        assert at["precision"] >= float(name)


def test_an_interval_for_each_recall_and_precision() -> None:
    """Recall, precision, AP and the recalls of ranges have an interval that holds the figure, with
    few pictures a wide one; a range of one picture has none.
    """
    pictures = [_matched((0.9, 0.8), (k % 3 > 0, k % 5 > 0), 2) for k in range(100)]
    figures = detection_figures([*pictures, _matched((0.9,), (True,), 1, side=100.0)], 0.5)
    parts = [
        (figures, {"recall", "precision", "ap"}),
        (figures["by_faces"]["2-5"], {"recall", "precision"}),
        (figures["by_width"]["24-47"], {"recall"}),
    ]
    for part, names in parts:
        assert set(part["interval"]) == names
        for name, (low, high) in part["interval"].items():
            assert low < part[name] < high
    assert "interval" not in figures["by_faces"]["1"]
    assert "interval" not in figures["by_width"]["96+"]
    fewer = detection_figures(pictures[:15], 0.5)["interval"]["recall"]
    low, high = figures["interval"]["recall"]
    assert fewer[1] - fewer[0] > 1.5 * (high - low)


def test_the_interval_at_a_precision_holds_the_choice_of_the_threshold() -> None:
    """A draw reads its own threshold off: where it hangs on few misses the interval is wide, though
    at any fixed threshold it is narrow.
    """
    pictures = [_matched((0.9, 0.5), (True, True), 2) for _ in range(60)]
    pictures += [_matched((0.7, 0.4), (False, False), 1) for _ in range(3)]
    figures = detection_figures(pictures, 0.45)
    chosen = figures["at_precision"]["0.95"]
    assert chosen["recall"] == figures["recall"] == 120 / 123
    assert figures["interval"]["recall"][0] > 0.9
    assert chosen["interval"]["recall"][0] < 0.55
    assert chosen["by_faces"]["2-5"]["interval"]["recall"][0] == 0.5


def test_intervals_of_500_pictures_take_less_than_two_seconds() -> None:
    """500 pictures with 10,000 detections: the draws are tables, not loops."""
    random = np.random.default_rng(3)
    truth = np.append(np.arange(6), np.full(14, -1))
    pictures = [
        Matched(random.random(20, np.float32), truth, random.uniform(5, 200, 8).astype(np.float32))
        for _ in range(500)
    ]
    began = time.process_time()
    detection_figures(pictures, 0.5)
    assert time.process_time() - began < 2
