"""Accept, downgrade, reject."""

from __future__ import annotations

import pytest

from edge.line.geometry import Defect
from edge.line.grading import Grade, GradeRule, Lanes, density, grade, metre_of, worst_metre

LANES = Lanes(1200.0, 3)


def _at(x: float, y: float = 600.0, length: float = 10.0, label: str = "scratches") -> Defect:
    half = length / 2
    return Defect(label, x - half, x + half, y - 2, y + 2, 30.0, 0.9, 0, 0)


def test_without_a_broken_rule_it_is_accepted() -> None:
    """A table without rules, and rules that nothing breaks, accept."""
    rules = [GradeRule("reject", per_metre=2), GradeRule("downgrade", labels=("patches",))]
    for table in ([], rules):
        found = grade([_at(100), _at(200)], table, LANES)
        assert found == Grade("accept", "no rule of the grading table is broken")


def test_more_in_a_metre_than_allowed() -> None:
    """Three in one metre are too many, three in three metres are not; the reason names it."""
    rule = GradeRule("reject", labels=("scratches",), size_mm=8.0, per_metre=2)
    close = [_at(12_100), _at(12_200), _at(12_900)]
    assert grade(close, [rule], LANES) == Grade(
        "reject", "3 scratches of 8 mm and more in metre 12, allowed: 2", 12
    )
    assert grade([_at(100), _at(1100), _at(2100)], [rule], LANES).verdict == "accept"


@pytest.mark.parametrize(
    ("rule", "counts"),
    [
        (GradeRule("reject"), True),
        (GradeRule("reject", labels=("patches",)), False),
        (GradeRule("reject", size_mm=10.0), True),
        (GradeRule("reject", size_mm=10.1), False),
        (GradeRule("reject", lanes=(2,)), True),
        (GradeRule("reject", lanes=(1, 3)), False),
    ],
)
def test_what_a_rule_counts(rule: GradeRule, counts: bool) -> None:
    """Label, size and lane of a defect of 10 mm in the middle lane."""
    assert (grade([_at(100)], [rule], LANES).verdict == "reject") == counts


def test_the_strictest_verdict_stands() -> None:
    """In whatever order the rules come; of equal ones the first gives the reason."""
    mild, strict = GradeRule("downgrade"), GradeRule("reject", per_metre=1)
    for table in ([mild, strict], [strict, mild]):
        assert grade([_at(100), _at(200)], table, LANES).verdict == "reject"
        assert grade([_at(100)], table, LANES).verdict == "downgrade"
    first = GradeRule("downgrade", labels=("scratches",))
    assert grade([_at(100)], [first, mild], LANES).reason.startswith("1 scratches in metre 0")


def test_lanes_are_equal_stripes() -> None:
    """What lies beyond an edge counts in the lane there."""
    places = {-5.0: 1, 0.0: 1, 399.0: 1, 401.0: 2, 801.0: 3, 1300.0: 3}
    assert {y: LANES.of(_at(0, y)) for y in places} == places


def test_density_by_metre_and_lane() -> None:
    """Metres without a defect are absent; the first of the worst ones is told."""
    defects = [_at(2500, 100), _at(2600, 1100), _at(100, 600), _at(7100, 100), _at(7200, 100)]
    assert density(defects, LANES) == {0: [0, 1, 0], 2: [1, 0, 1], 7: [2, 0, 0]}
    assert worst_metre(defects, LANES) == (2, 2)
    assert worst_metre([], LANES) is None
    assert (metre_of(999.9), metre_of(1000.0), metre_of(-0.1)) == (0, 1, -1)


def test_what_makes_no_sense_is_refused() -> None:
    """A rule that accepts, negative numbers, no lane, no width."""
    with pytest.raises(ValueError, match="no rule is against"):
        GradeRule("accept")
    for keys in ({"size_mm": -1.0}, {"size_mm": float("nan")}, {"per_metre": -1}):
        with pytest.raises(ValueError, match="0 or more"):
            GradeRule("reject", **keys)
    for width, count in ((0.0, 1), (float("nan"), 1), (100.0, 0)):
        with pytest.raises(ValueError, match="lanes"):
            Lanes(width, count)
