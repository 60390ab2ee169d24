"""All detections of many pictures in the order of their scores: every threshold at once. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.evaluation.bootstrap import Values, ratio


class Ranking:
    """Detections, best score first; those of equal score pass a threshold together.

    A *step* is a threshold: at step 0 nothing passes, at step k the detections of the k highest
    scores.

    Parameters
    ----------
    scores, hits
        Of each picture, (N,) and (N,) bool; a hit has found a face.

    """

    def __init__(
        self, scores: Sequence[npt.NDArray[np.float32]], hits: Sequence[npt.NDArray[np.bool_]]
    ) -> None:
        ranked = np.concatenate(scores).astype(np.float64)
        order = np.argsort(-ranked, kind="stable")
        ranked = ranked[order]
        self._pictures = len(scores)
        self._picture = np.repeat(np.arange(len(scores)), [len(row) for row in scores])[order]
        self._hit = np.concatenate(hits)[order]
        last_of_score = np.flatnonzero(np.diff(ranked, append=-np.inf))
        self._passing = np.append(0, last_of_score + 1)  # how many pass at each step
        self._thresholds = np.append(np.inf, ranked[last_of_score])

    def __len__(self) -> int:
        """How many detections there are."""
        return len(self._picture)

    def threshold_at(self, precision: float) -> float | None:
        """The lowest threshold with at least this precision over all pictures; None when none has.

        What passes it has at least this score.
        """
        step = int(self.curve(np.ones((1, self._pictures))).step_at(precision)[0])
        return float(self._thresholds[step]) if step else None

    def curve(self, weights: Values) -> Curve:
        """What passes at each step, with each picture counted ``weights`` (draws, pictures) times.

        A table of (draws, detections) is made on the way.
        """
        drawn = weights[:, self._picture]
        hits = drawn * self._hit
        passed, found = self._sums(drawn), self._sums(hits)
        return Curve(weights, passed, found, hits, self._passing, self._picture)

    def _sums(self, drawn: Values) -> Values:
        sums = np.zeros((len(drawn), len(self) + 1))
        np.cumsum(drawn, axis=1, out=sums[:, 1:])
        return sums[:, self._passing]


class Curve:
    """Detections that pass at each step, for each of many draws; made by :meth:`Ranking.curve`."""

    def __init__(
        self,
        weights: Values,
        passed: Values,
        found: Values,
        hits: Values,
        passing: npt.NDArray[np.int64],
        picture: npt.NDArray[np.int64],
    ) -> None:
        self._weights = weights
        self._found = found
        # Who says nothing says nothing false.
        self._precision = np.where(passed > 0, ratio(found, passed), 1.0)
        self._hits = hits
        self._passing = passing
        self._picture = picture

    def average_precision(self, faces: npt.NDArray[Any]) -> Values:
        """Area under the precision-recall curve, interpolated at all points (Everingham et al.
        2010): the precision at a recall is the best one at that recall or a higher one.

        Parameters
        ----------
        faces
            (pictures,) true boxes.

        Returns
        -------
        numpy.ndarray
            (draws,), NaN where there is no face.
        """
        envelope = np.maximum.accumulate(self._precision[:, ::-1], axis=1)[:, ::-1]
        area = np.sum(np.diff(self._found, axis=1) * envelope[:, 1:], axis=1)
        return ratio(area, self._weights @ faces)

    def step_at(self, precision: float) -> npt.NDArray[np.int64]:
        """(draws,): the last step, which is the lowest threshold, with at least this precision."""
        good = self._precision >= precision
        steps: npt.NDArray[np.int64] = good.shape[1] - 1 - good[:, ::-1].argmax(axis=1)
        return steps

    def recall_at(self, precision: float, faces: npt.NDArray[Any]) -> Values:
        """Recall in groups of pictures, at each draw's own threshold for a precision over all.

        Parameters
        ----------
        precision
            That of :meth:`step_at`; where no threshold has it, nobody is found.
        faces
            (pictures, groups) true boxes of each picture, 0 in a group that it is not in.

        Returns
        -------
        numpy.ndarray
            (draws, groups), NaN where there is no face.
        """
        passes = np.arange(self._hits.shape[1]) < self._passing[self.step_at(precision)][:, None]
        found = (self._hits * passes) @ (faces > 0).astype(np.float64)[self._picture]
        return ratio(found, self._weights @ faces)
