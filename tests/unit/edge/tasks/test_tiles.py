"""Square pictures side by side in one input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edge.contract.manifest import Manifest
from edge.tasks import SegmentationTask
from edge.tasks.model import Stopwatch
from edge.tasks.segmentation import segmentation_decode
from edge.tasks.tiles import is_tile, lay_tiles
from tests.helpers.colours import ColourEngine, colour_manifest, paint

TILE = (16, 8)
"""Four of these in an input of 16×32."""


def _four(**decode: Any) -> Manifest:
    return colour_manifest(tiles=4, **decode)


@pytest.mark.parametrize(
    ("size", "tile"), [((16, 8), True), ((40, 35), True), ((16, 32), False), ((256, 600), False)]
)
def test_a_tile_is_told_by_its_shape(size: tuple[int, int], tile: bool) -> None:
    """What is more like a quarter of the input than like all of it is a tile, whatever its size."""
    of = _four()
    assert is_tile(paint(size), segmentation_decode(of), of.input) == tile
    one = colour_manifest()
    assert not is_tile(paint(size), segmentation_decode(one), one.input)


def test_tiles_lie_side_by_side() -> None:
    """Each is stretched to its place; where there are fewer than places, they come again."""
    of = _four()
    grey = [np.full((size, size, 3), 10 * size, np.uint8) for size in (5, 9, 16)]
    strip = lay_tiles(grey, 4, of.input)
    assert strip.shape == (16, 32, 3)
    assert strip[7, ::8, 0].tolist() == [50, 90, 160, 50]
    for count in (0, 5):
        with pytest.raises(ValueError, match="needs 1 to 4"):
            lay_tiles(grey[:1] * count, 4, of.input)


def test_each_tile_gets_its_own_scores() -> None:
    """Scores come back in each tile's own size, and from its own pixels only."""
    of = _four(min_area=4)
    task = SegmentationTask(of, ColourEngine(of))
    red = paint(TILE, ("red", slice(2, 6), slice(1, 5)))
    blue = paint((32, 16), ("blue", slice(8, 16), slice(4, 12)))
    first, second, third = task.tile_scores([red, blue, paint(TILE)], Stopwatch())
    assert np.argwhere(first >= 0.5).tolist() == [
        [y, x, 0] for y in range(2, 6) for x in range(1, 5)
    ]
    assert second.shape == (32, 16, 3)
    assert np.count_nonzero(second[..., 2] >= 0.5) == 64
    assert not second[..., :2].any()
    assert not third.any()


@pytest.mark.parametrize(("least", "reported"), [(4, True), (5, False)])
def test_the_least_area_is_asked_of_each_tile(least: int, reported: bool) -> None:
    """Two tiles with four pixels each are not one with eight."""
    of = _four(min_area=least)
    task = SegmentationTask(of, ColourEngine(of))
    spot = paint(TILE, ("red", slice(2, 4), slice(1, 3)))
    for scores in task.tile_scores([spot, spot], Stopwatch()):
        assert bool((scores >= 0.5).any()) == reported
