"""Scores of pictures one after another, tiles side by side in one input."""

from __future__ import annotations

from typing import Generic, TypeVar

from edge.records import Floats, Image
from edge.tasks.model import Stopwatch
from edge.tasks.segmentation import SegmentationTask
from edge.tasks.tiles import is_tile

Item = TypeVar("Item")


class TileRows(Generic[Item]):
    """Runs a segmenter over pictures in their order; a tile waits until its row is full.

    What comes out is each item with its image, (H, W, 3) uint8 BGR, its scores, (H, W, labels), and
    how many pictures its input held.
    """

    def __init__(self, segmenter: SegmentationTask) -> None:
        self._segmenter = segmenter
        self._row: list[tuple[Item, Image]] = []

    def add(self, item: Item, image: Image) -> list[tuple[Item, Image, Floats, int]]:
        """Take a picture in; what has its scores now comes out.

        Raises
        ------
        NonFiniteOutput, EngineError
            The model failed.
        """
        task = self._segmenter
        if is_tile(image, task.decode, task.manifest.input):
            self._row.append((item, image))
            return self.finish() if len(self._row) == task.decode.tiles else []
        return [*self.finish(), (item, image, task.scores(image, Stopwatch()), 1)]

    def finish(self) -> list[tuple[Item, Image, Floats, int]]:
        """Run the tiles that wait; raises as :meth:`add`."""
        row, self._row = self._row, []
        if not row:
            return []
        scores = self._segmenter.tile_scores([image for _, image in row], Stopwatch())
        tiles = self._segmenter.decode.tiles
        return [(*one, found, tiles) for one, found in zip(row, scores, strict=True)]
