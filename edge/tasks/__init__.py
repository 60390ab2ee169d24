"""Turns a frame into a result: preprocess, infer, decode.

Each task is built from a manifest and the engine that runs a variant of it:
``DetectionTask(manifest, engine)``, ``ClassificationTask(manifest, engine)``,
``SegmentationTask(manifest, engine)``, and the station's ``FaceMaskTask(detector, classifier)``
from one of the first and one of the second.
"""

from edge.tasks.classification import ClassificationTask, decode_classifications
from edge.tasks.detection import DetectionTask, decode_detections
from edge.tasks.face_mask import FaceMaskTask
from edge.tasks.segmentation import SegmentationTask

__all__ = [
    "ClassificationTask",
    "DetectionTask",
    "FaceMaskTask",
    "SegmentationTask",
    "decode_classifications",
    "decode_detections",
]
