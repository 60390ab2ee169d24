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
from edge.records import Floats, Image
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
    """Run the models on one picture."""
    watch = Stopwatch()
    found: dict[int, Floats] = {}
    if detector is not None and picture.boxes is not None:
        detections = detector.detect(image, watch, threshold=min(FLOOR, detector.threshold))
        matched = match(detections.boxes, detections.scores, picture.boxes)
        tally.matched.append(matched)
        counted = (matched.truth >= 0) & (matched.scores >= np.float32(detector.threshold))
        found = {int(matched.truth[k]): detections.boxes[k] for k in np.flatnonzero(counted)}
    if classifier is None:
        return
    if picture.boxes is None:
        (said,) = classifier.classify([image], watch)
        tally.verdicts.append(Verdict(picture.labels[0], said.label, picture.group))
        return
    labels = classifier.manifest.labels
    faces = [k for k, truth in enumerate(picture.labels) if truth in (*labels, MASK_INCORRECT)]
    found_faces = [k for k in faces if k in found and picture.labels[k] in labels]
    # True boxes and found ones in one engine call.
    boxes = [*(picture.boxes[k] for k in faces), *(found[k] for k in found_faces)]
    states = classifier.classify_boxes(image, np.reshape(boxes, (-1, 4)), watch)
    for k, state in zip(faces, states[: len(faces)], strict=True):
        tally.verdicts.append(Verdict(picture.labels[k], state.label, picture.group))
    if detector is not None:
        tally.labelled_faces += sum(picture.labels[k] in labels for k in faces)
        for k, state in zip(found_faces, states[len(faces) :], strict=True):
            tally.found_and_right += picture.labels[k] == state.label


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
