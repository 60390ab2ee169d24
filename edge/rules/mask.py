"""A person without a mask."""

from __future__ import annotations

from collections.abc import Sequence

from edge.records import Detections, Observation
from edge.rules.threshold import Judged, NewId, ThresholdRule


class MaskRule(ThresholdRule):
    """Judges each face by the score that its classification gives to one label.

    Parameters
    ----------
    new_id, raise_at, clear_at, hits, of, holdoff_s
        As in :class:`ThresholdRule`.
    label
        The classifier's label that is judged.

    Raises
    ------
    ConfigError
        A parameter is out of its range.
    """

    task = "face_mask"

    def __init__(
        self,
        new_id: NewId,
        *,
        raise_at: float = 0.6,
        clear_at: float = 0.4,
        hits: int = 5,
        of: int = 8,
        holdoff_s: float = 10.0,
        label: str = "without_mask",
    ) -> None:
        super().__init__(
            new_id,
            raise_at=raise_at,
            clear_at=clear_at,
            hits=hits,
            of=of,
            holdoff_s=holdoff_s,
        )
        self._label = label

    def _read(self, observation: Observation) -> Sequence[Judged]:
        result = observation.result
        if not isinstance(result, Detections) or len(result.classifications) != len(result):
            raise TypeError("MaskRule judges Detections with a classification of each box")
        return [Judged(self._label, one.score_of(self._label)) for one in result.classifications]
