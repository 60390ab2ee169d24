"""Detection figures over any pictures."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edge.contract.boxes import iou
from edge.evaluation.detection import Matched, average_precision, detection_figures, match

_BOX = st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(1, 20), st.integers(1, 20))
_SCORE = st.sampled_from([0.05, 0.2, 0.5, 0.7, 0.9])
_DETECTIONS = st.lists(st.tuples(_BOX, _SCORE), max_size=8)
_TRUTH = st.lists(_BOX, max_size=8)
_PICTURES = st.lists(st.tuples(_DETECTIONS, _TRUTH), min_size=1, max_size=6)

Pictures = list[tuple[list[tuple[tuple[int, ...], float]], list[tuple[int, ...]]]]


def _match(
    detections: list[tuple[tuple[int, ...], float]], truth: list[tuple[int, ...]]
) -> Matched:
    boxes = np.array([box for box, _ in detections], np.float32).reshape(-1, 4)
    scores = np.array([score for _, score in detections], np.float32)
    return match(boxes, scores, np.array(truth, np.float32).reshape(-1, 4))


@settings(deadline=None)
@given(_PICTURES, st.floats(0, 1))
def test_figures_are_fractions(pictures: Pictures, threshold: float) -> None:
    """Recall, precision and AP are in [0, 1]; recall and AP never exceed what all finds give."""
    matched = [_match(*picture) for picture in pictures]
    figures = detection_figures(matched, threshold)
    for name in ("recall", "precision", "ap"):
        assert 0 <= figures.get(name, 0.0) <= 1 + 1e-12
    if figures["faces"]:
        all_found = sum(int((m.truth >= 0).sum()) for m in matched) / figures["faces"]
        assert figures["recall"] <= all_found
        assert figures["ap"] <= all_found + 1e-12


@settings(deadline=None)
@given(_DETECTIONS, _TRUTH)
def test_matching_is_one_to_one(
    detections: list[tuple[tuple[int, ...], float]], truth: list[tuple[int, ...]]
) -> None:
    """No face is found twice, and every pair overlaps enough."""
    matched = _match(detections, truth)
    taken = [int(face) for face in matched.truth if face >= 0]
    assert len(set(taken)) == len(taken)
    for (box, _), face in zip(detections, matched.truth, strict=True):
        if face >= 0:
            assert iou(np.array([box]), np.array([truth[face]]))[0, 0] >= 0.4


@settings(deadline=None)
@given(_PICTURES, st.randoms(use_true_random=False))
def test_order_changes_nothing(pictures: Pictures, shuffler: object) -> None:
    """Shuffled pictures and detections give the same figures."""
    mixed = [(list(detections), truth) for detections, truth in pictures]
    for detections, _ in mixed:
        shuffler.shuffle(detections)  # type: ignore[attr-defined]
    shuffler.shuffle(mixed)  # type: ignore[attr-defined]
    one = detection_figures([_match(*picture) for picture in pictures], 0.5)
    two = detection_figures([_match(*picture) for picture in mixed], 0.5)
    assert one == two


@settings(deadline=None)
@given(_DETECTIONS, _TRUTH, st.sampled_from([0.2, 0.5, 0.7]))
def test_one_matching_serves_every_threshold(
    detections: list[tuple[tuple[int, ...], float]],
    truth: list[tuple[int, ...]],
    threshold: float,
) -> None:
    """Leaving out what is below a threshold changes no match above it."""
    matched = _match(detections, truth)
    above = [row for row, (_, score) in enumerate(detections) if score >= threshold]
    alone = _match([detections[row] for row in above], truth)
    assert alone.truth.tolist() == [int(matched.truth[row]) for row in above]


@settings(deadline=None)
@given(st.lists(st.tuples(_SCORE, st.booleans()), max_size=30), st.integers(1, 40))
def test_ap_is_one_exactly_for_a_perfect_ranking(
    ranked: list[tuple[float, bool]], faces: int
) -> None:
    """AP is 1 when and only when all faces are found and score above every false detection."""
    hits = [hit for _, hit in ranked]
    assume(sum(hits) <= faces)
    ap = average_precision(np.array([score for score, _ in ranked]), np.array(hits, bool), faces)
    worst_hit = min((score for score, hit in ranked if hit), default=0.0)
    best_miss = max((score for score, hit in ranked if not hit), default=-1.0)
    assert (ap >= 1 - 1e-9) == (sum(hits) == faces and worst_hit > best_miss)
