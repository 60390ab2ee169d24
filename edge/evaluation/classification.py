"""Figures of a classifier: how often it is right, and whether its scores say how often. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.evaluation.bootstrap import Key, Values, figures, share

MASK_INCORRECT = "mask_incorrect"
"""A true label that no model knows: a mask that does not cover mouth and nose."""

WIDE_PX = 24.0
"""Width of a true box, in pixels of the picture, from which on a face counts in ``wide``."""

BINS = 15
"""Of equal width over [0, 1], for the calibration error; as many as Guo et al. 2017 take."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is true of one face, and what the classifier said.

    Parameters
    ----------
    picture
        Its name.
    truth, said
        Labels.
    score
        That of ``said``, in [0, 1].
    group
        Where the picture came from; None when that is not known.
    width
        Of the true box in pixels of the picture; None when the whole picture was judged.
    """

    picture: str
    truth: str
    said: str
    score: float
    group: str | None
    width: float | None

    @property
    def right(self) -> bool:
        """The classifier said what is true."""
        return self.truth == self.said


def classification_figures(
    verdicts: Sequence[Verdict], labels: Sequence[str]
) -> dict[str, Any] | None:
    """The section ``classification`` of an evaluation, None when nothing was judged.

    Truths that are not among ``labels`` are left out; ``mask_incorrect``, for which neither
    verdict is right, is reported beside the others and counts in no accuracy.
    """
    section: dict[str, Any] = {}
    known = [verdict for verdict in verdicts if verdict.truth in labels]
    if known:
        confusion = {truth: dict.fromkeys(labels, 0) for truth in labels}
        groups: dict[str, list[Verdict]] = {}
        for verdict in known:
            confusion[verdict.truth][verdict.said] += 1
            if verdict.group is not None:
                groups.setdefault(verdict.group, []).append(verdict)
        section = _accuracies(known) | {"confusion": confusion}
        if groups:
            section["by_group"] = {
                group: _accuracies(part) | {"n": len(part)}
                for group, part in sorted(groups.items())
            }
        wide = [face for face in known if face.width is not None and face.width >= WIDE_PX]
        if wide:
            section["wide"] = _accuracies(wide) | {"n": len(wide)}
        section["calibration"] = calibration(
            np.array([verdict.score for verdict in known]),
            np.array([verdict.right for verdict in known]),
        )
    incorrect = [verdict.said for verdict in verdicts if verdict.truth == MASK_INCORRECT]
    if incorrect:
        section[MASK_INCORRECT] = {
            "n": len(incorrect),
            "as_mask": incorrect.count("with_mask") / len(incorrect),
        }
    return section or None


def calibration(scores: Values, right: npt.NDArray[np.bool_]) -> dict[str, float]:
    """Whether the winning score tells how often the classifier is right.

    ``ece``, the expected calibration error (Guo et al. 2017, arXiv:1706.04599, equation 3), is the
    mean distance between score and accuracy over ``BINS`` ranges of the score. ``brier`` is the
    mean square of the winning score minus the outcome, 1 for right and 0 for wrong (Brier 1950); of
    two labels whose scores add up to 1 it is the same for either.

    Parameters
    ----------
    scores, right
        (N,) winning scores in [0, 1], and whether each verdict was right; at least one.
    """
    # A range holds its upper end, and the first one 0.
    bins = np.clip(np.ceil(scores * BINS).astype(np.int64) - 1, 0, BINS - 1)
    apart = np.bincount(bins, weights=scores - right, minlength=BINS)
    return {
        "ece": float(np.abs(apart).sum() / len(scores)),
        "brier": float(np.mean((scores - right) ** 2)),
    }


def end_to_end_figures(pictures: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """The section ``end_to_end`` of an evaluation.

    Parameters
    ----------
    pictures
        Of each picture the labelled faces that were found and rightly judged, and all of them.
    """
    right, faces = np.array(pictures).T

    def statistic(weights: Values) -> dict[Key, Values]:
        return {("accuracy",): share(weights, right, faces)}

    return figures(statistic, len(pictures)) | {"faces": int(faces.sum())}


def _accuracies(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """``accuracy`` and ``balanced`` with their intervals.

    ``balanced``, the mean of the recalls of the labels that are true of a face here (Brodersen et
    al. 2010), is absent where that is one label only: it would be called balanced and is not.
    """
    rows: dict[str, int] = {}
    picture = np.array([rows.setdefault(v.picture, len(rows)) for v in verdicts])
    right = np.array([verdict.right for verdict in verdicts])
    truths = np.array([verdict.truth for verdict in verdicts])

    def counts(which: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Of some verdicts the right ones and all, by picture."""
        per = (picture[which & right], picture[which])
        over, under = (np.bincount(part, minlength=len(rows)) for part in per)
        return over, under

    every = counts(np.ones(len(verdicts), np.bool_))
    classes = [counts(truths == truth) for truth in sorted(set(truths.tolist()))]

    def statistic(weights: Values) -> dict[Key, Values]:
        found: dict[Key, Values] = {("accuracy",): share(weights, *every)}
        if len(classes) > 1:
            recalls = [share(weights, *of_label) for of_label in classes]
            found["balanced",] = np.mean(recalls, axis=0)
        return found

    return figures(statistic, len(rows))
