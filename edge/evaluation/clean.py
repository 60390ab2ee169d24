"""How often a segmenter reports a defect where there is none."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from edge.errors import DataError
from edge.evaluation.picture import picture_folder, pictures_in, read_picture
from edge.records import Floats, Image
from edge.tasks.model import Stopwatch
from edge.tasks.segmentation import SegmentationTask, marks
from edge.tasks.tiles import is_tile

_LOG = logging.getLogger(__name__)


def false_alarms(data: Path, segmenter: SegmentationTask) -> float:
    """Share of a folder's pictures in which any label is reported; all of them are free of defects.

    Tiles lie side by side, as in :func:`edge.evaluation.evaluate.evaluate`. Unreadable pictures are
    left out, which the log says.

    Raises
    ------
    DataError
        The folder holds no picture that can be read.
    NonFiniteOutput, EngineError
        The model failed.
    """
    paths = sorted(pictures_in(picture_folder(data)))
    if not paths:
        raise DataError(f"{data}: holds no pictures", hint="name a folder with clean surfaces")
    flagged = judged = 0
    row: list[Image] = []
    tiles = segmenter.decode.tiles

    def judge_row() -> int:
        waiting, row[:] = list(row), []
        return _flagged(segmenter.tile_scores(waiting, Stopwatch()), segmenter) if waiting else 0

    for path in paths:
        image = read_picture(path)
        if image is None:
            _LOG.warning("%s: left out: not a readable picture", path)
            continue
        judged += 1
        if not is_tile(image, segmenter.decode, segmenter.manifest.input):
            flagged += _flagged([segmenter.scores(image, Stopwatch())], segmenter)
            continue
        row.append(image)
        if len(row) == tiles:
            flagged += judge_row()
    flagged += judge_row()
    if not judged:
        raise DataError(f"{data}: none of its {len(paths)} pictures can be read")
    return flagged / judged


def _flagged(scores: Sequence[Floats], segmenter: SegmentationTask) -> int:
    """How many of the pictures, by their scores (H, W, labels), hold anything."""
    return sum(bool(marks(one, segmenter.decode.threshold).any()) for one in scores)
