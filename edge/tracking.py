"""Who is who from frame to frame, by place alone: no appearance, no clock, no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.contract import boxes as geometry
from edge.records import Box, Detections, Header, Observation, Result, Segmentation, Track

Vector = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Labels = npt.NDArray[np.str_]


SHORTEST_NS = 30_000_000
"""A velocity is measured over at least so long. After a stall, frames come in a burst with time
stamps a millisecond apart: over such an interval a step of a few pixels looks like thousands of
pixels per second, and the next prediction would lie outside the picture."""


@dataclass(slots=True)
class _Followed:
    """What is followed, one row each, in the order of the ids; a track keeps its label.

    ``boxes`` is (N, 4), ``velocities`` (N, 2) of the centres in px per s, 0 until one is known
    (``moving``). ``anchors`` are the centres (N, 2), and their times, from which the next velocity
    is measured. ``rows`` holds the row of the last observation, -1 when not seen in it. A table
    for all of them costs a third of one object for each when 32 are followed.
    """

    ids: Integers
    labels: Labels
    boxes: Vector
    seen_ns: Integers
    anchors: Vector
    anchor_ns: Integers
    velocities: Vector
    moving: npt.NDArray[np.bool_]
    rows: Integers
    missed: Integers

    @classmethod
    def begin(
        cls, ids: Integers, labels: Labels, boxes: Vector, rows: Integers, now_ns: int
    ) -> _Followed:
        """Newcomers, standing still."""
        count = len(ids)
        now = np.full(count, now_ns, np.int64)
        return cls(
            ids,
            labels,
            boxes,
            now,
            _centre(boxes),
            now.copy(),
            np.zeros((count, 2)),
            np.zeros(count, np.bool_),
            rows,
            np.zeros(count, np.int64),
        )

    def chosen(self, which: npt.NDArray[np.bool_]) -> _Followed:
        """Those rows only."""
        return _Followed(*(getattr(self, name)[which] for name in self.__slots__))

    def joined(self, others: _Followed) -> _Followed:
        """These, then the others."""
        return _Followed(
            *(
                np.concatenate([getattr(self, name), getattr(others, name)])
                for name in self.__slots__
            )
        )

    def predicted(self, now_ns: int) -> Vector:
        """Where the boxes should be now when all go on as they did."""
        moved = self.boxes.copy()
        moved[:, :2] += self.velocities * ((now_ns - self.seen_ns) / 1e9)[:, np.newaxis]
        return moved

    def miss(self) -> None:
        """Count a frame in which nothing was seen; :meth:`see` then takes back what was."""
        self.rows[:] = -1
        self.missed += 1

    def see(
        self, which: Integers, boxes: Vector, rows: Integers, now_ns: int, smoothing: float
    ) -> None:
        """Give the tracks ``which`` their matched detections."""
        passed_ns = now_ns - self.anchor_ns[which]
        due = passed_ns >= SHORTEST_NS
        late, centres = which[due], _centre(boxes[due])
        if len(late):
            measured = (centres - self.anchors[late]) / (passed_ns[due] / 1e9)[:, np.newaxis]
            smooth = smoothing * measured + (1 - smoothing) * self.velocities[late]
            self.velocities[late] = np.where(self.moving[late, np.newaxis], smooth, measured)
            self.moving[late] = True
            self.anchors[late], self.anchor_ns[late] = centres, now_ns
        self.boxes[which], self.rows[which] = boxes, rows
        self.seen_ns[which], self.missed[which] = now_ns, 0

    def tracks(self) -> tuple[Track, ...]:
        """A record for each."""
        columns = (self.ids.tolist(), self.boxes.tolist(), self.rows.tolist(), self.missed.tolist())
        return tuple(
            Track(key, Box(*box), None if row < 0 else row, missed)
            for key, box, row, missed in zip(*columns, strict=True)
        )


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
        nothing = np.zeros(0, np.int64)
        none = np.zeros(0, np.str_)
        self._followed = _Followed.begin(nothing, none, np.zeros((0, 4)), nothing, 0)
        self._next_id = 1
        self._last: Header | None = None

    def update(self, observation: Observation) -> tuple[Track, ...]:
        """Match the observation's boxes with what is followed; tracks by id.

        Raises
        ------
        TypeError
            The result is neither ``Detections`` nor a ``Segmentation``.
        """
        every_box, scores, every_label = _boxes_of(observation.result)
        header = observation.header
        self._adopt_size(header)
        now_ns = header.captured_ns
        order = _canonical_order(every_box, scores)
        boxes, labels = every_box[order].astype(np.float64), every_label[order]

        followed = self._followed
        alike = followed.labels[:, np.newaxis] == labels
        pairs = self._match(followed.predicted(now_ns), boxes, alike)
        which = np.fromiter(pairs.keys(), np.int64, len(pairs))
        columns = np.fromiter(pairs.values(), np.int64, len(pairs))
        followed.miss()
        followed.see(which, boxes[columns], order[columns], now_ns, self._smoothing)
        lives = self._lives(followed, now_ns)
        if not lives.all():
            followed = followed.chosen(lives)
        new = np.ones(len(boxes), np.bool_)
        new[columns] = False
        if new.any():
            ids = self._next_id + np.arange(np.count_nonzero(new), dtype=np.int64)
            self._next_id += len(ids)
            followed = followed.joined(
                _Followed.begin(ids, labels[new], boxes[new], order[new], now_ns)
            )
        self._followed = followed
        return followed.tracks()

    def _lives(self, followed: _Followed, now_ns: int) -> npt.NDArray[np.bool_]:
        lives: npt.NDArray[np.bool_] = followed.missed <= self._max_missed
        return lives | (now_ns - followed.seen_ns <= self._max_unseen_ns)

    def _adopt_size(self, header: Header) -> None:
        """Carry what is followed over when the camera changes its resolution."""
        last, self._last = self._last, header
        if last is None or (last.width, last.height) == (header.width, header.height):
            return
        scale = np.array([header.width / last.width, header.height / last.height])
        self._followed.boxes *= np.tile(scale, 2)
        self._followed.anchors *= scale
        self._followed.velocities *= scale

    def _match(self, tracks: Vector, boxes: Vector, alike: npt.NDArray[np.bool_]) -> dict[int, int]:
        """Pairs of a track's row and a box's row of its label, each at most once."""
        if not len(tracks) or not len(boxes):
            return {}
        overlap = geometry.iou(tracks, boxes)
        pairs = _greedy(-overlap, alike & (overlap >= self._min_iou))
        if len(pairs) == min(overlap.shape):
            return pairs
        gap = np.linalg.norm(_centre(tracks)[:, None] - _centre(boxes)[None], axis=2)
        sides_a, sides_b = tracks[:, None, 2:], boxes[None, :, 2:]
        side = (sides_a.sum(axis=2) + sides_b.sum(axis=2)) / 4
        allowed = alike & (gap <= self._gate * side)
        allowed &= (
            np.maximum(sides_a, sides_b) <= self._size_ratio * np.minimum(sides_a, sides_b)
        ).all(axis=2)
        allowed[list(pairs.keys())] = False
        allowed[:, list(pairs.values())] = False
        return pairs | _greedy(gap, allowed)


def _greedy(cost: Vector, allowed: npt.NDArray[np.bool_]) -> dict[int, int]:
    """One-to-one pairs, cheapest first; equal costs by row, then column."""
    rows, columns = np.nonzero(allowed)
    cheapest = np.argsort(cost[rows, columns], kind="stable")
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for row, column in zip(rows[cheapest].tolist(), columns[cheapest].tolist(), strict=True):
        if row not in pairs and column not in taken:
            taken.add(column)
            pairs[row] = column
    return pairs


def _boxes_of(result: Result) -> tuple[npt.NDArray[Any], npt.NDArray[Any], Labels]:
    """Boxes (N, 4), scores (N,) and labels (N,) of what can be followed in a result."""
    match result:
        case Detections():
            return result.boxes, result.scores, np.array(result.labels, np.str_)
        case Segmentation():
            sides = [(r.box.x, r.box.y, r.box.width, r.box.height) for r in result.regions]
            return (
                np.array(sides, np.float64).reshape(-1, 4),
                np.array([region.score for region in result.regions], np.float64),
                np.array([region.label for region in result.regions], np.str_),
            )
    raise TypeError(f"IouTracker follows no {type(result).__name__}")


def _canonical_order(boxes: npt.NDArray[Any], scores: npt.NDArray[Any]) -> Integers:
    """Rows sorted by score (best first) and then place, whatever order they came in."""
    x, y, width, height = boxes.T
    order = np.lexsort((height, width, y, x, -scores))
    return order.astype(np.int64, copy=False)


def _centre(boxes: Vector) -> Vector:
    """Centres (..., 2) of boxes (..., 4)."""
    return boxes[..., :2] + boxes[..., 2:] / 2
