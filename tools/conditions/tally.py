"""Counts of what was found, with how sure a count of so few is."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from edge.evaluation.detection import match
from edge.records import Detections
from tools.conditions.shots import WITHOUT_MASK, Shot
from tools.conditions.systems import System

SIDES = (0.2, 1.3)
"""A detection in a tidy crop is its face when its sides are between these shares of the crop's: a
portrait shows shoulders too, and a box may reach a little out of a face that fills its crop."""


@dataclass(frozen=True, slots=True)
class Share:
    """``hits`` of ``of``."""

    hits: int
    of: int

    @property
    def value(self) -> float:
        """As a fraction; of nothing it is not a number."""
        return self.hits / self.of if self.of else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """95 % by Wilson (1927), which holds for few and for extreme counts; all of [0, 1] when
        there is nothing.
        """
        if not self.of:
            return 0.0, 1.0
        z, n, p = 1.959964, self.of, self.value
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(middle - half, 0.0), min(middle + half, 1.0)


@dataclass(frozen=True, slots=True)
class Tally:
    """What one system made of one condition.

    Parameters
    ----------
    pictures
        How many were shown.
    found
        Faces found of those that count.
    right
        Mask states that were right, of the found faces whose state is labelled.
    occupied
        Pictures in which any face was found.
    alarming
        Pictures in which a face was found that the rule would take for one without a mask.
    """

    pictures: int
    found: Share
    right: Share
    occupied: Share
    alarming: Share


def tally(system: System, shots: Iterable[Shot], raise_at: float) -> Tally:
    """Show the pictures to a system and count; ``raise_at`` is the rule's."""
    pictures = faces = found = labelled = right = occupied = alarming = 0
    for shot in shots:
        seen = system.look(shot.image)
        pictures += 1
        occupied += len(seen) > 0
        alarming += any(c.score_of(WITHOUT_MASK) >= raise_at for c in seen.classifications)
        for face, row in zip(shot.faces, taken(shot, seen), strict=True):
            faces += face.counted
            if face.counted and row is not None:
                found += 1
                if face.state is not None and seen.classifications:
                    labelled += 1
                    right += seen.classifications[row].label == face.state
    return Tally(
        pictures,
        Share(found, faces),
        Share(right, labelled),
        Share(occupied, pictures),
        Share(alarming, pictures),
    )


def taken(shot: Shot, seen: Detections) -> list[int | None]:
    """Which detection, if any, found each face."""
    truth = np.array([face.box for face in shot.faces], np.float32).reshape(-1, 4)
    rows: list[int | None] = [None] * len(truth)
    if shot.exact:
        for row, face in enumerate(match(seen.boxes, seen.scores, truth).truth.tolist()):
            if face >= 0:
                rows[face] = row
        return rows
    centres = seen.boxes[:, :2] + seen.boxes[:, 2:] / 2
    for face, (x, y, width, height) in enumerate(truth.tolist()):
        inside = (np.abs(centres - (x + width / 2, y + height / 2)) <= (width / 2, height / 2)).all(
            axis=1
        )
        shares = seen.boxes[:, 2:] / (width, height)
        fits = ((shares >= SIDES[0]) & (shares <= SIDES[1])).all(axis=1)
        candidates = np.flatnonzero(inside & fits)
        if candidates.size:
            rows[face] = int(candidates[seen.scores[candidates].argmax()])
    return rows
