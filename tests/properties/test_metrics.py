"""Detection figures over any pictures."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.contract.boxes import iou
from edge.evaluation.detection import Matched, detection_figures, match

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


def _without_intervals(figures: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _without_intervals(value) if isinstance(value, dict) else value
        for key, value in figures.items()
        if key != "interval"
    }


@settings(deadline=None)
@given(_PICTURES, st.randoms(use_true_random=False))
def test_order_changes_nothing(pictures: Pictures, shuffler: Random) -> None:
    """Shuffled detections give the same figures, shuffled pictures the same but for the intervals,
    which are drawn from the pictures in their order.
    """
    mixed = [(list(detections), truth) for detections, truth in pictures]
    for detections, _ in mixed:
        shuffler.shuffle(detections)
    one, two = (detection_figures([_match(*p) for p in these], 0.5) for these in (pictures, mixed))
    assert one == two
    shuffler.shuffle(mixed)
    three = detection_figures([_match(*picture) for picture in mixed], 0.5)
    assert _without_intervals(one) == _without_intervals(three)


def _intervals(figures: dict[str, Any]) -> Iterator[tuple[float, list[float]]]:
    """Each figure that has an interval, with it."""
    for key, value in figures.items():
        if key == "interval":
            yield from ((figures[name], limits) for name, limits in value.items())
        elif isinstance(value, dict):
            yield from _intervals(value)


@settings(deadline=None)
@given(_PICTURES)
def test_intervals_are_ranges_of_fractions(pictures: Pictures) -> None:
    """Low is not above high, both are in [0, 1], and where all pictures are alike both are the
    figure itself.
    """
    matched = [_match(*picture) for picture in pictures]
    for value, (low, high) in _intervals(detection_figures(matched, 0.5)):
        assert 0 <= low <= high <= 1 + 1e-12
        assert 0 <= value <= 1 + 1e-12
    for value, (low, high) in _intervals(detection_figures(matched[:1] * 4, 0.5)):
        assert (low, high) == pytest.approx((value, value))


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
