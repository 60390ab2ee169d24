"""Defects in millimetres: placed, merged, and what was judged."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.line.coverage import Coverage
from edge.line.geometry import Defect, Direction, Geometry
from edge.line.merge import DefectMerger
from edge.records import Box, Region


def _region(x: float, width: float = 40.0, label: str = "scratches", y: float = 10.0) -> Region:
    return Region(label, Box(x, y, width, 20.0), width * 5, width, 5.0, 0.8)


def _defect(x0: float, x1: float, label: str = "scratches", first: int = 0) -> Defect:
    return Defect(label, x0, x1, 0.0, 10.0, (x1 - x0) * 10, 0.5, first, first)


@pytest.mark.parametrize(
    ("runs", "expected"), [("right", (850.0, 950.0)), ("left", (650.0, 750.0))]
)
def test_pixels_become_millimetres_of_the_strip(
    runs: Direction, expected: tuple[float, float]
) -> None:
    """What is farther from the edge of entry passed earlier; y counts from above."""
    geometry = Geometry(2.5, 0.5, runs)
    placed = geometry.place(_region(20.0), 1000.0, 160, 7)
    assert (placed.x0_mm, placed.x1_mm) == expected
    assert (placed.y0_mm, placed.y1_mm) == (5.0, 15.0)
    assert placed.area_mm2 == pytest.approx(200 * 2.5 * 0.5)
    assert (placed.first, placed.last, placed.score) == (7, 7, 0.8)
    assert geometry.stretch(1000.0, 160) == (600.0, 1000.0)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_a_scale_is_above_zero(scale: float) -> None:
    """Both are, and the message names the one that is not."""
    with pytest.raises(ValueError, match="mm_per_px_x"):
        Geometry(scale, 1.0)
    with pytest.raises(ValueError, match="mm_per_px_y"):
        Geometry(1.0, scale)


def test_a_scratch_over_three_frames_is_one_defect() -> None:
    """Its parts in adjoining frames are joined, and it is over when no frame can show more."""
    merger = DefectMerger(2.0)
    assert merger.add(0.0, [_defect(80.0, 100.0, first=0)]) == []
    assert merger.add(100.0, [_defect(100.0, 200.0, first=1)]) == []
    assert merger.add(200.0, [_defect(200.0, 230.0, first=2)]) == []
    (scratch,) = merger.add(300.0, [])
    assert (scratch.x0_mm, scratch.x1_mm, scratch.first, scratch.last) == (80.0, 230.0, 0, 2)
    assert scratch.area_mm2 == pytest.approx(1500.0)
    assert merger.open == ()


def test_what_two_frames_show_is_counted_once() -> None:
    """Of a defect that lies in the overlap of two frames the area is that of one."""
    merger = DefectMerger(0.0)
    merger.add(0.0, [_defect(80.0, 100.0, first=0)])
    merger.add(50.0, [_defect(80.0, 100.0, first=1)])
    (defect,) = merger.finish()
    assert defect.area_mm2 == pytest.approx(200.0)
    halves = _defect(0.0, 100.0).joined(_defect(50.0, 150.0))
    assert halves.area_mm2 == pytest.approx(1500.0)


def test_labels_places_and_regions_of_one_frame_stay_apart() -> None:
    """Another label, a gap, another lane, or two regions that do not touch in their frame."""
    merger = DefectMerger(2.0)
    other_lane = Defect("scratches", 20.0, 30.0, 50.0, 60.0, 100.0, 0.5, 1, 1)
    merger.add(0.0, [_defect(20.0, 30.0), _defect(31.0, 40.0)])
    merger.add(10.0, [_defect(20.0, 30.0, "patches", 1), _defect(43.0, 50.0, first=1), other_lane])
    assert len(merger.finish()) == 5


def test_a_part_that_touches_two_joins_them() -> None:
    """A later frame shows that two parts are one defect."""
    merger = DefectMerger(0.0)
    merger.add(0.0, [_defect(0.0, 10.0), _defect(20.0, 30.0)])
    merger.add(5.0, [_defect(8.0, 22.0, first=1)])
    (whole,) = merger.finish()
    assert (whole.x0_mm, whole.x1_mm) == (0.0, 30.0)


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(1, 60)), max_size=30))
def test_no_defect_is_lost(spots: list[tuple[int, int]]) -> None:
    """Every part lies in a defect that was given out, and no two of those touch across frames."""
    merger = DefectMerger(1.0)
    given_out: list[Defect] = []
    parts = [
        _defect(float(start), float(start + length), first=number)
        for number, (start, length) in enumerate(sorted(spots))
    ]
    for part in parts:
        given_out += merger.add(part.x0_mm, [part])
    given_out += merger.finish()
    for part in parts:
        assert any(one.x0_mm <= part.x0_mm and part.x1_mm <= one.x1_mm for one in given_out)
    ordered = sorted(given_out, key=lambda one: one.x0_mm)
    assert all(a.x1_mm + 1.0 < b.x0_mm for a, b in pairwise(ordered))


def test_a_gap_between_parts_is_not_negative() -> None:
    """A negative gap would tear apart what touches."""
    with pytest.raises(ValueError, match="gap_mm"):
        DefectMerger(-1.0)


def test_gaps_are_what_no_frame_judged() -> None:
    """Frames may overlap and come in any order; what is outside of the stretch does not matter."""
    coverage = Coverage()
    for start, end in ((300.0, 400.0), (0.0, 100.0), (90.0, 200.0), (600.0, 700.0)):
        coverage.add(start, end)
    assert list(coverage) == [(0.0, 200.0), (300.0, 400.0), (600.0, 700.0)]
    assert coverage.gaps(50.0, 650.0) == [(200.0, 300.0), (400.0, 600.0)]
    assert coverage.gaps(10.0, 20.0) == []
    assert coverage.gaps(710.0, 720.0) == [(710.0, 720.0)]
    coverage.add(200.0, 300.0)
    assert coverage.gaps(0.0, 400.0) == []


def test_a_stretch_runs_forward() -> None:
    """One that ends before it starts is refused, and so is what is no number."""
    for start, end in ((2.0, 1.0), (float("nan"), 1.0)):
        with pytest.raises(ValueError, match="no stretch"):
            Coverage().add(start, end)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 10)), max_size=30))
def test_coverage_and_gaps_are_the_whole(stretches: list[tuple[int, int]]) -> None:
    """Millimetre by millimetre, what is judged is covered and the rest is a gap."""
    coverage = Coverage()
    judged = [False] * 60
    for start, length in stretches:
        coverage.add(float(start), float(start + length))
        judged[start : start + length] = [True] * length
    gap = [False] * 60
    for low, high in coverage.gaps(0.0, 60.0):
        gap[int(low) : int(high)] = [True] * int(high - low)
    assert gap == [not one for one in judged]
    bounds = [edge for interval in coverage for edge in interval]
    assert bounds == sorted(bounds)
