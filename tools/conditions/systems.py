"""Who looks at the pictures: the shipped models, and the reference's detector."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from converter.reference import SSD_MEAN, SSD_SIDE
from edge.contract.bundle import choose_variant, load_bundle
from edge.engines import open_engine
from edge.errors import DataError
from edge.records import Detections, Frame, Image
from edge.tasks import ClassificationTask, DetectionTask, FaceMaskTask

MODELS = Path(__file__).parents[2] / "models"


class System(Protocol):
    """Finds the faces of a picture."""

    def look(self, image: Image) -> Detections:
        """What it finds in a picture, (H, W, 3) uint8 BGR, at its own threshold."""


class Station:
    """The face_mask station as it ships: both models through the edge's own task.

    Parameters
    ----------
    models
        The folder with the two bundles.
    variant
        Of both; ``auto`` takes each bundle's default for this CPU architecture. A station also
        measures at its first start which variant is faster here: that is not done.
    """

    def __init__(self, models: Path = MODELS, variant: str = "auto") -> None:
        self.names: list[str] = []
        detector, classifier = (
            load_bundle(models / name) for name in ("face_detector", "mask_classifier")
        )
        engines = []
        for bundle in (detector, classifier):
            chosen = choose_variant(bundle.manifest, variant)
            engines.append(open_engine(bundle, chosen))
            self.names.append(f"{bundle.manifest.name} {bundle.manifest.version} {chosen}")
        self._task = FaceMaskTask(
            DetectionTask(detector.manifest, engines[0]),
            ClassificationTask(classifier.manifest, engines[1]),
        )

    def look(self, image: Image) -> Detections:
        """Boxes with the mask state of each."""
        frame = Frame(image, "conditions", 0, 0, 0, datetime.now(UTC))
        found = self._task.observe(frame).result
        assert isinstance(found, Detections)
        return found

    def close(self) -> None:
        """Release the engines."""
        self._task.close()


class ReferenceDetector:
    """The ResNet-10 SSD as the reference system calls it: the whole picture stretched to 300×300,
    the training's mean taken off, boxes from a score of 0.5 on. It says no mask state:
    the weights of the reference's classifier are not at hand.

    Parameters
    ----------
    graph, text
        The network for OpenCV: the TensorFlow graph and its description.
    """

    THRESHOLD = 0.5

    def __init__(self, graph: Path, text: Path) -> None:
        try:
            self._net = cv2.dnn.readNetFromTensorflow(str(graph), str(text))
        except cv2.error as error:
            raise DataError(
                f"{graph}, {text}: OpenCV reads no detector from them: {error}",
                hint="name opencv_face_detector_uint8.pb and opencv_face_detector.pbtxt",
            ) from error

    def look(self, image: Image) -> Detections:
        """Boxes without a mask state."""
        size = (SSD_SIDE, SSD_SIDE)
        self._net.setInput(cv2.dnn.blobFromImage(cv2.resize(image, size), 1.0, size, SSD_MEAN))
        rows = np.asarray(self._net.forward(), np.float32).reshape(-1, 7)
        rows = rows[rows[:, 2] >= self.THRESHOLD]
        height, width = image.shape[:2]
        corners = np.clip(rows[:, 3:7], 0.0, 1.0) * np.array([width, height] * 2, np.float32)
        sides = np.maximum(corners[:, 2:] - corners[:, :2], 0.0)
        scores = np.clip(rows[:, 2], 0.0, 1.0)
        return Detections(np.hstack([corners[:, :2], sides]), scores, ("face",) * len(rows))
