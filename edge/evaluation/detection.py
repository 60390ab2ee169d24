"""Figures of a detector: who was found, at what price. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.contract import boxes as geometry

MATCH_IOU = 0.4
"""From this overlap on a detection and a true box mean the same face: the sources of the data draw
their boxes with different tightness."""

BUCKETS = (("1", 1, 1), ("2-5", 2, 5), ("6-17", 6, 17), ("18+", 18, None))
"""Names of the ranges of faces in a picture, with their ends."""


@dataclass(frozen=True, slots=True, eq=False)
class Matched:
    """One picture's detections against its truth.

    Parameters
    ----------
    scores
        (N,) of the detections.
    truth
        (N,) int64, which true box each one found, -1 for none; no true box is found twice.
    faces
        How many true boxes there are.
    """

    scores: npt.NDArray[np.float32]
    truth: npt.NDArray[np.int64]
    faces: int


def match(boxes: npt.NDArray[Any], scores: npt.NDArray[Any], truth: npt.NDArray[Any]) -> Matched:
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
    return Matched(np.asarray(scores, np.float32), found, len(truth))


def average_precision(scores: npt.NDArray[Any], hits: npt.NDArray[np.bool_], faces: int) -> float:
    """Area under the precision-recall curve, interpolated at all points (Everingham et al. 2010).

    The precision at a recall is the best one at that recall or a higher one. Detections of equal
    score pass a threshold together and make one point of the curve, so that their order does not
    matter.

    Parameters
    ----------
    scores, hits
        (N,) of the detections of all pictures; a hit has found a face.
    faces
        True boxes of all pictures, at least 1.
    """
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    ranked = np.asarray(scores, np.float64)[order]
    last_of_score = np.flatnonzero(np.diff(ranked, append=-np.inf))
    found = np.cumsum(hits[order])[last_of_score]
    recall = found / faces
    precision = found / (last_of_score + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * envelope))


def detection_figures(pictures: Sequence[Matched], threshold: float) -> dict[str, Any]:
    """The section ``detection`` of an evaluation.

    ``recall`` and ``precision`` count detections from ``threshold`` on, ``ap`` takes all. A figure
    whose denominator is 0 (recall without faces, precision without detections) is absent.
    """
    faces = sum(picture.faces for picture in pictures)
    figures = _recall_and_precision(pictures, threshold)
    if faces:
        scores = np.concatenate([picture.scores for picture in pictures])
        hits = np.concatenate([picture.truth >= 0 for picture in pictures])
        figures["ap"] = average_precision(scores, hits, faces)
    figures |= {"images": len(pictures), "faces": faces}
    by_faces: dict[str, Any] = {}
    for name, least, most in BUCKETS:
        inside = [p for p in pictures if p.faces >= least and (most is None or p.faces <= most)]
        if inside:
            by_faces[name] = _recall_and_precision(inside, threshold) | {"images": len(inside)}
    if by_faces:
        figures["by_faces"] = by_faces
    return figures


def _recall_and_precision(pictures: Sequence[Matched], threshold: float) -> dict[str, Any]:
    faces = detections = found = 0
    for picture in pictures:
        counted = picture.scores >= np.float32(threshold)
        faces += picture.faces
        detections += int(counted.sum())
        found += int((counted & (picture.truth >= 0)).sum())
    figures: dict[str, Any] = {}
    if faces:
        figures["recall"] = found / faces
    if detections:
        figures["precision"] = found / detections
    return figures
