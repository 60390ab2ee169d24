"""The drawn strip: where its defects lie, and that the shipped model finds them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from edge import app
from edge.demo.coil import KNOWN_NOTE, Coil, Planted
from edge.demo.marks import CONTRAST, Label
from edge.demo.planting import ALONE_MM, GAP_MM, ROLL
from edge.line.geometry import Defect, Geometry
from edge.protocols import Task
from edge.records import Box, Frame, Region, Segmentation

MODELS = Path(__file__).parents[4] / "models"
PX = 0.5
WIDTH, HEIGHT = 1600, 256
FRAME_MM = WIDTH * PX
GEOMETRY = Geometry(PX, PX)

ONE_EACH: list[Planted] = [
    Planted("patches", 300.0, 40.0, 44.0, 35.0),
    Planted("inclusion", 400.3, 20.2, 30.1, 8.3),
    Planted("scratches", 500.4, 60.1, 120.0, 10.2),
]


def test_the_same_seed_gives_the_same_bytes() -> None:
    """Whatever was looked at before; another seed, another strip."""
    one, again = Coil.standard(3), Coil.standard(3)
    for position in (9000.0, 123.4, 20_000.7):  # one of them jumps
        one.window(position, WIDTH, HEIGHT)
    assert one.planted == again.planted
    assert np.array_equal(one.window(777.7, WIDTH, HEIGHT), again.window(777.7, WIDTH, HEIGHT))
    other = Coil.standard(4)
    assert other.planted != one.planted
    assert not np.array_equal(
        Coil(3, 1000, 128, PX).window(800.0, 64, 64), Coil(4, 1000, 128, PX).window(800.0, 64, 64)
    )


def test_a_window_is_a_grey_picture_of_ones_own() -> None:
    """(H, W, 3) uint8 with equal channels; writing into it does not change the strip."""
    coil = Coil(1, 1000.0, 128.0, PX, ONE_EACH)
    window = coil.window(700.0, 300, 100)
    assert window.shape == (100, 300, 3)
    assert window.dtype == np.uint8
    assert (window[..., 0] == window[..., 2]).all()
    before = window.copy()
    window[:] = 0
    assert np.array_equal(coil.window(700.0, 300, 100), before)


def test_the_same_steel_looks_the_same_a_few_whole_pixels_on() -> None:
    """Exactly, over the borders of what is drawn at once, before the head and behind the tail."""
    coil = Coil.standard(5, length_mm=3000.0)
    for position in (0.0, 700.0, 1024.0 * PX * 3, 3100.0):
        early = coil.window(position, WIDTH, HEIGHT)
        late = coil.window(position + 7 * PX, WIDTH, HEIGHT)
        assert np.array_equal(early[:, :-7], late[:, 7:])


@pytest.mark.parametrize("part", [0.1, 0.25, 0.5, 0.9])
def test_the_strip_moves_by_fractions_of_a_pixel(part: float) -> None:
    """What lies between two whole positions is between their grey values, in proportion."""
    coil = Coil(1, 1000.0, 128.0, PX, ONE_EACH)
    here, there = (coil.window(650.0 + k * PX, WIDTH, HEIGHT).astype(float) for k in (0, 1))
    between = coil.window(650.0 + part * PX, WIDTH, HEIGHT)
    assert np.abs(between - ((1 - part) * here + part * there)).max() <= 1.0


@pytest.mark.parametrize("position", [700.0, 700.2, 811.13, 1050.49])
@pytest.mark.parametrize("planted", ONE_EACH, ids=lambda one: one.label)
def test_a_defect_is_seen_where_the_geometry_places_it(planted: Planted, position: float) -> None:
    """The pixels that it changes, placed on the strip, are its rectangle within a pixel."""
    clean, marked = Coil(1, 2000.0, 128.0, PX), Coil(1, 2000.0, 128.0, PX, [planted])
    change = marked.window(position, WIDTH, HEIGHT).astype(int)[..., 0]
    change -= clean.window(position, WIDTH, HEIGHT)[..., 0]
    rows, columns = np.nonzero(np.abs(change) > 0.35 * abs(CONTRAST[planted.label]))
    box = Box(
        float(columns.min()), float(rows.min()),
        float(np.ptp(columns)) + 1, float(np.ptp(rows)) + 1,
    )  # fmt: skip
    seen = GEOMETRY.place(
        Region(planted.label, box, 1.0, 1.0, 1.0, 1.0), position, WIDTH, sequence=0
    )
    assert seen.x0_mm == pytest.approx(planted.x_mm, abs=PX)
    assert seen.x1_mm == pytest.approx(planted.x_mm + planted.len_mm, abs=PX)
    assert seen.y0_mm == pytest.approx(planted.y_mm, abs=PX)
    assert seen.y1_mm == pytest.approx(planted.y_mm + planted.wid_mm, abs=PX)


def test_defects_are_as_dark_and_bright_as_they_should_be() -> None:
    """Also one that lies across three pieces of the strip that are drawn apart."""
    long = Planted("scratches", 200.0, 60.0, 1200.0, 12.0)
    clean, marked = Coil(1, 2000.0, 128.0, PX), Coil(1, 2000.0, 128.0, PX, [long])
    change = marked.window(1500.0, 3000, HEIGHT).astype(int)[..., 0]
    change -= clean.window(1500.0, 3000, HEIGHT)[..., 0]
    columns = np.flatnonzero(change.max(axis=0) > 0.4 * CONTRAST["scratches"])
    assert np.array_equal(columns, np.arange(columns[0], columns[-1] + 1))
    assert len(columns) == pytest.approx(1200 / PX, abs=4)


@pytest.mark.parametrize("seed", range(5))
def test_the_standard_strip_holds_every_kind(seed: int) -> None:
    """All labels, a scratch longer than a frame; all on the strip and clear of each other."""
    coil = Coil.standard(seed)
    assert {one.label for one in coil.planted} == set(CONTRAST)
    assert max(one.len_mm for one in coil.planted) > FRAME_MM
    for k, one in enumerate(coil.planted):
        for other in coil.planted[:k]:
            if one.label == other.label:
                assert one.apart(other, GAP_MM)
            else:
                assert one.apart_along(other, ALONE_MM)


def test_a_damaged_roll_prints_once_a_turn() -> None:
    """In one lane at the roll's circumference, from somewhere on; a sound one does not."""
    coil = Coil.standard(1, roll_mm=180.0)
    prints = [one for one in coil.planted if one.roll == ROLL]
    steps = np.diff([one.x_mm for one in prints])
    assert len(prints) >= 30
    assert steps == pytest.approx(np.pi * 180.0)
    assert len({(one.y_mm, one.len_mm, one.wid_mm, one.label) for one in prints}) == 1
    assert not [one for one in Coil.standard(1, roll_mm=None).planted if one.roll]


def test_a_small_strip_gets_what_fits() -> None:
    """A sheet of 30 mm is too narrow for some, one of 15 mm too narrow for all."""
    narrow = Coil.standard(1, length_mm=2000.0, width_mm=35.0)
    assert "patches" not in {one.label for one in narrow.planted}
    assert narrow.planted
    assert Coil.standard(1, length_mm=400.0, width_mm=15.0).planted == ()


def test_strips_and_windows_that_cannot_be_are_refused() -> None:
    """The mistake is named."""
    with pytest.raises(ValueError, match="above 0"):
        Coil(1, 0.0, 128.0, PX)
    with pytest.raises(ValueError, match="less than a pixel"):
        Coil(1, 100.0, 0.1, PX)
    with pytest.raises(ValueError, match="does not lie on the strip"):
        Coil(1, 340.0, 128.0, PX, ONE_EACH[:1])
    with pytest.raises(ValueError, match="257 pixels of a strip 256"):
        Coil(1, 100.0, 128.0, PX).window(0.0, 10, 257)
    with pytest.raises(ValueError, match="len_mm"):
        Planted("patches", 0.0, 0.0, 0.0, 1.0)
    with pytest.raises(ValueError, match="is none of"):
        Planted("rust", 0.0, 0.0, 1.0, 1.0)  # type: ignore[arg-type]


def test_the_note_says_what_it_is() -> None:
    """Nobody is to take the picture for a camera's."""
    assert "synthetic" in KNOWN_NOTE
    assert "planted" in KNOWN_NOTE


@pytest.fixture(scope="module")
def task() -> Iterator[Task]:
    """The station's, with the shipped model."""
    opened = app.open_task("steel_defect", ["steel_defect"], models=MODELS, threads=1)
    yield opened
    opened.close()


def _seen(task: Task, coil: Coil) -> list[Defect]:
    """What the model tells of a strip in frames that overlap by half."""
    found = []
    for k in range(int(2 * coil.length_mm / FRAME_MM) + 2):
        position = 37.3 + k * FRAME_MM / 2
        image = coil.window(position, WIDTH, HEIGHT)
        result = task.observe(Frame(image, "c", k, 1, 1, datetime.now(UTC))).result
        assert isinstance(result, Segmentation)
        found += [GEOMETRY.place(region, position, WIDTH, k) for region in result.regions]
    return found


def _hits(planted: Planted, defects: list[Defect], label: Label | None = None) -> list[Defect]:
    at = Defect(
        planted.label, planted.x_mm, planted.x_mm + planted.len_mm,
        planted.y_mm, planted.y_mm + planted.wid_mm, 1.0, 1.0, 0, 0,
    )  # fmt: skip
    return [
        one
        for one in defects
        if label in (None, one.label)
        and min(one.x1_mm, at.x1_mm) > max(one.x0_mm, at.x0_mm)
        and min(one.y1_mm, at.y1_mm) > max(one.y0_mm, at.y0_mm)
    ]


def test_the_shipped_model_finds_what_was_planted(task: Task) -> None:
    """Every print of the roll and nearly all others, by their names, and nothing beside them."""
    coil = Coil.standard(1, length_mm=12_000.0)
    defects = _seen(task, coil)
    found = [one for one in coil.planted if _hits(one, defects, one.label)]
    prints = [one for one in coil.planted if one.roll]
    assert len(prints) >= 12
    assert [one for one in prints if one not in found] == []
    assert len(found) >= 0.95 * len(coil.planted)
    assert {one.label for one in found} == set(CONTRAST)
    explained = [one for planted in coil.planted for one in _hits(planted, defects)]
    assert [one for one in defects if one not in explained] == []


def test_the_shipped_model_finds_nothing_on_a_clean_strip(task: Task) -> None:
    """Ten metres without a defect, without a region."""
    assert _seen(task, Coil(5, 10_000.0, 128.0, PX)) == []
