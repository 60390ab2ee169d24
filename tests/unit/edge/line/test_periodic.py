"""What a damaged roll prints."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.line.geometry import Defect
from edge.line.periodic import find_periodic

ROLLS = {"work roll": 600.0, "back-up roll": 1400.0}


def _at(x: float, y: float = 500.0, label: str = "patches") -> Defect:
    return Defect(label, x - 5, x + 5, y - 5, y + 5, 80.0, 0.9, 0, 0)


def test_a_constant_distance_names_the_roll() -> None:
    """Eight prints of a roll of 600 mm stand 1885 mm apart; who comes near is its name."""
    (row,) = find_periodic([_at(100 + k * math.pi * 600) for k in range(8)], rolls=ROLLS)
    assert row.period_mm == pytest.approx(math.pi * 600)
    assert row.diameter_mm == pytest.approx(600)
    assert (row.roll, row.count, row.label, row.y_mm) == ("work roll", 8, "patches", 500.0)
    assert (row.first_mm, row.last_mm) == pytest.approx((100, 100 + 7 * math.pi * 600))
    (unknown,) = find_periodic([_at(k * 1000.0) for k in range(8)], rolls=ROLLS)
    assert unknown.roll is None


def test_a_missing_print_breaks_no_row() -> None:
    """One is missing in the middle; two in a row end it."""
    prints = [_at(k * 800.0) for k in range(10)]
    (row,) = find_periodic(prints[:4] + prints[5:])
    assert row.count == 9
    assert row.period_mm == pytest.approx(800.0)
    rows = find_periodic(prints[:4] + prints[6:])
    assert [one.count for one in rows] == [4, 4]


def test_lanes_and_labels_make_rows_of_their_own() -> None:
    """Two rolls print beside each other; each row keeps its distance."""
    one = [_at(k * 700.0, 200.0) for k in range(6)]
    two = [_at(k * 900.0, 800.0) for k in range(5)]
    three = [_at(k * 700.0, 200.0, "scratches") for k in range(4)]
    rows = find_periodic(one + two + three)
    assert [(row.label, row.count, round(row.period_mm), row.y_mm) for row in rows] == [
        ("patches", 6, 700, 200.0),
        ("patches", 5, 900, 800.0),
        ("scratches", 4, 700, 200.0),
    ]


def test_too_few_are_no_row() -> None:
    """Three at a constant distance are chance; so is everything where nothing repeats."""
    assert find_periodic([_at(k * 700.0) for k in range(3)]) == []
    assert find_periodic([_at(x) for x in (0.0, 100.0, 350.0, 900.0, 2100.0)]) == []
    assert find_periodic([]) == []


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    period=st.floats(400, 6000),
    count=st.integers(8, 30),
)
def test_a_planted_repeat_is_found_among_others(seed: int, period: float, count: int) -> None:
    """Among 60 defects anywhere, prints that stand off by a millimetre or two are found."""
    rng = np.random.default_rng(seed)
    prints = [_at(300 + k * period + rng.uniform(-1.5, 1.5), 400.0) for k in range(count)]
    length = period * count
    others = [_at(*rng.uniform((0, 0), (length, 1200))) for _ in range(60)]
    rows = find_periodic(prints + others)
    assert any(
        abs(row.period_mm - period) < 1.5 and row.count >= count - 1 and abs(row.y_mm - 400) < 5
        for row in rows
    )


def test_a_coil_of_a_thousand_defects_is_quick() -> None:
    """Nobody waits for the report: well under two seconds."""
    rng = np.random.default_rng(1)
    defects = [_at(*rng.uniform((0, 0), (1_000_000, 1200))) for _ in range(980)]
    defects += [_at(1000 + k * 2500.0, 300.0) for k in range(20)]
    began = time.monotonic()
    rows = find_periodic(defects)
    assert time.monotonic() - began < 2.0
    assert any(row.count >= 19 and abs(row.period_mm - 2500) < 2 for row in rows)


@pytest.mark.parametrize(
    "keys", [{"least": 2}, {"tolerance_mm": 0.0}, {"shortest_mm": 1.0}, {"longest_mm": 10.0}]
)
def test_parameters_have_ranges(keys: dict[str, float]) -> None:
    """What makes no sense is refused."""
    with pytest.raises(ValueError, match="find_periodic"):
        find_periodic([], **keys)  # type: ignore[arg-type]  # wrong values are the point
