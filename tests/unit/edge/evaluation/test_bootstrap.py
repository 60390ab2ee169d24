"""Intervals by drawing pictures again, against what theory says of simple cases."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from edge.evaluation import bootstrap
from edge.evaluation.bootstrap import (
    RESAMPLES,
    Key,
    Statistic,
    Values,
    figures,
    interval,
    ratio,
    resample,
    share,
)


def _recall(found: npt.NDArray[np.int64], faces: npt.NDArray[np.int64]) -> Statistic:
    def statistic(weights: Values) -> dict[Key, Values]:
        return {("a", "recall"): share(weights, found, faces)}

    return statistic


def _width(found: npt.NDArray[np.int64], faces: npt.NDArray[np.int64]) -> float:
    low, high = figures(_recall(found, faces), len(found))["a"]["interval"]["recall"]
    return float(high - low)


def test_the_interval_is_that_of_theory() -> None:
    """Half of 400 pictures right: 1.96 standard errors of a share on each side."""
    found = np.arange(400) % 2
    part = figures(_recall(found, np.ones(400, np.int64)), 400)["a"]
    low, high = part["interval"]["recall"]
    error = 1.96 * math.sqrt(0.25 / 400)
    assert part["recall"] == 0.5
    assert (low, high) == pytest.approx((0.5 - error, 0.5 + error), abs=0.006)


def test_pictures_are_drawn_and_not_faces() -> None:
    """Nine faces of one fate in each picture make the interval no narrower than one face does; as
    faces of pictures of their own they would make it three times as narrow.
    """
    found, one = np.arange(100) % 2, np.ones(100, np.int64)
    together = _width(9 * found, 9 * one)
    assert together == pytest.approx(_width(found, one))
    apart = _width(np.repeat(found, 9), np.ones(900, np.int64))
    assert apart == pytest.approx(together / 3, rel=0.15)


def test_a_figure_on_one_picture_has_no_interval() -> None:
    """An interval over one picture would have no width; two pictures have one, of any number."""
    for pictures in (2, 3, 400):
        faces = np.zeros(pictures, np.int64)
        faces[0] = 5
        alone = figures(_recall(faces // 2, faces), pictures)
        assert alone == {"a": {"recall": 0.4}}
        faces[1] = 5
        found = np.where(np.arange(pictures) == 0, 5, 0)
        both = figures(_recall(found, faces), pictures)
        assert both == {"a": {"recall": 0.5, "interval": {"recall": [0.0, 1.0]}}}
    assert figures(_recall(np.ones(1, np.int64), np.ones(1, np.int64)), 1) == {"a": {"recall": 1.0}}


def test_what_does_not_exist_is_absent() -> None:
    """A share of nothing is no figure, and leaves no empty section."""
    assert figures(_recall(np.zeros(3, np.int64), np.zeros(3, np.int64)), 3) == {}


def test_draws_are_seeded() -> None:
    """The same pictures give the same draws, another seed other ones."""
    found, faces = np.arange(20) % 3, np.full(20, 3)
    one, two, other = (
        resample(_recall(found, faces), 20, widest=0, seed=seed)["a", "recall"]
        for seed in (1, 1, 2)
    )
    assert one.tolist() == two.tolist()
    assert one.tolist() != other.tolist()


@pytest.mark.parametrize("widest", [0, 1000, 10**9])
def test_every_draw_has_as_many_pictures(widest: int) -> None:
    """Each of the draws has so many pictures as there are, however few draws fit at a time."""
    tables = []

    def statistic(weights: Values) -> dict[Key, Values]:
        tables.append(weights)
        return {("n",): weights.sum(axis=1)}

    drawn = resample(statistic, 30, widest=widest)["n",]
    assert drawn.tolist() == [30.0] * RESAMPLES
    assert all(
        len(table) == 1 or len(table) * max(widest, 30) <= bootstrap._CELLS for table in tables
    )
    assert len(np.unique(np.concatenate(tables), axis=0)) > RESAMPLES / 2


def test_interval_is_the_middle_95_percent() -> None:
    """From the 2.5th to the 97.5th percentile; NaN does not count, too many leave no interval."""
    values = np.arange(1001, dtype=np.float64)
    assert interval(values) == [25.0, 975.0]
    assert interval(np.append(values, np.full(200, np.nan))) == [25.0, 975.0]
    assert interval(np.append(values, np.full(300, np.nan))) is None


def test_ratio_without_a_denominator_is_nan() -> None:
    """0 ÷ 0 does not exist, and raises no warning."""
    found = ratio(np.array([1.0, 0.0]), np.array([2.0, 0.0]))
    assert found[0] == 0.5
    assert np.isnan(found[1])
