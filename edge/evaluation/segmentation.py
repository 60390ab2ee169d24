"""Figures of a segmentation: overlap of masks, and verdicts on whole pictures. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.records import Floats
from edge.tasks.segmentation import marks

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Overlap:
    """One label on one picture.

    Parameters
    ----------
    true_px, found_px, both_px
        Pixels of the truth, of the prediction, and of both.
    truth, found
        Whether the label counts as present: in truth when it covers what the manifest's
        ``min_area`` covers on this picture, in the prediction when the model reports it, which that
        same rule decides.
    surety
        How sure the model is of what is true, in [0, 1]: the Dice of its scores where the label is
        present (Milletari et al. 2016, arXiv:1606.04797), else 1 minus its mean score.
    """

    true_px: int
    found_px: int
    both_px: int
    truth: bool
    found: bool
    surety: float

    @property
    def dice(self) -> float:
        """2 · both / (true + found); 1 when both are empty (Dice 1945)."""
        whole = self.true_px + self.found_px
        return 2 * self.both_px / whole if whole else 1.0


def overlaps(truth: Bools, scores: Floats, threshold: float, least_px: float) -> list[Overlap]:
    """Hold one picture's prediction against its truth, label by label.

    Parameters
    ----------
    truth
        (labels, H, W).
    scores
        (H, W, labels) in [0, 1], as :meth:`edge.tasks.SegmentationTask.scores` gives them.
    threshold
        From which on a pixel is predicted.
    least_px
        Pixels of the picture from which on a label counts as present in truth; one at least.
    """
    found = []
    for k, true in enumerate(truth):
        score = scores[..., k]
        said = marks(score, threshold)
        true_px, found_px = int(true.sum()), int(said.sum())
        total = float(score.sum(dtype=np.float64))
        if true_px:
            surety = 2 * float(score[true].sum(dtype=np.float64)) / (total + true_px)
        else:
            surety = 1.0 - total / score.size
        found.append(
            Overlap(
                true_px,
                found_px,
                int((true & said).sum()),
                true_px >= max(least_px, 1.0),
                found_px > 0,
                min(max(surety, 0.0), 1.0),
            )
        )
    return found


def segmentation_figures(
    pictures: Sequence[Sequence[Overlap]], labels: Sequence[str]
) -> dict[str, Any]:
    """The sections ``dice`` and ``verdict`` of an evaluation.

    ``dice.<label>`` is the mean over the pictures whose truth holds the label, ``dice.mean`` the
    mean of these. ``dice.kaggle`` counts every label of every picture, with 1 where truth and
    prediction are empty; beside it stands what a predictor that always says nothing would reach.
    ``verdict.missed`` is the share of the pictures with any label in which none is reported.
    """
    dice: dict[str, float] = {}
    verdict: dict[str, Any] = {}
    right = 0
    for k, label in enumerate(labels):
        column = [picture[k] for picture in pictures]
        if present := [overlap.dice for overlap in column if overlap.true_px]:
            dice[label] = sum(present) / len(present)
        counts = {
            "tn": sum(not o.truth and not o.found for o in column),
            "fp": sum(not o.truth and o.found for o in column),
            "fn": sum(o.truth and not o.found for o in column),
            "tp": sum(o.truth and o.found for o in column),
        }
        good = counts["tn"] + counts["tp"]
        right += good
        verdict[label] = {**counts, "accuracy": good / len(column)}
    cells = [overlap for picture in pictures for overlap in picture]
    means = list(dice.values())
    return {
        "dice": {
            **dice,
            **({"mean": sum(means) / len(means)} if means else {}),
            "kaggle": sum(overlap.dice for overlap in cells) / len(cells),
            "kaggle_silent": sum(not overlap.true_px for overlap in cells) / len(cells),
        },
        "verdict": {"accuracy_all": right / len(cells), **_missed(pictures), **verdict},
        "images": len(pictures),
    }


def _missed(pictures: Sequence[Sequence[Overlap]]) -> dict[str, float]:
    """Absent where no picture holds a label."""
    held = [picture for picture in pictures if any(overlap.truth for overlap in picture)]
    if not held:
        return {}
    silent = sum(not any(overlap.found for overlap in picture) for picture in held)
    return {"missed": silent / len(held)}
