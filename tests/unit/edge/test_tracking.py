"""IouTracker: identity by place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from edge.protocols import Tracker
from edge.records import Box, Classification, Observation, Region, Segmentation, Timings
from edge.tracking import IouTracker
from tests.helpers.observations import LABELS, MODEL, Face, header, observed


def _face(x: float, y: float = 100.0, side: float = 40.0) -> Face:
    return (x, y, side, side, 0.9)


def _ids(
    tracker: IouTracker, frames: Sequence[Sequence[Face]], fps: float = 10.0
) -> list[list[int]]:
    """For each frame the track id of each face, in the order of the faces."""
    seen = []
    for sequence, faces in enumerate(frames):
        tracks = tracker.update(observed(sequence, sequence / fps, faces))
        by_row = {track.index: track.id for track in tracks if track.index is not None}
        seen.append([by_row[row] for row in range(len(faces))])
    return seen


def test_keeps_the_contract() -> None:
    """IouTracker is a Tracker."""
    assert isinstance(IouTracker(), Tracker)


def test_standing_person_keeps_its_id() -> None:
    """A face that hardly moves is one track, counted from 1."""
    assert _ids(IouTracker(), [[_face(100 + k)] for k in range(5)]) == [[1]] * 5


def test_every_detection_belongs_to_one_track() -> None:
    """Each row of the observation is the index of exactly one track."""
    faces = [_face(100), _face(110), _face(300)]
    tracks = IouTracker().update(observed(0, 0.0, faces))
    assert sorted(track.index for track in tracks if track.index is not None) == [0, 1, 2]


def test_fast_walker_at_low_rate_keeps_its_id() -> None:
    """At 2 frames per second a face that moves by more than its width is still one track."""
    assert _ids(IouTracker(), [[_face(20 + 55 * k)] for k in range(8)], fps=2.0) == [[1]] * 8


def test_without_the_distance_gate_the_walker_is_lost() -> None:
    """The twin: overlap alone gives the same walker a new track in each frame."""
    ids = _ids(IouTracker(gate=0.0), [[_face(20 + 55 * k)] for k in range(4)], fps=2.0)
    assert ids == [[1], [2], [3], [4]]


def test_velocity_keeps_crossing_people_apart() -> None:
    """Two people who walk through each other keep their ids, since each goes on as it did."""
    frames = [[_face(100 + 12 * k), _face(340 - 12 * k, y=104)] for k in range(21)]
    assert _ids(IouTracker(), frames) == [[1, 2]] * 21


def test_a_gap_in_time_moves_the_prediction_on() -> None:
    """After dropped frames a steady walker is found where it must be by then."""
    tracker = IouTracker()
    for k in range(5):
        tracker.update(observed(k, k / 10, [_face(100 + 20 * k)]))
    tracks = tracker.update(observed(12, 1.2, [_face(100 + 240)]))
    assert [(track.id, track.index) for track in tracks] == [(1, 0)]


def test_missed_frames_keep_the_id_up_to_the_limit() -> None:
    """A face that is not seen for max_missed frames comes back with its id and its last box."""
    tracker = IouTracker(max_missed=3, max_unseen_s=0.0)
    tracker.update(observed(0, 0.0, [_face(100)]))
    for sequence in (1, 2, 3):
        (track,) = tracker.update(observed(sequence, sequence / 10))
        assert (track.id, track.index, track.missed) == (1, None, sequence)
        assert (track.box.x, track.box.width) == (100.0, 40.0)
    (track,) = tracker.update(observed(4, 0.4, [_face(101)]))
    assert (track.id, track.index, track.missed) == (1, 0, 0)


def test_many_missed_frames_in_a_short_time_keep_the_id() -> None:
    """At 30 frames per second a face may be unseen for a second and keeps its id."""
    tracker = IouTracker(max_missed=3, max_unseen_s=1.5)
    tracker.update(observed(0, 0.0, [_face(100)]))
    for sequence in range(1, 31):
        tracker.update(observed(sequence, sequence / 30))
    (track,) = tracker.update(observed(31, 31 / 30, [_face(100)]))
    assert track.id == 1


def test_a_track_missed_too_long_is_dropped() -> None:
    """Beyond both limits, frames and seconds, the face comes back as somebody else."""
    tracker = IouTracker(max_missed=3, max_unseen_s=0.3)
    tracker.update(observed(0, 0.0, [_face(100)]))
    for sequence in (1, 2, 3):
        tracker.update(observed(sequence, sequence / 10))
    assert tracker.update(observed(4, 0.4)) == ()
    (track,) = tracker.update(observed(5, 0.5, [_face(100)]))
    assert track.id == 2


def test_a_much_larger_face_nearby_is_somebody_else() -> None:
    """A match by distance needs boxes of similar size."""
    assert _ids(IouTracker(), [[_face(100, side=20)], [_face(85, y=130, side=80)]]) == [[1], [2]]


def test_a_new_resolution_keeps_the_tracks() -> None:
    """F09: when the camera changes its resolution, everybody is where the new pixels say."""
    tracker = IouTracker()
    tracker.update(observed(0, 0.0, [_face(100), _face(400)]))
    half = [(50.0, 50.0, 20.0, 20.0, 0.9), (200.0, 50.0, 20.0, 20.0, 0.9)]
    tracks = tracker.update(observed(1, 0.1, half, size=(320, 240)))
    assert [(track.id, track.index) for track in tracks] == [(1, 0), (2, 1)]


def _after_a_burst(tracker: IouTracker) -> set[int]:
    """Ids of a walker whose frames stall for 0.4 s, come 1 ms apart, and then regularly again."""
    times = [k / 15 for k in range(10)]
    times += [1.0 + k / 1000 for k in range(6)]
    times += [1.005 + k / 15 for k in range(1, 10)]
    ids = set()
    for sequence, at_s in enumerate(times):
        tracks = tracker.update(observed(sequence, at_s, [_face(100 + 6 * sequence)]))
        ids |= {track.id for track in tracks}
    return ids


def test_a_burst_of_late_frames_keeps_the_id() -> None:
    """Time stamps that lie together after a stall are not taken for a great speed."""
    assert _after_a_burst(IouTracker()) == {1}


def test_velocity_over_any_interval_would_lose_the_walker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The twin: measured from one frame of the burst to the next, the prediction flies away."""
    monkeypatch.setattr("edge.tracking.SHORTEST_NS", 1)
    assert _after_a_burst(IouTracker()) != {1}


def _regions(sequence: int, *regions: tuple[str, float]) -> Observation:
    """An observation of 20×20 regions of a label at x."""
    labels = ("bright", "dark")
    found = tuple(
        Region(label, Box(x, 5.0, 20.0, 20.0), 400.0, 20.0, 20.0, 0.9) for label, x in regions
    )
    masks = np.zeros((2, 40, 200), np.bool_)
    result = Segmentation(labels, masks, found)
    return Observation(header(sequence, sequence / 10), result, MODEL, Timings())


def test_regions_are_followed_too() -> None:
    """A region in the same place with the same label is the same; with another it is another."""
    tracker = IouTracker(max_missed=0, max_unseen_s=0.0, min_iou=0.5, gate=0.0)
    first = tracker.update(_regions(0, ("bright", 10.0), ("dark", 100.0)))
    assert [(track.id, track.index) for track in first] == [(1, 0), (2, 1)]
    second = tracker.update(_regions(1, ("dark", 10.0), ("dark", 104.0)))
    assert [(track.id, track.index) for track in second] == [(2, 1), (3, 0)]


def test_what_can_not_be_followed_is_refused() -> None:
    """A classification has no place."""
    result = Classification(LABELS, np.array([0.5, 0.5], np.float32))
    with pytest.raises(TypeError, match="follows no Classification"):
        IouTracker().update(Observation(header(0, 0.0), result, MODEL, Timings()))
