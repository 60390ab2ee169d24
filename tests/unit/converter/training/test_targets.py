"""From boxes to grids and back."""

from __future__ import annotations

import numpy as np
import pytest

from converter.training.metrics import at_threshold, judge_picture, summary
from converter.training.targets import box_iou, decode, encode

NONE = np.zeros((0, 4), np.float32)
FACES = np.array([[10, 12, 30, 40], [60.5, 20, 119, 100.25], [90, 4, 98, 13]], np.float32)


def test_encoded_boxes_come_back_from_decoding() -> None:
    """What `encode` writes, `decode` reads to within a hundredth of a pixel, one box a face."""
    target = encode(FACES, NONE, 128, 160)
    boxes, scores = decode(target.heat, target.box[..., :2], target.box[..., 2:], threshold=0.99)
    assert scores.tolist() == [1.0] * 3
    overlap = box_iou(boxes, FACES)
    assert sorted(overlap.argmax(axis=1).tolist()) == [0, 1, 2]
    assert np.abs(boxes[overlap.argmax(axis=0)] - FACES).max() < 0.01


def test_each_face_has_the_same_weight() -> None:
    """A big face has more cells to learn from than a small one, but not more weight."""
    target = encode(FACES, NONE, 128, 160)
    assert target.weight.sum() == pytest.approx(len(FACES), rel=1e-5)


def test_ignored_faces_are_blanked_out() -> None:
    """The heat map's loss does not look at the cells under a face that is too small to judge."""
    target = encode(NONE, np.array([[8, 16, 20, 24]], np.float32), 32, 32)
    assert np.argwhere(target.keep == 0).tolist() == [[r, c] for r in (4, 5) for c in (2, 3, 4)]
    assert target.heat.max() == 0


def test_a_face_on_an_ignored_one_still_counts() -> None:
    """The centre of a good face is learnt even where an ignored face covers it."""
    face = np.array([[4, 4, 28, 28]], np.float32)
    target = encode(face, face, 32, 32)
    assert target.keep[4, 4] == 1


def test_decoding_keeps_the_better_of_two_overlapping_boxes() -> None:
    """Two peaks that tell the same box give one detection, with the greater score."""
    score = np.zeros((8, 8), np.float32)
    score[3, 2], score[3, 5] = 0.9, 0.8
    offset = np.zeros((8, 8, 2), np.float32)
    offset[3, 2], offset[3, 5] = (2, 0.5), (-1, 0.5)
    boxes, scores = decode(score, offset, np.full((8, 8, 2), np.log(4), np.float32))
    assert scores.tolist() == pytest.approx([0.9])
    assert boxes.tolist() == [pytest.approx([8, 6, 24, 22], abs=1e-4)]


def test_a_face_is_found_once_only() -> None:
    """A second box on a found face is a false one, and a box on nothing is too."""
    face = np.array([[0, 0, 10, 10]], np.float32)
    boxes = np.array([[0, 0, 10, 9], [0, 0, 9, 10], [50, 50, 60, 60]], np.float32)
    judged = judge_picture(boxes, np.array([0.9, 0.8, 0.7], np.float32), face)
    assert judged.hit.tolist() == [True, False, False]


def test_summary_of_a_known_ranking() -> None:
    """Two hits, a miss, a hit, of four faces: AP 0.5 + 0.25·0.75, recall 0.5 at precision 0.9."""
    faces = np.array([[20 * i, 0, 20 * i + 10, 10] for i in range(4)], np.float32)
    boxes = np.concatenate([faces[:2], [[500, 0, 510, 10]], faces[2:3]]).astype(np.float32)
    judged = [judge_picture(boxes, np.array([0.9, 0.8, 0.7, 0.6], np.float32), faces)]
    figures = summary(judged, 0.9)
    assert figures["ap"] == pytest.approx(0.5 + 0.25 * 0.75, abs=1e-4)
    assert (figures["threshold"], figures["recall"], figures["precision"]) == (0.8, 0.5, 1.0)
    assert at_threshold(judged, 0.6)["recall_by_faces"] == {"2-5": 0.75}


def test_no_detection_at_all_is_no_error() -> None:
    """A network that finds nothing has an AP of 0."""
    figures = summary([judge_picture(NONE, np.zeros(0, np.float32), FACES)], 0.9)
    assert (figures["ap"], figures["recall"], figures["precision"]) == (0.0, 0.0, 0.0)
