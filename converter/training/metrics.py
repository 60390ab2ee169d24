"""Average precision and thresholds while training; the official figures come from `linesight
eval`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.training.split import faces_bin
from converter.training.targets import box_iou

MATCH_IOU = 0.4
"""Two boxes mean the same face from this overlap on; the data's boxes are drawn with different
tightness.
"""


@dataclass(frozen=True, slots=True)
class Judged:
    """One picture's detections, best first: their scores, which of them hit a face, and how
    many faces there were.
    """

    scores: NDArray[np.float32]
    hit: NDArray[np.bool_]
    faces: int


def judge_picture(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], truth: NDArray[np.float32]
) -> Judged:
    """Match greedily, best score first, one face to one box, at IoU ≥ 0.4."""
    hit = np.zeros(len(boxes), np.bool_)
    if len(boxes) and len(truth):
        overlap = box_iou(boxes, truth)
        for i in range(len(boxes)):
            j = int(overlap[i].argmax())
            if overlap[i, j] >= MATCH_IOU:
                hit[i] = True
                overlap[:, j] = -1
    return Judged(scores, hit, len(truth))


def summary(pictures: list[Judged], precision: float) -> dict[str, Any]:
    """AP (area under the interpolated curve), and threshold, recall and precision where
    precision is still as wanted.
    """
    scores = np.concatenate([p.scores for p in pictures]) if pictures else np.zeros(0, np.float32)
    hits = np.concatenate([p.hit for p in pictures]) if pictures else np.zeros(0, np.bool_)
    faces = max(sum(p.faces for p in pictures), 1)
    order = np.argsort(-scores, kind="stable")
    found = np.cumsum(hits[order])
    recalls, precisions = found / faces, found / np.arange(1, len(order) + 1)
    envelope = np.maximum.accumulate(precisions[::-1])[::-1]
    ap = float(np.sum(np.diff(recalls, prepend=0.0) * envelope))
    # The last place where the wanted precision holds: beyond it the threshold would admit too
    # many strangers.
    good = np.flatnonzero(precisions >= precision)
    last = int(good[-1]) if len(good) else 0
    threshold = float(scores[order[last]]) if len(order) else 1.0
    return {
        "ap": round(ap, 4),
        "threshold": round(threshold, 4),
        **at_threshold(pictures, threshold),
    }


def at_threshold(pictures: list[Judged], threshold: float) -> dict[str, Any]:
    """Recall and precision over all faces, and recall by number of faces in the picture."""
    by_faces: dict[str, list[int]] = {}
    found = boxes = faces = 0
    for picture in pictures:
        above = picture.scores >= threshold
        hits = int((picture.hit & above).sum())
        found, boxes, faces = found + hits, boxes + int(above.sum()), faces + picture.faces
        entry = by_faces.setdefault(faces_bin(picture.faces), [0, 0])
        entry[0] += hits
        entry[1] += picture.faces
    return {
        "recall": round(found / max(faces, 1), 4),
        "precision": round(found / max(boxes, 1), 4),
        "recall_by_faces": {
            name: round(hits / max(n, 1), 4) for name, (hits, n) in sorted(by_faces.items())
        },
    }
