"""MaskRule, DefectRule and the rate limit."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from edge.errors import ConfigError
from edge.protocols import Rule
from edge.records import (
    Alert,
    Box,
    Detections,
    HeldBack,
    HitCount,
    Measure,
    Observation,
    Region,
    Segmentation,
    Timings,
    Track,
)
from edge.rules import DefectRule, MaskRule, RateLimited, TokenBucket
from tests.helpers.observations import MODEL, START, header, observed
from tests.helpers.people import People, counter, flat, phases, play


def _one(*scores: float | None) -> list[People]:
    return [{1: score} for score in scores]


def _rule(**keys: float) -> MaskRule:
    return MaskRule(counter(), **{"holdoff_s": 0.0, **keys})  # type: ignore[arg-type]


def test_keeps_the_contract() -> None:
    """Both are Rules, and so is the one around the other."""
    assert isinstance(_rule(), Rule)
    assert isinstance(RateLimited(_rule(), counter(), rate_per_s=1, burst=1), Rule)


def test_raised_at_the_fifth_hit() -> None:
    """Five hits among the last eight judged frames raise, not four."""
    assert phases(play(_rule(), _one(0.9, 0.9, 0.9, 0.9))) == []
    assert phases(play(_rule(), _one(0.9, 0.9, 0.5, 0.9, 0.9, 0.5, 0.9))) == [(6, "new")]
    assert phases(play(_rule(), _one(*[0.9] * 4, *[0.5] * 5, *[0.9] * 4))) == []


def test_new_alert_says_all() -> None:
    """A new alert has its evidence, place, track, score now and peak."""
    (alert,) = flat(play(_rule(), _one(0.7, 0.95, 0.2, 0.7, 0.7, 0.625)))
    assert (alert.id, alert.rev, alert.phase) == ("0000000000000000-1", 1, "new")
    assert (alert.task, alert.severity, alert.label) == ("face_mask", "warning", "without_mask")
    assert [alert.score, alert.peak] == pytest.approx([0.625, 0.95])
    assert alert.frames == HitCount(5, 6, 0, 5)
    assert alert.box is not None
    assert (alert.box.x, alert.track, alert.summary) == (100.0, 1, None)
    assert (alert.header.sequence, alert.model) == (5, MODEL)


def test_ends_when_clear() -> None:
    """Five clear frames among the last eight end the alert; the frames that raised it count not."""
    said = play(_rule(), _one(*[0.9] * 5, *[0.1] * 5))
    assert phases(said) == [(4, "new"), (9, "end")]
    new, end = flat(said)
    assert (end.id, end.rev) == (new.id, 2)
    assert end.score == pytest.approx(0.1)
    assert end.frames == HitCount(3, 8, 2, 9)


def test_a_single_hit_rule_does_not_end_by_the_frames_before() -> None:
    """Clear frames before the alert do not end it, even if few are asked for."""
    said = play(_rule(hits=1, of=8), _one(0.1, 0.1, 0.1, 0.9, 0.9, 0.1))
    assert phases(said) == [(3, "new"), (5, "end")]


_BAND = [0.9] * 5 + [0.65, 0.45] * 20
"""Raised once, then a score that wanders around 0.55 for 40 frames."""


def test_hysteresis_keeps_still_inside_the_band() -> None:
    """A score between clear_at and raise_at neither ends nor raises."""
    assert phases(play(_rule(hits=1, of=1), _one(*_BAND))) == [(0, "new")]


def test_without_hysteresis_it_flaps() -> None:
    """The twin: with clear_at == raise_at the same scores open and close again and again."""
    said = play(_rule(hits=1, of=1, raise_at=0.55, clear_at=0.55), _one(*_BAND))
    assert len(phases(said)) > 30


def test_a_lost_person_ends_the_alert() -> None:
    """When the tracker gives the person up the alert ends at the last seen place."""
    said = play(_rule(), [*_one(*[0.9] * 5, None, None), {}])
    assert phases(said) == [(4, "new"), (7, "end")]
    end = flat(said)[-1]
    assert (end.header.sequence, end.track, end.box) == (7, 1, flat(said)[0].box)
    assert end.frames == HitCount(5, 5, 0, 4)


def test_missing_frames_are_not_judged() -> None:
    """Frames in which the person is not seen count neither as hit nor as clear."""
    said = play(_rule(), _one(0.9, None, 0.9, None, 0.9, None, 0.9, None, 0.9, *[None] * 9, 0.9))
    assert phases(said) == [(8, "new")]


def test_each_person_has_an_alert() -> None:
    """Two people without a mask are two alerts with two ids; oldest first in one frame."""
    said = play(_rule(), [{1: 0.9, 2: 0.9}] * 5 + [{}])
    assert [[(a.track, a.phase) for a in alerts] for alerts in said[4:]] == [
        [(1, "new"), (2, "new")],
        [(1, "end"), (2, "end")],
    ]
    assert len({alert.id for alert in flat(said)}) == 2


def test_update_when_the_peak_rises() -> None:
    """A peak that rose by 0.05 is told after 1 s, once."""
    said = play(_rule(), _one(*[0.7] * 5, *[0.8] * 30), fps=10)
    assert phases(said) == [(4, "new"), (14, "update")]
    assert flat(said)[1].rev == 2
    assert flat(said)[1].peak == pytest.approx(0.8)


def test_no_update_for_a_small_rise() -> None:
    """The twin: a rise below 0.05 is not worth a message."""
    assert phases(play(_rule(), _one(*[0.7] * 5, *[0.74] * 30))) == [(4, "new")]


def test_hold_off_for_the_same_track() -> None:
    """The same track has no new alert for holdoff_s after its end, then at once when still due."""
    frames = _one(*[0.9] * 5, *[0.1] * 5, *[0.9] * 30)
    assert phases(play(_rule(holdoff_s=2.0), frames)) == [(4, "new"), (9, "end"), (29, "new")]
    assert phases(play(_rule(), frames)) == [(4, "new"), (9, "end"), (14, "new")]


def test_hold_off_for_a_new_track_at_the_same_place() -> None:
    """A person who was lost and comes back there as a new track is held off, too."""
    frames: list[People] = [*_one(*[0.9] * 5), {}, *[{2: 0.9}] * 30]
    near = play(_rule(holdoff_s=2.0), frames, place={2: 130.0})
    assert phases(near) == [(4, "new"), (5, "end"), (25, "new")]
    far = play(_rule(holdoff_s=2.0), frames, place={2: 300.0})
    assert phases(far) == [(4, "new"), (5, "end"), (10, "new")]


@pytest.mark.parametrize("lost_at", [5, 6], ids=["before", "in the same frame"])
def test_a_new_resolution_keeps_the_hold_off(lost_at: int) -> None:
    """F09: after a change of resolution the hold-off is where the person was, in new pixels,
    also when the tracker gives the person up in that very frame; elsewhere there is none.
    """

    def news(x: float) -> int:
        rule = _rule(holdoff_s=10)
        said: list[Alert] = []
        for k in range(12):
            early = k < 6
            left, size = (400.0, (640, 480)) if early else (x, (320, 240))
            faces = [] if k in (5, 6) else [(left, 100.0 if early else 50.0, 20.0, 20.0, 0.9)]
            at = observed(k, k / 10, faces, size=size)
            tracks = [
                Track(1 if early else 2, at.result.box(row), row)  # type: ignore[union-attr]
                for row in range(len(faces))
            ]
            if k == 5 and lost_at == 6:
                tracks = [Track(1, Box(400.0, 100.0, 20.0, 20.0), None, 1)]
            said += rule.update(at, tracks)
        return sum(alert.phase == "new" for alert in said)

    assert news(200.0) == 1
    assert news(20.0) == 2


def test_somebody_beside_is_not_held_off() -> None:
    """A person who stood beside the one whose alert ended is somebody else."""
    frames: list[People] = [*[{1: 0.9, 2: 0.5}] * 5, *[{1: 0.1, 2: 0.9}] * 6]
    said = play(_rule(holdoff_s=60.0), frames, place={2: 130.0})
    assert [(a.track, a.phase) for a in flat(said)] == [(1, "new"), (1, "end"), (2, "new")]


def test_second_track_of_a_missing_person_is_held_off() -> None:
    """While the alert is open and its person missing, a new track there is that person."""
    frames: list[People] = [*_one(*[0.9] * 5), *[{1: None, 2: 0.9}] * 9]
    assert phases(play(_rule(), frames, place={2: 120.0})) == [(4, "new")]
    assert phases(play(_rule(), frames, place={2: 300.0})) == [(4, "new"), (9, "new")]


def test_finish_ends_everything() -> None:
    """Finish ends every open alert once, and nothing when nothing was seen."""
    rule = _rule()
    assert rule.finish() == ()
    play(rule, [{1: 0.9, 2: 0.9}] * 5)
    assert [(a.track, a.phase, a.rev) for a in rule.finish()] == [(1, "end", 2), (2, "end", 2)]
    assert rule.finish() == ()


def test_unclassified_faces_are_refused() -> None:
    """Detections that nobody classified cannot be judged: TypeError."""
    bare = Detections(np.zeros((1, 4), np.float32), np.ones(1, np.float32), ("face",))
    with pytest.raises(TypeError, match="classification of each box"):
        _rule().update(Observation(header(0, 0.0), bare, MODEL, Timings()), ())


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ({"clear_at": 0.7}, "rule.clear_at"),
        ({"raise_at": 1.1}, "rule.clear_at"),
        ({"clear_at": float("nan")}, "rule.clear_at"),
        ({"hits": 9}, "rule.hits"),
        ({"hits": 0}, "rule.hits"),
        ({"holdoff_s": -1}, "rule.holdoff_s"),
    ],
)
def test_wrong_parameters_are_named(keys: dict[str, float], named: str) -> None:
    """A parameter out of its range is a ConfigError that names the key."""
    with pytest.raises(ConfigError, match=named):
        _rule(**keys)


def test_bucket_gives_burst_then_rate() -> None:
    """A bucket of 2 at 0.1/s gives 2 at once and then one each 10 s, never more than 2 at once."""
    bucket = TokenBucket(rate_per_s=0.1, burst=2)
    taken = [second for second in range(41) if bucket.take(second * 10**9)]
    assert taken == [0, 1, 10, 20, 30, 40]
    assert [bucket.take(1000 * 10**9) for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize(("rate", "burst"), [(0.0, 1), (float("nan"), 1), (1.0, 0)])
def test_bucket_refuses_nonsense(rate: float, burst: int) -> None:
    """A bucket that never gives anything is a ConfigError."""
    with pytest.raises(ConfigError, match=r"outbox\."):
        TokenBucket(rate_per_s=rate, burst=burst)


def test_held_back_alert_is_silent_to_its_end() -> None:
    """What the limit holds back sends no update and no end; one summary counts it."""
    ids = counter()
    rule = RateLimited(MaskRule(ids, holdoff_s=0), ids, rate_per_s=1.0, burst=1)
    before, after = {1: 0.9, 2: 0.7, 3: 0.8}, {1: 0.9, 2: 0.9, 3: 0.8}
    frames: list[People] = [*[before] * 5, *[after] * 12]
    said = play(rule, [*frames, {}])
    assert [(k, a.phase, a.track) for k, row in enumerate(said) for a in row] == [
        (4, "new", 1),
        (14, "end", None),
        (17, "end", 1),
    ]
    new, summary, end = flat(said)
    begun = START + timedelta(seconds=0.4)
    assert summary.summary == HeldBack(2, begun, begun)
    assert (summary.rev, summary.box, summary.frames) == (1, None, None)
    assert summary.peak == pytest.approx(0.8)
    assert summary.id not in (new.id, end.id)
    assert (summary.header.sequence, end.rev) == (14, 2)


def test_without_the_limit_all_are_heard() -> None:
    """The twin: a burst that is large enough holds nothing back."""
    ids = counter()
    rule = RateLimited(MaskRule(ids, holdoff_s=0), ids, rate_per_s=1.0, burst=3)
    said = flat(play(rule, [{1: 0.9, 2: 0.9, 3: 0.9}] * 5))
    assert [(a.phase, a.summary) for a in said] == [("new", None)] * 3


def test_finish_tells_what_was_held_back() -> None:
    """A summary that is still due is sent at the end, without a token."""
    ids = counter()
    rule = RateLimited(MaskRule(ids), ids, rate_per_s=0.001, burst=1)
    assert rule.finish() == ()
    play(rule, [{1: 0.9, 2: 0.9, 3: 0.9}] * 5)
    summary, end = rule.finish()
    assert summary.summary is not None
    assert (summary.summary.held_back, end.track, end.phase) == (2, 1, "end")
    assert rule.finish() == ()


def test_quiet_frames_say_nothing() -> None:
    """Frames without people cause no alert and need no tracks."""
    rule = RateLimited(_rule(), counter(), rate_per_s=1, burst=1)
    assert rule.update(observed(0, 0.0), ()) == ()


def _defects(sequence: int, *scores: float) -> tuple[Observation, tuple[Track, ...]]:
    """Regions with these scores, each a track that is new in this frame."""
    regions = tuple(
        Region("scratches", Box(30.0 * k, 5.0, 20.0, 10.0), 120.0, 20.0, 6.0, score)
        for k, score in enumerate(scores)
    )
    result = Segmentation(("scratches",), np.zeros((1, 40, 200), np.bool_), regions)
    observation = Observation(header(sequence, sequence / 10), result, MODEL, Timings())
    tracks = tuple(Track(100 * sequence + k, region.box, k, 0) for k, region in enumerate(regions))
    return observation, tracks


def test_a_defect_is_reported_in_its_first_frame() -> None:
    """One hit is enough, each region is an alert with its sizes, and the next frame ends them."""
    rule = DefectRule(counter())
    said = rule.update(*_defects(0, 0.9, 0.5, 0.7))
    assert [(one.phase, one.label, one.task) for one in said] == [
        ("new", "scratches", "steel_defect")
    ] * 2
    assert said[0].measures == (
        Measure("area", 120.0, "px2"),
        Measure("length", 20.0, "px"),
        Measure("width", 6.0, "px"),
    )
    again = rule.update(*_defects(1, 0.8))
    assert [one.phase for one in again] == ["end", "end", "new"]
    assert [one.id for one in again[:2]] == [one.id for one in said]
    assert [one.phase for one in rule.finish()] == ["end"]


def test_a_defect_rule_judges_regions_only() -> None:
    """Faces are no defects, and regions no faces."""
    with pytest.raises(TypeError, match="DefectRule judges a Segmentation"):
        DefectRule(counter()).update(observed(0, 0.0, [(10.0, 10.0, 20.0, 20.0, 0.9)]), ())
    with pytest.raises(TypeError, match="MaskRule judges Detections"):
        _rule().update(*_defects(0, 0.9))
