"""Passes and tiles of the detector, on pictures whose faces are white dots."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("tensorflow", reason="the table is made with the convert extra")

from tools import detector_sizes
from tools.detector_sizes import OVERLAP, Pass, View, look, main, tiles
from tools.train_folds import RECIPE

pytestmark = pytest.mark.convert

SIDE = 10
"""Of the box around a white dot."""


class Dots(Pass):
    """Finds every white dot that is in the middle of a box, as sure as it was told to be."""

    def __init__(self, score: float = 0.9, shift: float = 0.0) -> None:
        self.seen: list[tuple[int, ...]] = []
        self._score, self._shift = score, shift

    def detect(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        self.seen.append(image.shape)
        y, x = np.nonzero(image[..., 0] == 255)
        half = SIDE / 2
        boxes = np.stack([x - half, y - half, x + half, y + half], axis=1) + self._shift
        return boxes.astype(np.float32), np.full(len(boxes), self._score, np.float32)


def dotted(*dots: tuple[int, int]) -> NDArray[np.uint8]:
    """A dark picture of 200×100 with white dots at (x, y)."""
    image = np.zeros((100, 200, 3), np.uint8)
    for x, y in dots:
        image[y, x] = 255
    return image


def boxes_of(*dots: tuple[float, float]) -> list[list[float]]:
    """The boxes around these dots."""
    half = SIDE / 2
    return [[x - half, y - half, x + half, y + half] for x, y in dots]


@pytest.mark.parametrize("shape", [(100, 200), (97, 131), (480, 640)])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_tiles_cover_the_picture_and_overlap(shape: tuple[int, int], count: int) -> None:
    """Each tile is the picture from its corner on; together they leave no pixel out, and
    neighbours have their share of a tile in common.
    """
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    found = tiles(image, count)
    assert len(found) == count**2
    covered = np.zeros(shape, int)
    for view, (left, top) in found:
        rows, columns = view.shape[:2]
        assert np.array_equal(view, image[top : top + rows, left : left + columns])
        assert view.shape == found[0][0].shape
        covered[top : top + rows, left : left + columns] += 1
    assert covered.min() == 1
    rows, columns = found[0][0].shape[:2]
    for places, side in (
        (sorted({left for _, (left, _) in found}), columns),
        (sorted({top for _, (_, top) in found}), rows),
    ):
        assert len(places) == count
        shared = [a + side - b for a, b in pairwise(places)]
        assert all(OVERLAP * side - 1 <= overlap < 0.3 * side for overlap in shared)


def test_one_tile_is_the_whole_picture() -> None:
    """Without tiles nothing is cut and nothing moves."""
    image = dotted((3, 4))
    ((view, corner),) = tiles(image, 1)
    assert (view.shape, corner) == (image.shape, (0, 0))


def test_one_pass_is_taken_as_it_is() -> None:
    """A road of one view gives what its pass finds, in its order, overlapping boxes too."""
    image = dotted((50, 40), (51, 40))
    boxes, scores = look((View(64, 96),), {(64, 96): Dots()}, image)
    assert boxes.tolist() == boxes_of((50, 40), (51, 40))
    assert scores == pytest.approx([0.9, 0.9])


def test_boxes_of_tiles_are_told_in_the_picture() -> None:
    """A face is found where it is, whatever tile it lies in, and once where tiles overlap."""
    dots = ((20, 20), (180, 20), (20, 80), (180, 80), (100, 50))
    finder = Dots()
    boxes, scores = look((View(64, 96, tiles=2),), {(64, 96): finder}, dotted(*dots))
    assert sorted(boxes.tolist()) == sorted(boxes_of(*dots))
    assert len(scores) == len(dots)
    assert finder.seen == [(56, 112, 3)] * 4


def test_the_surer_pass_wins_where_two_see_the_same() -> None:
    """Of two boxes around one face the better one stays; what one pass alone finds stays too."""
    road: Sequence[View] = (View(64, 96), View(32, 48))
    near = {(64, 96): Dots(0.6), (32, 48): Dots(0.8, shift=1.0)}
    boxes, scores = look(road, near, dotted((50, 40)))
    assert boxes.tolist() == boxes_of((51, 41))
    assert scores == pytest.approx([0.8])
    far = {(64, 96): Dots(0.6), (32, 48): Dots(0.8, shift=SIDE)}
    boxes, scores = look(road, far, dotted((50, 40)))
    assert boxes.tolist() == boxes_of((60, 50), (50, 40))
    assert scores == pytest.approx([0.8, 0.6])


def test_nothing_found_is_no_error() -> None:
    """A picture without a face has no boxes on any road."""
    for road in ((View(64, 96),), (View(64, 96), View(64, 96, tiles=2))):
        boxes, scores = look(road, {(64, 96): Dots()}, dotted())
        assert (boxes.shape, scores.shape) == ((0, 4), (0,))


def test_a_recipe_without_a_detector_ends_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 78, the recipe and the reason, before any data is read."""
    other = RECIPE.parents[1] / "mask_classifier" / "recipe.toml"
    monkeypatch.setattr(detector_sizes, "RECIPE", other)
    assert main(["--data", str(tmp_path / "nowhere")]) == 78
    said = capsys.readouterr()
    assert said.err.startswith(f"{other}: trains no detector (")
    assert (said.err.count("\n"), said.out) == (1, "")
