"""Who is who on a strip that runs."""

from __future__ import annotations

import pytest

from edge.records import Box
from tests.fakes import make_frame, make_observation
from tests.helpers.strip import MS, Strip, region, seen_at


def test_a_scratch_over_many_frames_is_one_track() -> None:
    """From frame to frame it lies elsewhere in the picture, and its place on the strip grows."""
    strip = Strip()
    tracks = [strip.frame(float(at), (70.0, 230.0)) for at in range(40, 321, 40)]
    assert [[one.id for one in frame] for frame in tracks] == [[], [1], [1], [1], [1], [1], [1], []]
    scratch = strip.tracker.defect(1)
    assert scratch is not None
    assert (scratch.x0_mm, scratch.x1_mm) == (70.0, 230.0)


def test_other_steel_is_another_track() -> None:
    """In the same place of the next picture lies another defect when the strip has run on."""
    strip = Strip()
    first = strip.frame(80.0, (50.0, 60.0))
    second = strip.frame(120.0, (50.0, 60.0), (90.0, 100.0))
    assert [one.id for one in first] == [1]
    assert [(one.id, one.index) for one in second] == [(1, 0), (2, 1)]


def test_a_defect_that_is_not_found_in_one_frame_goes_on() -> None:
    """Its box moves with the strip; it ends when its steel has left the picture."""
    strip = Strip()
    strip.frame(80.0, (60.0, 70.0))
    (missing,) = strip.frame(100.0)
    assert (missing.index, missing.missed) == (None, 1)
    assert missing.box == Box(60.0, 10.0, 20.0, 8.0)
    (found,) = strip.frame(120.0, (60.0, 70.0))
    assert (found.id, found.index, found.missed) == (1, 0, 0)
    assert strip.frame(160.0) == ()
    assert strip.tracker.defect(1) is not None  # its end still knows where it was
    strip.frame(200.0)
    assert strip.tracker.defect(1) is None


def test_labels_do_not_mix() -> None:
    """Two labels in one place are two tracks."""
    strip = Strip()
    strip.count(80.0)
    both = seen_at(80.0, 80, 0, region(20.0), region(20.0, label="patches"))
    assert [one.id for one in strip.tracker.update(both)] == [1, 2]


def test_two_regions_of_a_frame_are_two_tracks() -> None:
    """They touch, and yet the segmentation says that they are two."""
    strip = Strip()
    strip.count(80.0)
    tracks = strip.tracker.update(seen_at(80.0, 80, 0, region(20.0), region(41.0)))
    assert [one.id for one in tracks] == [1, 2]


def test_without_a_position_each_frame_shows_other_defects() -> None:
    """Nothing is joined when nobody knows how far the strip ran, and no place is told."""
    strip = Strip()
    tracks = [
        strip.tracker.update(seen_at(0.0, 5_000 + at, at, region(20.0)))[0].id for at in range(3)
    ]
    assert tracks == [1, 2, 3]
    assert strip.tracker.defect(3) is None
    (again,) = strip.frame(80.0, (50.0, 60.0))
    assert again.id == 4


def test_it_follows_regions() -> None:
    """A result without regions is a mistake of whoever put the station together."""
    with pytest.raises(TypeError, match="Segmentation"):
        Strip().tracker.update(make_observation(make_frame(captured_ns=5 * MS)))
