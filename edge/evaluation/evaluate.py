"""Runs models over labelled pictures: what `linesight eval` says."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge.errors import DataError, UsageError
from edge.evaluation.data import read_pictures
from edge.evaluation.judges import Decided, FaceJudge, Judge, MaskJudge
from edge.tasks.classification import ClassificationTask
from edge.tasks.detection import DetectionTask
from edge.tasks.segmentation import SegmentationTask

_LOG = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
"""Called with the pictures done so far and the number of all."""


def evaluate(
    data: Path,
    *,
    detector: DetectionTask | None = None,
    classifier: ClassificationTask | None = None,
    segmenter: SegmentationTask | None = None,
    only: frozenset[str] | None = None,
    progress: Progress | None = None,
    decided: Decided | None = None,
) -> dict[str, Any]:
    """Measure a detector, a classifier, a station of both, or a segmenter, on labelled pictures.

    Parameters
    ----------
    data
        A folder as :func:`edge.evaluation.data.read_pictures` reads it.
    detector, classifier, segmenter
        One or both of the first two, or the last alone; they stay open.
    only
        Names of the pictures to take, all by default.
    progress
        Hears how far it is.
    decided
        Hears of every labelled item, in an order that the data alone decides; of a station first
        the detector's decisions on a picture, then the classifier's.

    Returns
    -------
    dict
        ``detection``, ``classification``, ``end_to_end``; of a segmenter ``dice``, ``verdict`` and
        ``images``; and ``unreadable``, as `docs/evaluation.md` explains them. What does not apply
        is absent.

    Raises
    ------
    DataError
        The data is absent, breaks its format, or holds nothing that these models can be measured
        on.
    NonFiniteOutput, EngineError
        A model failed.
    """
    judge = _judge(detector, classifier, segmenter, decided or _forget)
    pictures = read_pictures(data, judge.labels, only)
    judge.check(data, pictures)
    unreadable = 0
    for done, picture in enumerate(pictures):
        if progress is not None:
            progress(done, len(pictures))
        image = picture.read()
        if image is None:
            unreadable += 1
            _LOG.warning("%s: left out: not a readable picture", picture.path)
        else:
            judge.judge(picture, image)
    if progress is not None:
        progress(len(pictures), len(pictures))
    if unreadable == len(pictures):
        raise DataError(f"{data}: none of its {len(pictures)} pictures can be read")
    return judge.figures(data) | ({"unreadable": unreadable} if unreadable else {})


def _judge(
    detector: DetectionTask | None,
    classifier: ClassificationTask | None,
    segmenter: SegmentationTask | None,
    decided: Decided,
) -> Judge:
    """The judge for what was given."""
    faces = detector is not None or classifier is not None
    if segmenter is not None and not faces:
        return MaskJudge(segmenter, decided)
    if faces and segmenter is None:
        return FaceJudge(detector, classifier, decided)
    raise UsageError("evaluate: needs a detector, a classifier, both, or a segmenter alone")


def _forget(decision: object) -> None:
    """Nobody wants to hear of single decisions."""
