"""Runs models over labelled pictures: what `linesight eval` says."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edge.errors import DataError, UsageError
from edge.evaluation.classification import MASK_INCORRECT, Verdict, classification_figures
from edge.evaluation.data import LabelledPicture, read_pictures
from edge.evaluation.detection import Matched, detection_figures, match
from edge.records import Image
from edge.tasks.classification import ClassificationTask
from edge.tasks.detection import DetectionTask
from edge.tasks.model import Stopwatch

_LOG = logging.getLogger(__name__)

FLOOR = 0.05
"""Detections below the manifest's threshold, down to this score, count in the AP alone."""

Progress = Callable[[int, int], None]
"""Called with the pictures done so far and the number of all."""


@dataclass(slots=True)
class _Tally:
    """What was seen so far."""

    matched: list[Matched] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    labelled_faces: int = 0
    found_and_right: int = 0
    unreadable: int = 0


def evaluate(
    data: Path,
    *,
    detector: DetectionTask | None = None,
    classifier: ClassificationTask | None = None,
    only: frozenset[str] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure a detector, a classifier, or a station of both, on labelled pictures.

    Parameters
    ----------
    data
        A folder as :func:`edge.evaluation.data.read_pictures` reads it.
    detector, classifier
        At least one of them; they stay open.
    only
        Names of the pictures to take, all by default.
    progress
        Hears how far it is.

    Returns
    -------
    dict
        ``detection``, ``classification``, ``end_to_end`` and ``unreadable`` as `docs/evaluation.md`
        explains them; what does not apply is absent.

    Raises
    ------
    DataError
        The data is absent, breaks its format, or holds nothing that these models can be measured
        on.
    NonFiniteOutput, EngineError
        A model failed.
    """
    if detector is None and classifier is None:
        raise UsageError("evaluate: needs a detector or a classifier")
    labels = () if classifier is None else (*classifier.manifest.labels, MASK_INCORRECT)
    pictures = read_pictures(data, labels, only)
    if classifier is None and all(picture.boxes is None for picture in pictures):
        raise DataError(f"{data}: has no boxes", hint="a detector needs annotations.json (COCO)")
    tally = _Tally()
    for done, picture in enumerate(pictures):
        if progress is not None:
            progress(done, len(pictures))
        image = picture.read()
        if image is None:
            tally.unreadable += 1
            _LOG.warning("%s: left out: not a readable picture", picture.path)
        else:
            _judge(tally, picture, image, detector, classifier)
    if progress is not None:
        progress(len(pictures), len(pictures))
    if tally.unreadable == len(pictures):
        raise DataError(f"{data}: none of its {len(pictures)} pictures can be read")
    figures = _figures(tally, detector, classifier)
    if not figures:
        raise DataError(
            f"{data}: no face has one of the labels {', '.join(labels)}",
            hint="a classifier needs faces whose mask state is labelled",
        )
    return figures | ({"unreadable": tally.unreadable} if tally.unreadable else {})


def _judge(
    tally: _Tally,
    picture: LabelledPicture,
    image: Image,
    detector: DetectionTask | None,
    classifier: ClassificationTask | None,
) -> None:
    """Run the models on one picture; true boxes and found ones are classified in one call."""
    watch = Stopwatch()
    if picture.boxes is None:
        if classifier is not None:
            (said,) = classifier.classify([image], watch)
            tally.verdicts.append(Verdict(picture.labels[0], said.label, picture.group))
        return
    matched = None
    boxes = np.zeros((0, 4), np.float32)
    if detector is not None:
        detections = detector.detect(image, watch, threshold=min(FLOOR, detector.threshold))
        matched = match(detections.boxes, detections.scores, picture.boxes)
        tally.matched.append(matched)
        boxes = detections.boxes
    if classifier is None:
        return
    judged = (*classifier.manifest.labels, MASK_INCORRECT)
    rows = [row for row, label in enumerate(picture.labels) if label in judged]
    # Only what found such a face is worth a classification.
    hits: dict[int, int] = {}
    if matched is not None and detector is not None:
        counted = matched.scores >= np.float32(detector.threshold)
        hits = {
            int(face): row
            for row, face in enumerate(matched.truth)
            if counted[row] and picture.labels[face] in classifier.manifest.labels and face >= 0
        }
    both = np.concatenate([picture.boxes[rows], boxes[list(hits.values())]])
    said_of = [one.label for one in classifier.classify_boxes(image, both, watch)]
    for row, said_label in zip(rows, said_of, strict=False):
        tally.verdicts.append(Verdict(picture.labels[row], said_label, picture.group))
    if matched is not None:
        tally.labelled_faces += sum(label in classifier.manifest.labels for label in picture.labels)
        tally.found_and_right += sum(
            picture.labels[face] == said_label
            for face, said_label in zip(hits, said_of[len(rows) :], strict=True)
        )


def _figures(
    tally: _Tally, detector: DetectionTask | None, classifier: ClassificationTask | None
) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    if detector is not None and tally.matched:
        figures["detection"] = detection_figures(tally.matched, detector.threshold)
    if classifier is not None:
        section = classification_figures(tally.verdicts, classifier.manifest.labels)
        if section is not None:
            figures["classification"] = section
    if tally.labelled_faces:
        figures["end_to_end"] = {"accuracy": tally.found_and_right / tally.labelled_faces}
    return figures
