"""Trainings of the models we ship; `train` picks the right one from the settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from converter.training.settings import (
    ClassifierTraining,
    DetectorTraining,
    SegmenterTraining,
    Training,
)

__all__ = ["ClassifierTraining", "DetectorTraining", "SegmenterTraining", "Training", "train"]


def train(
    settings: Training,
    data: Path,
    out: Path,
    *,
    resume: bool = False,
    progress: Callable[[str], None] = print,
) -> Path:
    """Train what the settings say and return the Keras file; writes ``metrics.json`` and
    ``curve.jsonl`` beside it.

    TensorFlow is imported only here, when it is needed: reading a recipe must not cost seconds.
    """
    match settings:
        case DetectorTraining():
            from converter.training import detector

            return detector.train(settings, data, out, resume=resume, progress=progress)
        case ClassifierTraining():
            from converter.training import classifier

            return classifier.train(settings, data, out, resume=resume, progress=progress)
        case SegmenterTraining():
            from converter.training import segmenter

            return segmenter.train(settings, data, out, resume=resume, progress=progress)
