"""Observations of faces without a camera or a model."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from edge.records import Classification, Detections, Header, ModelRef, Observation, Timings

LABELS = ("with_mask", "without_mask")
MODEL = ModelRef("mask_classifier", "1", "float32", "0" * 64)
START = datetime(2025, 1, 1, tzinfo=UTC)

Face = tuple[float, float, float, float, float]
"""x, y, width, height in pixels and the score of ``without_mask``."""


def header(sequence: int, at_s: float, size: tuple[int, int] = (640, 480)) -> Header:
    """A frame's header, ``at_s`` seconds after the start."""
    at_ns = round(at_s * 1e9)
    moment = START + timedelta(seconds=at_s)
    return Header("door", sequence, at_ns, at_ns, moment, *size)


def observed(
    sequence: int,
    at_s: float,
    faces: Sequence[Face] = (),
    size: tuple[int, int] = (640, 480),
) -> Observation:
    """What a face_mask task says of a frame with these faces, in this order."""
    table = np.array(faces, np.float32).reshape(-1, 5)
    states = tuple(
        Classification(LABELS, np.array([1 - bare, bare], np.float32)) for bare in table[:, 4]
    )
    detections = Detections(
        np.ascontiguousarray(table[:, :4]),
        np.full(len(table), 0.9, np.float32),
        ("face",) * len(table),
        states,
    )
    return Observation(header(sequence, at_s, size), detections, MODEL, Timings())
