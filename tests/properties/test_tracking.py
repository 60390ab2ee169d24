"""IouTracker over any sequence of frames."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import tracking
from edge.tracking import IouTracker
from tests.helpers.observations import Face, observed

_FACE = st.tuples(
    st.integers(0, 600), st.integers(0, 440), st.integers(4, 80), st.integers(4, 80), st.just(0.9)
)
_FRAMES = st.lists(st.lists(_FACE, max_size=5), max_size=12)


@settings(deadline=None)
@given(_FRAMES)
def test_ids_are_never_used_again(frames: list[list[Face]]) -> None:
    """Ids count up from 1; one that has gone does not come back; rows are matched one to one."""
    tracker = IouTracker(max_missed=1, max_unseen_s=0.1)
    gone: set[int] = set()
    before: set[int] = set()
    newest = 0
    for sequence, faces in enumerate(frames):
        tracks = tracker.update(observed(sequence, sequence / 10, faces))
        now = {track.id for track in tracks}
        gone |= before - now
        assert not now & gone
        assert sorted(now - before) == list(range(newest + 1, newest + 1 + len(now - before)))
        newest = max([newest, *now])
        rows = [track.index for track in tracks if track.index is not None]
        assert sorted(rows) == list(range(len(faces)))
        assert all((track.index is None) == (track.missed > 0) for track in tracks)
        before = now


@settings(deadline=None)
@given(_FRAMES, st.randoms(use_true_random=False))
def test_order_of_detections_changes_nothing(
    frames: list[list[Face]], shuffler: random.Random
) -> None:
    """Shuffled detections give the same tracks at the same places."""
    straight, shuffled = IouTracker(), IouTracker()
    for sequence, faces in enumerate(frames):
        mixed = list(faces)
        shuffler.shuffle(mixed)
        one = straight.update(observed(sequence, sequence / 10, faces))
        two = shuffled.update(observed(sequence, sequence / 10, mixed))
        assert [(t.id, t.box, t.missed) for t in one] == [(t.id, t.box, t.missed) for t in two]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), min_size=2, max_size=20),
    st.lists(st.integers(0, 2), min_size=20, max_size=20),
)
def test_people_far_apart_never_swap(steps: list[tuple[int, int]], hidden: list[int]) -> None:
    """Two people with 400 px between them keep their ids, also when one is missed at times: in two
    frames in a row, after which even a wrong velocity of 100 px/s has not led out of reach.
    """
    tracker = IouTracker(max_missed=20)
    left, right = 100, 500
    tracker.update(observed(0, 0.0, [(left, 90, 40, 40, 0.9), (right, 90, 40, 40, 0.9)]))
    for sequence, (a, b) in enumerate(steps, start=1):
        faces: list[Face] = []
        if hidden[max(sequence - 3, 0) : sequence] == [hidden[sequence - 1]] * 3:
            hidden[sequence - 1] = 0
        if hidden[sequence - 1] != 1:
            faces.append((left + a, 90, 40, 40, 0.9))
        if hidden[sequence - 1] != 2:
            faces.append((right + b, 90, 40, 40, 0.9))
        for track in tracker.update(observed(sequence, sequence / 10, faces)):
            assert track.id in (1, 2)
            assert (track.id == 1) == (track.box.x < 300)


def test_order_matters_without_the_canonical_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin: a tracker that takes detections as they come numbers shuffled ones otherwise."""
    monkeypatch.setattr(tracking, "_canonical_order", lambda boxes, scores: np.arange(len(boxes)))
    faces: list[Face] = [(100, 90, 40, 40, 0.9), (500, 90, 40, 40, 0.9)]
    one = IouTracker().update(observed(0, 0.0, faces))
    two = IouTracker().update(observed(0, 0.0, faces[::-1]))
    assert [track.box for track in one] != [track.box for track in two]
