"""How often a segmenter reports a defect where there is none."""

from __future__ import annotations

import logging
from pathlib import Path

from edge.errors import DataError
from edge.evaluation.picture import picture_folder, pictures_in, read_picture
from edge.evaluation.rows import TileRows
from edge.records import Floats
from edge.tasks.segmentation import SegmentationTask, marks

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
    rows: TileRows[Path] = TileRows(segmenter)
    judged = []
    for path in paths:
        image = read_picture(path)
        if image is None:
            _LOG.warning("%s: left out: not a readable picture", path)
        else:
            judged += [_flagged(scores, segmenter) for _, _, scores, _ in rows.add(path, image)]
    judged += [_flagged(scores, segmenter) for _, _, scores, _ in rows.finish()]
    if not judged:
        raise DataError(f"{data}: none of its {len(paths)} pictures can be read")
    return sum(judged) / len(judged)


def _flagged(scores: Floats, segmenter: SegmentationTask) -> bool:
    """Whether a picture, by its scores (H, W, labels), holds anything."""
    return bool(marks(scores, segmenter.decode.threshold).any())
