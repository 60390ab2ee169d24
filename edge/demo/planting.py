"""Which defects a bad day leaves on a strip, and where."""

from __future__ import annotations

import math

import numpy as np

from edge.demo.marks import Label, Planted

ROLL = "work roll"
"""Name of the damaged roll."""

GAP_MM = 25.0
"""Clean steel between two defects of one label, more than what is taken for one."""

ALONE_MM = 70.0
"""Clean steel along the strip between defects of different labels. The model has learned from
tiles of one label each: of two labels side by side across the strip it tells the stronger.
"""

DAMAGED_FROM = 0.35
"""Share of the strip after which the roll is damaged. A scratch longer than the roll's
circumference has its place before.
"""

_EDGE_MM = 10.0  # clean on all sides of the strip
_PRINT_MM = (28.0, 10.0)
_TRIES = 200

_PER_METRE: dict[Label, float] = {"scratches": 0.2, "patches": 0.6, "inclusion": 0.8}
"""How often; the long ones are planted first, while there is room."""


def planted_standard(
    seed: int, length_mm: float, width_mm: float, roll_mm: float | None
) -> tuple[Planted, ...]:
    """Scattered inclusions, patches and scratches of which every fourth is longer than a frame of
    800 mm; and from somewhere on an inclusion in one lane each time a damaged roll has turned.

    Parameters
    ----------
    seed
        Other seeds, other places.
    length_mm, width_mm
        Of the strip; a small one gets what fits.
    roll_mm
        Diameter of the damaged roll; None: all rolls are sound.

    Returns
    -------
    tuple of Planted
        By their place. Those of one label are ``GAP_MM`` apart, others ``ALONE_MM``.
    """
    rng = np.random.default_rng((seed, 1))
    planted: list[Planted] = []
    if roll_mm is not None:
        planted += _prints(rng, length_mm, width_mm, math.pi * roll_mm)
    for label, often in _PER_METRE.items():
        for k in range(max(1, round(often * length_mm / 1000))):
            found = _place(rng, label, length_mm, width_mm, planted, k % 4 == 0)
            if found is not None:
                planted.append(found)
    return tuple(sorted(planted, key=lambda one: (one.x_mm, one.y_mm)))


def _prints(
    rng: np.random.Generator, length_mm: float, width_mm: float, step_mm: float
) -> list[Planted]:
    long, wide = _PRINT_MM
    if width_mm < wide + 2 * _EDGE_MM:
        return []
    first = max(_EDGE_MM, DAMAGED_FROM * length_mm) + rng.uniform(0, 0.5) * step_mm
    lane = rng.uniform(_EDGE_MM, width_mm - _EDGE_MM - wide)
    count = math.floor((length_mm - _EDGE_MM - long - first) / step_mm) + 1
    return [Planted("inclusion", first + k * step_mm, lane, long, wide, ROLL) for k in range(count)]


def _place(
    rng: np.random.Generator,
    label: Label,
    length_mm: float,
    width_mm: float,
    others: list[Planted],
    long_first: bool,
) -> Planted | None:
    """Where one more fits, or None after many tries; a long scratch gives up half-way and becomes
    a short one.
    """
    for k in range(_TRIES):
        long, wide = _size(rng, label, long_first and k < _TRIES // 2)
        spare = (length_mm - long - 2 * _EDGE_MM, width_mm - wide - 2 * _EDGE_MM)
        if min(spare) < 0:
            continue
        x, y = _EDGE_MM + rng.uniform() * spare[0], _EDGE_MM + rng.uniform() * spare[1]
        tried = Planted(label, x, y, long, wide)
        if all(_clear(tried, other) for other in others):
            return tried
    return None


def _clear(one: Planted, other: Planted) -> bool:
    if one.label == other.label:
        return one.apart(other, GAP_MM)
    return one.apart_along(other, ALONE_MM)


def _size(rng: np.random.Generator, label: Label, long: bool) -> tuple[float, float]:
    """Length and width in mm."""
    if label == "inclusion":
        return rng.uniform(24, 40), rng.uniform(7, 10)
    if label == "patches":  # the model takes a long one for an inclusion
        return rng.uniform(36, 48), rng.uniform(30, 38)
    if long:
        return rng.uniform(850, 1200), rng.uniform(6, 16)
    return rng.uniform(60, 160), rng.uniform(4, 14)
