"""Turns a frame into a result: preprocess, infer, decode.

Each task is built from a manifest and the engine that runs a variant of it:
``DetectionTask(manifest, engine)``, ``ClassificationTask(manifest, engine)``, and the station's
``FaceMaskTask(detector, classifier)`` from one of each.
"""

from edge.tasks.classification import ClassificationTask, decode_classifications
from edge.tasks.detection import DetectionTask, decode_detections
from edge.tasks.face_mask import FaceMaskTask

__all__ = [
    "ClassificationTask",
    "DetectionTask",
    "FaceMaskTask",
    "decode_classifications",
    "decode_detections",
]
