"""Faces in a frame, and whether each wears a mask."""

from __future__ import annotations

from dataclasses import replace

from edge.errors import ModelError
from edge.records import Frame, Observation
from edge.tasks.classification import ClassificationTask
from edge.tasks.detection import DetectionTask
from edge.tasks.model import Stopwatch

LABELS = frozenset({"with_mask", "without_mask"})
"""What the classifier must tell apart, in either order."""


class FaceMaskTask:
    """Detects faces, then classifies all of a frame's faces in one engine call.

    Used by one thread.

    Parameters
    ----------
    detector, classifier
        The two models; the task takes them over and closes them.

    Attributes
    ----------
    model
        The classifier's file, since its labels are what the rule judges.

    Raises
    ------
    ModelError
        The classifier's labels are not ``with_mask`` and ``without_mask``.
    """

    def __init__(self, detector: DetectionTask, classifier: ClassificationTask) -> None:
        labels = classifier.manifest.labels
        if set(labels) != LABELS:
            raise ModelError(
                f"model {classifier.manifest.name}: its labels are {', '.join(labels)}; face_mask "
                f"needs {' and '.join(sorted(LABELS))} beside {detector.manifest.name}",
                hint="name another bundle in [models].classifier",
            )
        self._detector = detector
        self._classifier = classifier
        self.model = classifier.model

    def observe(self, frame: Frame) -> Observation:
        """Judge one frame; the result is ``Detections`` with a classification of each box.

        The timings are sums over both models.

        Raises
        ------
        NonFiniteOutput
            One of the models gave NaN or infinity; there is no result.
        EngineError
            The runtime failed.
        """
        watch = Stopwatch()
        faces = self._detector.detect(frame.image, watch)
        states = self._classifier.classify_boxes(frame.image, faces.boxes, watch)
        result = replace(faces, classifications=states)
        return Observation(frame.header, result, self.model, watch.timings)

    def close(self) -> None:
        """Release both engines. Harmless when called twice."""
        self._detector.close()
        self._classifier.close()
