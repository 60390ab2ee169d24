"""Precision and recall at every threshold, against values computed by hand and by brute force."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.evaluation.ranking import Ranking

ONCE = np.ones((1, 1))

Detection = tuple[float, bool]

_SCORE = st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9])
_PICTURE = st.lists(st.tuples(_SCORE, st.booleans()), max_size=6)
_PRECISION = st.sampled_from([0.5, 0.75, 0.9, 0.95, 1.0])


def _ranking(*pictures: Sequence[Detection]) -> Ranking:
    return Ranking(
        [np.array([score for score, _ in rows], np.float32) for rows in pictures],
        [np.array([hit for _, hit in rows], np.bool_) for rows in pictures],
    )


def _ap(rows: Sequence[Detection], faces: int) -> float:
    return float(_ranking(rows).curve(ONCE).average_precision(np.array([faces]))[0])


def _recall(rows: Sequence[Detection], faces: int, precision: float) -> float:
    return float(_ranking(rows).curve(ONCE).recall_at(precision, np.array([[faces]]))[0, 0])


def test_average_precision_by_hand() -> None:
    """Hit, miss, hit of 4 faces: 1/4 at precision 1, 1/4 at 2/3; interpolation fills the dip."""
    assert _ap([(0.9, True), (0.8, False), (0.7, True)], 4) == pytest.approx(0.25 + 0.25 * 2 / 3)
    late = [(0.9, False), (0.8, True), (0.7, True), (0.6, True)]
    assert _ap(late, 3) == pytest.approx(0.75)


def test_equal_scores_pass_together() -> None:
    """Whether a hit or a miss of the same score comes first changes neither AP nor threshold."""
    for hits in ((True, False), (False, True)):
        rows = [(0.9, hits[0]), (0.9, hits[1])]
        assert _ap(rows, 1) == pytest.approx(0.5)
        assert _ranking(rows).threshold_at(0.95) is None
        assert _ranking(rows).threshold_at(0.5) == pytest.approx(0.9)


def test_the_lowest_threshold_with_the_precision() -> None:
    """A dip in the precision does not end the search: 3 of 4 is 0.75 again at the last one."""
    rows = [(0.9, True), (0.8, False), (0.7, True), (0.6, True), (0.5, False)]
    assert _ranking(rows).threshold_at(0.75) == pytest.approx(0.6)
    assert _recall(rows, 4, 0.75) == 0.75
    assert _ranking(rows).threshold_at(0.76) == pytest.approx(0.9)
    assert _recall(rows, 4, 0.76) == 0.25


def test_19_of_20_is_a_precision_of_95_percent() -> None:
    """No rounding keeps a threshold out that has the precision exactly."""
    rows = [(0.9, True)] * 19 + [(0.5, False)]
    assert _ranking(rows).threshold_at(0.95) == 0.5
    assert _ranking([*rows, (0.5, False)]).threshold_at(0.95) == pytest.approx(0.9)


def test_without_a_threshold_nobody_is_found() -> None:
    """A precision that no threshold has, or no detection at all: recall 0, no threshold."""
    for rows in ([(0.9, False), (0.8, True)], []):
        assert _ranking(rows).threshold_at(0.95) is None
        assert _recall(rows, 1, 0.95) == 0.0
    assert _ap([], 1) == 0.0


def test_groups_share_the_threshold_of_all_pictures() -> None:
    """A group's recall is at the threshold that gives all pictures the precision, not itself."""
    good, bad = [(0.9, True), (0.4, True)], [(0.5, False), (0.8, True)]
    faces = np.array([[2, 2, 0], [4, 0, 4]])
    curve = _ranking(good, bad).curve(np.ones((1, 2)))
    assert curve.recall_at(0.95, faces).tolist() == [[2 / 6, 1 / 2, 1 / 4]]
    assert curve.recall_at(0.75, faces).tolist() == [[3 / 6, 2 / 2, 1 / 4]]


@settings(deadline=None)
@given(st.lists(_PICTURE, min_size=1, max_size=5), _PRECISION)
def test_threshold_by_brute_force(pictures: list[list[Detection]], precision: float) -> None:
    """Of all scores that occur it is the lowest one with the precision."""
    rows = [row for picture in pictures for row in picture]
    fits = []
    for least in {score for score, _ in rows}:
        hits = [hit for score, hit in rows if score >= least]
        if sum(hits) / len(hits) >= precision:
            fits.append(least)
    found = _ranking(*pictures).threshold_at(precision)
    assert found == (pytest.approx(min(fits)) if fits else None)


@settings(deadline=None)
@given(
    st.lists(st.tuples(_PICTURE, st.integers(0, 3)), min_size=1, max_size=5),
    st.integers(0, 4),
    _PRECISION,
)
def test_a_weight_is_so_many_copies(
    drawn: list[tuple[list[Detection], int]], more: int, precision: float
) -> None:
    """Pictures counted several times, or not at all, give what their copies give."""
    copies = [rows for rows, count in drawn for _ in range(count)]
    faces = np.array([sum(hit for _, hit in rows) + more for rows, _ in drawn])
    of_copies = np.repeat(faces, [count for _, count in drawn])
    weights = np.array([[count for _, count in drawn]], np.float64)
    curve = _ranking(*(rows for rows, _ in drawn)).curve(weights)
    if not copies:
        assert np.isnan(curve.average_precision(faces)).all()
        return
    other = _ranking(*copies).curve(np.ones((1, len(copies))))
    assert curve.average_precision(faces) == pytest.approx(
        other.average_precision(of_copies), nan_ok=True
    )
    assert curve.recall_at(precision, faces[:, None]) == pytest.approx(
        other.recall_at(precision, of_copies[:, None]), nan_ok=True
    )


@settings(deadline=None)
@given(st.lists(st.tuples(_SCORE, st.booleans()), max_size=30), st.integers(0, 40))
def test_ap_is_one_exactly_for_a_perfect_ranking(rows: list[Detection], missed: int) -> None:
    """AP is 1 when and only when all faces are found and score above every false detection."""
    found = sum(hit for _, hit in rows)
    if not found + missed:
        return
    worst_hit = min((score for score, hit in rows if hit), default=0.0)
    best_miss = max((score for score, hit in rows if not hit), default=-1.0)
    perfect = not missed and worst_hit > best_miss
    assert (_ap(rows, found + missed) >= 1 - 1e-9) == perfect
