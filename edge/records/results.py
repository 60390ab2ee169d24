"""What a task says of a frame: a closed union of typed results in image pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.records.arrays import Floats, checked_array, fraction, frozen_array, unit_interval


@dataclass(frozen=True, slots=True)
class Box:
    """An upright rectangle in image pixels."""

    x: float
    y: float
    width: float
    height: float

    def __post_init__(self) -> None:
        finite = math.isfinite  # a loop over the four would take twice as long
        if not (finite(self.x) and finite(self.y) and finite(self.width) and finite(self.height)):
            raise ValueError("Box: holds NaN or infinity")
        if self.width < 0 or self.height < 0:
            raise ValueError("Box: negative size")

    def scaled(self, across: float, down: float) -> Box:
        """The same part of an image that is so many times as wide and high."""
        return Box(self.x * across, self.y * down, self.width * across, self.height * down)


@dataclass(frozen=True, slots=True, eq=False)
class Classification:
    """One score in [0, 1] for each label: ``scores`` is (C,) float32."""

    labels: tuple[str, ...]
    scores: Floats

    def __post_init__(self) -> None:
        frozen_array(self, "scores", np.float32, (len(self.labels),))
        unit_interval(Classification, "scores", self.scores)

    @classmethod
    def of_rows(cls, labels: tuple[str, ...], scores: Floats) -> tuple[Classification, ...]:
        """One record for each row of ``scores``, (N, C) float32.

        The table is checked once, which for 32 rows takes a tenth of checking each.

        Raises
        ------
        TypeError, ValueError
            As for a single record: another dtype or shape, or not in [0, 1].
        """
        table = checked_array(cls, "scores", scores, np.float32, (None, len(labels)))
        unit_interval(cls, "scores", table)
        records = []
        for row in table:
            record = object.__new__(cls)  # past __post_init__, whose checks the table has passed
            object.__setattr__(record, "labels", labels)
            object.__setattr__(record, "scores", row)
            records.append(record)
        return tuple(records)

    @property
    def label(self) -> str:
        """The label with the highest score."""
        return self.labels[int(self.scores.argmax())]

    @property
    def score(self) -> float:
        """The highest score."""
        return float(self.scores.max())

    def score_of(self, label: str) -> float:
        """The score of one label.

        Raises
        ------
        ValueError
            There is no such label.
        """
        return float(self.scores[self.labels.index(label)])


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Boxes that were found in one image, best score first.

    Parameters
    ----------
    boxes
        (N, 4) float32: x, y, width, height in image pixels.
    scores
        (N,) float32 in [0, 1], how sure the detector is.
    labels
        N labels from the detector's manifest.
    classifications
        Empty, or what a second model says of each of the N boxes.
    """

    boxes: Floats
    scores: Floats
    labels: tuple[str, ...]
    classifications: tuple[Classification, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.labels)
        frozen_array(self, "boxes", np.float32, (count, 4))
        frozen_array(self, "scores", np.float32, (count,))
        unit_interval(Detections, "scores", self.scores)
        if count and self.boxes[:, 2:].min() < 0:
            raise ValueError("Detections.boxes: negative size")
        if len(self.classifications) not in (0, count):
            raise ValueError("Detections.classifications: must be empty or one for each box")

    def __len__(self) -> int:
        return len(self.labels)

    def box(self, index: int) -> Box:
        """One row of ``boxes``."""
        x, y, width, height = (float(v) for v in self.boxes[index])
        return Box(x, y, width, height)


@dataclass(frozen=True, slots=True)
class Region:
    """A connected area of one label; lengths and areas in image pixels."""

    label: str
    box: Box
    area_px: float
    length_px: float
    width_px: float
    score: float

    def __post_init__(self) -> None:
        fraction(self, "score", self.score)


@dataclass(frozen=True, slots=True, eq=False)
class Segmentation:
    """One binary mask for each label: ``masks`` is (C, H, W) bool in image pixels."""

    labels: tuple[str, ...]
    masks: npt.NDArray[np.bool_]
    regions: tuple[Region, ...] = ()

    def __post_init__(self) -> None:
        frozen_array(self, "masks", np.bool_, (len(self.labels), None, None))


@dataclass(frozen=True, slots=True)
class Ellipse:
    """Centre, full axes (major >= minor) in image pixels, angle of the major axis in degrees."""

    label: str
    x: float
    y: float
    major_px: float
    minor_px: float
    angle_deg: float
    score: float

    def __post_init__(self) -> None:
        fraction(self, "score", self.score)
        if not self.major_px >= self.minor_px >= 0:
            raise ValueError("Ellipse: needs major_px >= minor_px >= 0")


@dataclass(frozen=True, slots=True)
class Ellipses:
    """Ellipses that were fitted in one image."""

    ellipses: tuple[Ellipse, ...]


Result = Classification | Detections | Segmentation | Ellipses
