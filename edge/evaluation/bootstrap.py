"""How far a figure can be trusted: 95 % intervals by drawing the pictures again. Pure.

The faces of one picture share its light, its camera and its crowd. So whole pictures are drawn,
with replacement and as many as there are, each with all that is in it; the interval lies between
the percentiles of what the draws give (percentile bootstrap, Efron and Tibshirani 1993, chapter 13;
of clusters, Davison and Hinkley 1997, section 3.8).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

Key = tuple[str, ...]
"""Where a figure stands: the keys of nested objects from the outermost on."""

Statistic = Callable[[Values], Mapping[Key, Values]]
"""How often each picture counts, (draws, pictures) → each figure, (draws,), NaN where it does not
exist."""

RESAMPLES = 1000
SEED = 2024
PERCENTILES = (2.5, 97.5)

LEAST_KNOWN = 0.8
"""Share of the draws in which a figure must exist to have an interval. What stands on one picture
alone is missing from a quarter of them or more, what stands on two from a seventh at most; an
interval over one picture would have no width and seem to be certainty."""

_CELLS = 2**17
"""Numbers in one table of a statistic: 1 MiB stays in the cache, 8 MiB take six times as long."""


def share(weights: Values, over: npt.NDArray[Any], under: npt.NDArray[Any]) -> Values:
    """Sum of ``over`` ÷ sum of ``under``, both (pictures,), in each of the draws; NaN for 0 ÷ 0."""
    return ratio(weights @ over.astype(np.float64), weights @ under.astype(np.float64))


def ratio(over: Values, under: Values) -> Values:
    """``over`` ÷ ``under``, NaN where ``under`` is 0."""
    result = np.full(np.shape(over), np.nan)
    np.divide(over, under, out=result, where=under > 0)
    return result


def resample(
    statistic: Statistic, pictures: int, *, widest: int, seed: int = SEED
) -> dict[Key, Values]:
    """What a statistic gives in each of ``RESAMPLES`` draws of ``pictures`` pictures.

    Parameters
    ----------
    statistic
        Gets some of the draws at a time.
    pictures
        How many there are, at least 1.
    widest
        Columns of the widest table that the statistic makes; they say how many draws it gets.
    seed
        Of the draws; populations that are drawn side by side need different ones.
    """
    generator = np.random.default_rng(seed)
    at_once = max(1, min(RESAMPLES, _CELLS // max(pictures, widest)))
    parts = []
    for first in range(0, RESAMPLES, at_once):
        rows = min(at_once, RESAMPLES - first)
        drawn = generator.integers(pictures, size=(rows, pictures))
        drawn += np.arange(rows)[:, np.newaxis] * pictures
        counts = np.bincount(drawn.ravel(), minlength=rows * pictures)
        parts.append(statistic(counts.reshape(rows, pictures).astype(np.float64)))
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def interval(values: Values) -> list[float] | None:
    """``[low, high]`` of a figure's values in the draws, (draws,); None when too few exist."""
    known = values[~np.isnan(values)]
    if len(known) < LEAST_KNOWN * len(values):
        return None
    low, high = np.percentile(known, PERCENTILES)
    return [float(low), float(high)]


def figures(statistic: Statistic, pictures: int, *, widest: int = 0) -> dict[str, Any]:
    """Each figure over all pictures with its interval, as :func:`nested` lays them out.

    Parameters
    ----------
    statistic, pictures, widest
        As for :func:`resample`.
    """
    draws = resample(statistic, pictures, widest=widest) if pictures > 1 else {}
    return nested(once(statistic, pictures), draws)


def once(statistic: Statistic, pictures: int) -> dict[Key, float]:
    """Each figure that exists, with every picture counted once."""
    values = statistic(np.ones((1, pictures)))
    return {key: float(value[0]) for key, value in values.items() if not np.isnan(value[0])}


def nested(values: Mapping[Key, float], draws: Mapping[Key, Values]) -> dict[str, Any]:
    """Figures in nested objects; the interval of ``a.b.recall`` is ``a.b.interval.recall``."""
    whole: dict[str, Any] = {}
    for key, value in values.items():
        *folders, name = key
        place = whole
        for folder in folders:
            place = place.setdefault(folder, {})
        place[name] = value
        limits = interval(draws[key]) if key in draws else None
        if limits is not None:
            place.setdefault("interval", {})[name] = limits
    return whole
