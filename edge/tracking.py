"""Who is who from frame to frame, by place alone: no appearance, no clock, no I/O."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.contract import boxes as geometry
from edge.records import Box, Detections, Header, Observation, Track

Vector = npt.NDArray[np.float64]


SHORTEST_NS = 30_000_000
"""A velocity is measured over at least so long. After a stall, frames come in a burst with time
stamps a millisecond apart: over such an interval a step of a few pixels looks like thousands of
pixels per second, and the next prediction would lie outside the picture."""


@dataclass(slots=True)
class _Followed:
    """One thing while it is followed; ``box`` is (4,), ``velocity`` of its centre in px per s.

    ``anchor`` is the centre (2,), and its time, from which the next velocity is measured.
    """

    id: int
    box: Vector
    seen_ns: int
    anchor: Vector
    anchor_ns: int
    velocity: Vector | None = None
    index: int | None = None
    missed: int = 0

    def predicted(self, now_ns: int) -> Vector:
        """Where the box should be now when it goes on as it did."""
        moved = self.box.copy()
        if self.velocity is not None:
            moved[:2] += self.velocity * ((now_ns - self.seen_ns) / 1e9)
        return moved

    def see(self, box: Vector, index: int, now_ns: int, smoothing: float) -> None:
        """Take a matched detection."""
        passed_ns = now_ns - self.anchor_ns
        if passed_ns >= SHORTEST_NS:
            velocity = (_centre(box) - self.anchor) / (passed_ns / 1e9)
            if self.velocity is not None:
                velocity = smoothing * velocity + (1 - smoothing) * self.velocity
            self.velocity = velocity
            self.anchor, self.anchor_ns = _centre(box), now_ns
        self.box, self.index, self.seen_ns, self.missed = box, index, now_ns, 0


class IouTracker:
    """Follows the boxes of one camera.

    Each track's box is moved on with constant velocity, as in SORT (Bewley et al. 2016,
    arXiv:1602.00763) but with an exponentially smoothed velocity in place of the Kalman filter.
    Boxes are then matched greedily, best pair first, as in the IOU tracker (Bochinski et al. 2017,
    "High-Speed Tracking-by-Detection Without Using Image Information"): first by overlap, then,
    since at few frames per second a walking person's boxes need not overlap, those left over by
    the distance of their centres. Time is the frames' ``captured_ns``, so that dropped frames and
    an uneven rate do no harm. The order of the detections in the observation changes nothing.

    Parameters
    ----------
    max_missed, max_unseen_s
        A track lives on unseen for so many frames in a row or for so many seconds, whichever is
        longer: the frames serve a camera of one frame a second, the seconds one of thirty.
    min_iou
        Overlap with the predicted box from which on a pair matches.
    gate
        Distance of the centres, in mean side lengths of the two boxes, up to which a pair without
        that overlap matches.
    size_ratio
        A pair matched by distance differs in neither side by more than this factor.
    smoothing
        Weight of the newest velocity, in (0, 1].
    """

    def __init__(
        self,
        *,
        max_missed: int = 3,
        max_unseen_s: float = 1.5,
        min_iou: float = 0.3,
        gate: float = 1.5,
        size_ratio: float = 2.0,
        smoothing: float = 0.6,
    ) -> None:
        self._max_missed = max_missed
        self._max_unseen_ns = round(max_unseen_s * 1e9)
        self._min_iou = min_iou
        self._gate = gate
        self._size_ratio = size_ratio
        self._smoothing = smoothing
        self._followed: list[_Followed] = []
        self._next_id = 1
        self._last: Header | None = None

    def update(self, observation: Observation) -> tuple[Track, ...]:
        """Match the observation's boxes with what is followed; tracks by id.

        Raises
        ------
        TypeError
            The result is not ``Detections``.
        """
        result = observation.result
        if not isinstance(result, Detections):
            raise TypeError(f"IouTracker follows Detections, not {type(result).__name__}")
        header = observation.header
        self._adopt_size(header)
        now_ns = header.captured_ns
        order = _canonical_order(result)
        boxes = result.boxes[order].astype(np.float64)

        predicted = np.array([one.predicted(now_ns) for one in self._followed]).reshape(-1, 4)
        pairs = self._match(predicted, boxes)
        for row, one in enumerate(self._followed):
            column = pairs.get(row)
            if column is None:
                one.index, one.missed = None, one.missed + 1
            else:
                one.see(boxes[column], int(order[column]), now_ns, self._smoothing)
        self._followed = [one for one in self._followed if self._lives(one, now_ns)]
        for column in sorted(set(range(len(boxes))) - set(pairs.values())):
            box = boxes[column]
            new = _Followed(self._next_id, box, now_ns, _centre(box), now_ns)
            new.index = int(order[column])
            self._followed.append(new)
            self._next_id += 1
        return tuple(
            Track(one.id, Box(*(float(v) for v in one.box)), one.index, one.missed)
            for one in self._followed
        )

    def _lives(self, one: _Followed, now_ns: int) -> bool:
        return one.missed <= self._max_missed or now_ns - one.seen_ns <= self._max_unseen_ns

    def _adopt_size(self, header: Header) -> None:
        """Carry what is followed over when the camera changes its resolution."""
        last, self._last = self._last, header
        if last is None or (last.width, last.height) == (header.width, header.height):
            return
        scale = np.array([header.width / last.width, header.height / last.height])
        for one in self._followed:
            one.box = one.box * np.tile(scale, 2)
            one.anchor = one.anchor * scale
            one.velocity = None if one.velocity is None else one.velocity * scale

    def _match(self, tracks: Vector, boxes: Vector) -> dict[int, int]:
        """Pairs of a track's row and a box's row, each at most once."""
        if not len(tracks) or not len(boxes):
            return {}
        overlap = geometry.iou(tracks, boxes)
        pairs = _greedy(-overlap, overlap >= self._min_iou)
        gap = np.linalg.norm(_centre(tracks)[:, None] - _centre(boxes)[None], axis=2)
        sides_a, sides_b = tracks[:, None, 2:], boxes[None, :, 2:]
        side = (sides_a.sum(axis=2) + sides_b.sum(axis=2)) / 4
        allowed = gap <= self._gate * side
        allowed &= (
            np.maximum(sides_a, sides_b) <= self._size_ratio * np.minimum(sides_a, sides_b)
        ).all(axis=2)
        allowed[list(pairs.keys())] = False
        allowed[:, list(pairs.values())] = False
        return pairs | _greedy(gap, allowed)


def _greedy(cost: Vector, allowed: npt.NDArray[np.bool_]) -> dict[int, int]:
    """One-to-one pairs, cheapest first; equal costs by row, then column."""
    rows, columns = np.nonzero(allowed)
    free_rows = np.ones(cost.shape[0], np.bool_)
    free_columns = np.ones(cost.shape[1], np.bool_)
    pairs: dict[int, int] = {}
    for at in np.argsort(cost[rows, columns], kind="stable"):
        row, column = int(rows[at]), int(columns[at])
        if free_rows[row] and free_columns[column]:
            free_rows[row] = free_columns[column] = False
            pairs[row] = column
    return pairs


def _canonical_order(result: Detections) -> npt.NDArray[np.intp]:
    """Rows sorted by score (best first) and then place, whatever order they came in."""
    x, y, width, height = result.boxes.T
    return np.lexsort((height, width, y, x, -result.scores))


def _centre(boxes: Vector) -> Vector:
    """Centres (..., 2) of boxes (..., 4)."""
    return boxes[..., :2] + boxes[..., 2:] / 2
