"""Figures of a detector: who was found, at what price. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.contract import boxes as geometry
from edge.evaluation.bootstrap import Key, Values, figures, share
from edge.evaluation.ranking import Ranking

MATCH_IOU = 0.4
"""From this overlap on a detection and a true box mean the same face: the sources of the data draw
their boxes with different tightness."""

BUCKETS = (("1", 1, 1), ("2-5", 2, 5), ("6-17", 6, 17), ("18+", 18, np.inf))
"""Names of the ranges of faces in a picture, with their ends."""

WIDTHS = (
    ("0-11", 0.0, 12.0),
    ("12-23", 12.0, 24.0),
    ("24-47", 24.0, 48.0),
    ("48-95", 48.0, 96.0),
    ("96+", 96.0, np.inf),
)
"""Names of the ranges of a face's width, with their ends, of which the upper is not in it."""

PRECISIONS = (0.90, 0.95)
"""At which the recall is told."""


@dataclass(frozen=True, slots=True, eq=False)
class Matched:
    """One picture's detections against its truth.

    Parameters
    ----------
    scores
        (N,) of the detections.
    truth
        (N,) int64, which true box each one found, -1 for none; no true box is found twice.
    sides
        (M,) the shorter side of each true box, in pixels of the model's input.
    """

    scores: npt.NDArray[np.float32]
    truth: npt.NDArray[np.int64]
    sides: npt.NDArray[np.float32]

    @property
    def faces(self) -> int:
        """How many true boxes there are."""
        return len(self.sides)


def match(
    boxes: npt.NDArray[Any],
    scores: npt.NDArray[Any],
    truth: npt.NDArray[Any],
    scale: tuple[float, float] = (1.0, 1.0),
) -> Matched:
    """Give true boxes to detections, best score first, one to one, at IoU of ``MATCH_IOU``.

    Of several true boxes a detection takes the one that it overlaps most and that is still free,
    as COCO's evaluation does. Detections below a threshold do not change what those above it got,
    so that one matching serves every threshold.

    Parameters
    ----------
    boxes, truth
        (N, 4) and (M, 4).
    scores
        (N,); the order of the rows changes nothing.
    scale
        Pixels of the model's input for one of the picture: across, down.
    """
    found = np.full(len(boxes), -1, np.int64)
    free = geometry.iou(boxes, truth)
    free[free < MATCH_IOU] = -1.0
    if free.size:
        x, y, width, height = np.asarray(boxes).T
        for row in np.lexsort((height, width, y, x, -np.asarray(scores))):
            best = int(free[row].argmax())
            if free[row, best] >= MATCH_IOU:
                found[row] = best
                free[:, best] = -1.0
    sides = (np.asarray(truth)[:, 2:] * scale).min(axis=1).astype(np.float32)
    return Matched(np.asarray(scores, np.float32), found, sides)


def detection_figures(pictures: Sequence[Matched], threshold: float) -> dict[str, Any]:
    """The section ``detection`` of an evaluation.

    ``recall`` and ``precision`` count detections from ``threshold`` on, ``ap`` takes all. A figure
    whose denominator is 0 (recall without faces, precision without detections) is absent, and so is
    a precision of ``at_precision`` that no threshold reaches. In the draws of an interval the
    threshold of ``at_precision`` is read off anew; a draw that reaches it nowhere finds nobody.

    Parameters
    ----------
    pictures
        At least one.
    threshold
        The manifest's.
    """
    ranking = Ranking([p.scores for p in pictures], [p.truth >= 0 for p in pictures])
    faces = np.array([picture.faces for picture in pictures], np.float64)
    ranges = {
        name: inside
        for name, least, most in BUCKETS
        if (inside := (faces >= least) & (faces <= most)).any()
    }
    widths = _by_width(pictures, threshold)
    shares = _recall_and_precision(pictures, faces, ranges, threshold)
    shares |= {("by_width", name, "recall"): counts for name, counts in widths.items()}
    in_groups = np.stack([faces, *(faces * inside for inside in ranges.values())], axis=1)

    def statistic(weights: Values) -> dict[Key, Values]:
        found = {key: share(weights, *counts) for key, counts in shares.items()}
        curve = ranking.curve(weights)
        found["ap",] = curve.average_precision(faces)
        for precision in PRECISIONS:
            at = ("at_precision", f"{precision:.2f}")
            recalls = curve.recall_at(precision, in_groups)
            found[*at, "recall"] = recalls[:, 0]
            for column, name in enumerate(ranges, 1):
                found[*at, "by_faces", name, "recall"] = recalls[:, column]
        return found

    nested = figures(statistic, len(pictures), widest=len(ranking))
    for name, inside in ranges.items():
        nested["by_faces"][name]["images"] = int(inside.sum())
    for name, (_, true) in widths.items():
        nested["by_width"][name]["faces"] = int(true.sum())
    first: dict[str, Any] = {
        key: nested.pop(key) for key in ("recall", "precision", "ap") if key in nested
    }
    at_precision = {
        name: {"threshold": lowest, **recalls}
        for name, recalls in nested.pop("at_precision", {}).items()
        if (lowest := ranking.threshold_at(float(name))) is not None
    }
    return {
        **first,
        "images": len(pictures),
        "faces": int(faces.sum()),
        **nested,
        **({"at_precision": at_precision} if at_precision else {}),
    }


Counts = tuple[npt.NDArray[Any], npt.NDArray[Any]]
"""What a share is over and under, each (pictures,)."""


def _recall_and_precision(
    pictures: Sequence[Matched],
    faces: npt.NDArray[np.float64],
    ranges: Mapping[str, npt.NDArray[np.bool_]],
    threshold: float,
) -> dict[Key, Counts]:
    """Of all pictures, and of those with so many faces, at the threshold."""
    counted = [picture.scores >= np.float32(threshold) for picture in pictures]
    said = np.array([row.sum() for row in counted])
    hits = [row & (p.truth >= 0) for row, p in zip(counted, pictures, strict=True)]
    found = np.array([row.sum() for row in hits])
    shares: dict[Key, Counts] = {("recall",): (found, faces), ("precision",): (found, said)}
    for name, inside in ranges.items():
        shares["by_faces", name, "recall"] = (found * inside, faces * inside)
        shares["by_faces", name, "precision"] = (found * inside, said * inside)
    return shares


def _by_width(pictures: Sequence[Matched], threshold: float) -> dict[str, Counts]:
    """Faces found at the threshold, and faces, by picture, for each range of widths that occurs."""
    sides = np.concatenate([picture.sides for picture in pictures])
    picture = np.repeat(np.arange(len(pictures)), [p.faces for p in pictures])
    found = np.concatenate([_found_faces(picture, threshold) for picture in pictures])
    counts = {}
    for name, least, end in WIDTHS:
        inside = (sides >= least) & (sides < end)
        if inside.any():
            per = [picture[inside & found], picture[inside]]
            over, under = (np.bincount(rows, minlength=len(pictures)) for rows in per)
            counts[name] = (over, under)
    return counts


def _found_faces(picture: Matched, threshold: float) -> npt.NDArray[np.bool_]:
    """(M,): whether each true box was found at the threshold."""
    found = np.zeros(picture.faces, np.bool_)
    found[picture.truth[(picture.truth >= 0) & (picture.scores >= np.float32(threshold))]] = True
    return found
