"""Hold what models say of one picture after another against its truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from edge.contract.transform import Transform
from edge.errors import DataError
from edge.evaluation.classification import (
    MASK_INCORRECT,
    Verdict,
    classification_figures,
    end_to_end_figures,
)
from edge.evaluation.decision import Decision
from edge.evaluation.detection import Matched, detection_figures, match
from edge.evaluation.picture import LabelledPicture
from edge.evaluation.rows import TileRows
from edge.evaluation.segmentation import Overlap, overlaps, segmentation_figures
from edge.records import Classification, Floats, Image
from edge.tasks.classification import ClassificationTask
from edge.tasks.detection import DetectionTask
from edge.tasks.model import Stopwatch
from edge.tasks.segmentation import SegmentationTask, least_pixels

FLOOR = 0.05
"""Detections below the manifest's threshold, down to this score, count in ``ap`` and in
``at_precision`` alone."""

Decided = Callable[[Decision], None]
"""Takes what a model decided on one item."""


class Judge(Protocol):
    """Runs models on pictures and keeps what it takes to make figures of it.

    ``labels`` are those that the data is read with, see :func:`edge.evaluation.data.read_pictures`.
    """

    labels: tuple[str, ...]

    def check(self, data: Path, pictures: Sequence[LabelledPicture]) -> None:
        """Make sure that the pictures' truth is of the kind that these models can be measured on.

        Raises
        ------
        DataError
            It is of another.
        """

    def judge(self, picture: LabelledPicture, image: Image) -> None:
        """Run the models on one picture, (H, W, 3) uint8 BGR.

        Raises
        ------
        DataError
            Its truth does not fit the picture.
        NonFiniteOutput, EngineError
            A model failed.
        """

    def figures(self, data: Path) -> dict[str, Any]:
        """What `docs/evaluation.md` explains; a section that does not apply is absent.

        Raises
        ------
        DataError
            Nothing could be judged.
        """


class FaceJudge:
    """Judges a detector, a classifier, or a station of both; see :class:`Judge`."""

    def __init__(
        self,
        detector: DetectionTask | None,
        classifier: ClassificationTask | None,
        decided: Decided,
    ) -> None:
        self._detector = detector
        self._classifier = classifier
        self._decided = decided
        self._matched: list[Matched] = []
        self._verdicts: list[Verdict] = []
        self._end_to_end: list[tuple[int, int]] = []
        self.labels: tuple[str, ...] = ()
        if classifier is not None:
            self.labels = (*classifier.manifest.labels, MASK_INCORRECT)

    def check(self, data: Path, pictures: Sequence[LabelledPicture]) -> None:
        """Masks are no truth for faces."""
        if any(picture.masks is not None for picture in pictures):
            raise DataError(
                f"{data}: its truth is masks, which measure no detector or classifier",
                hint="name a bundle for segmentation, or data with boxes or class folders",
            )

    def judge(self, picture: LabelledPicture, image: Image) -> None:
        """Detect, then classify true and found boxes; or classify the whole picture."""
        watch = Stopwatch()
        found: dict[int, Floats] = {}
        if self._detector is not None and picture.boxes is not None:
            found = self._detect(self._detector, picture, picture.boxes, image, watch)
        if self._classifier is None:
            return
        if picture.boxes is not None:
            self._classify(self._classifier, picture, picture.boxes, image, found, watch)
            return
        (said,) = self._classifier.classify([image], watch)
        self._verdict(picture, 0, said, None)

    def figures(self, data: Path) -> dict[str, Any]:
        """``detection``, ``classification`` and ``end_to_end``."""
        figures: dict[str, Any] = {}
        if self._detector is not None and self._matched:
            figures["detection"] = detection_figures(self._matched, self._detector.threshold)
        if self._classifier is not None:
            section = classification_figures(self._verdicts, self._classifier.manifest.labels)
            if section is not None:
                figures["classification"] = section
        if any(faces for _, faces in self._end_to_end):
            figures["end_to_end"] = end_to_end_figures(self._end_to_end)
        if not figures:
            raise DataError(
                f"{data}: no face has one of the labels {', '.join(self.labels)}",
                hint="a classifier needs faces whose mask state is labelled",
            )
        return figures

    def _detect(
        self,
        detector: DetectionTask,
        picture: LabelledPicture,
        truth: Floats,
        image: Image,
        watch: Stopwatch,
    ) -> dict[int, Floats]:
        """Boxes found at the manifest's threshold, by the true box that each one found."""
        detections = detector.detect(image, watch, threshold=min(FLOOR, detector.threshold))
        height, width = image.shape[:2]
        scale = Transform.fit(height, width, detector.manifest.input).scale
        matched = match(detections.boxes, detections.scores, truth, scale)
        self._matched.append(matched)
        counted = (matched.truth >= 0) & (matched.scores >= np.float32(detector.threshold))
        found = {int(matched.truth[k]): detections.boxes[k] for k in np.flatnonzero(counted)}
        scores = dict(zip(matched.truth.tolist(), matched.scores.tolist(), strict=True))
        for face in range(matched.faces):
            said = "found" if face in found else "missed"
            self._decided(Decision(picture.name, face, "found", said, scores.get(face, 0.0)))
        return found

    def _classify(
        self,
        classifier: ClassificationTask,
        picture: LabelledPicture,
        truth: Floats,
        image: Image,
        found: Mapping[int, Floats],
        watch: Stopwatch,
    ) -> None:
        """Judge the true boxes, and for the end-to-end figure the found ones."""
        labels = classifier.manifest.labels
        faces = [k for k, label in enumerate(picture.labels) if label in self.labels]
        found_faces = [k for k in faces if k in found and picture.labels[k] in labels]
        # True boxes and found ones in one engine call.
        boxes = [*(truth[k] for k in faces), *(found[k] for k in found_faces)]
        states = classifier.classify_boxes(image, np.reshape(boxes, (-1, 4)), watch)
        for k, state in zip(faces, states[: len(faces)], strict=True):
            self._verdict(picture, k, state, float(truth[k, 2]))
        if self._detector is not None:
            pairs = zip(found_faces, states[len(faces) :], strict=True)
            right = sum(picture.labels[k] == state.label for k, state in pairs)
            labelled = sum(picture.labels[k] in labels for k in faces)
            self._end_to_end.append((right, labelled))

    def _verdict(
        self, picture: LabelledPicture, item: int, said: Classification, width: float | None
    ) -> None:
        truth = picture.labels[item]
        self._verdicts.append(
            Verdict(picture.name, truth, said.label, said.score, picture.group, width)
        )
        if truth in said.labels:
            score = said.score_of(truth)
            self._decided(Decision(picture.name, item, truth, said.label, score))


class MaskJudge:
    """Judges a segmenter; see :class:`Judge`."""

    def __init__(self, segmenter: SegmentationTask, decided: Decided) -> None:
        self._segmenter = segmenter
        self._decided = decided
        self._pictures: list[list[Overlap]] = []
        self._rows: TileRows[LabelledPicture] = TileRows(segmenter)
        self.labels = segmenter.manifest.labels

    def check(self, data: Path, pictures: Sequence[LabelledPicture]) -> None:
        """Only masks are truth for a segmenter."""
        if any(picture.masks is None for picture in pictures):
            raise DataError(
                f"{data}: its truth is not masks, which a segmentation needs",
                hint="needs train.csv or masks/, and no annotations.json",
            )

    def judge(self, picture: LabelledPicture, image: Image) -> None:
        """Segment, and hold each label's scores against its mask; tiles wait for their row."""
        for held in self._rows.add(picture, image):
            self._hold(*held)

    def _hold(self, picture: LabelledPicture, image: Image, scores: Floats, tiles: int) -> None:
        """Hold the scores of a picture, one of ``tiles`` in its input, against its truth."""
        if picture.masks is None:
            raise DataError(f"{picture.path}: has no masks")
        height, width = image.shape[:2]
        truth = picture.masks.read(self.labels, height, width)
        decode = self._segmenter.decode
        least_px = least_pixels(height, width, self._segmenter.manifest, tiles)
        found = overlaps(truth, scores, decode.threshold, least_px)
        self._pictures.append(found)
        words = {True: "present", False: "absent"}
        for k, overlap in enumerate(found):
            said = (words[overlap.truth], words[overlap.found])
            self._decided(Decision(picture.name, k, *said, overlap.surety))

    def figures(self, data: Path) -> dict[str, Any]:
        """``dice``, ``verdict`` and ``images``."""
        for held in self._rows.finish():
            self._hold(*held)
        return segmentation_figures(self._pictures, self.labels)
