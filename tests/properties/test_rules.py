"""MaskRule and the rate limit over any history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.records import Alert
from edge.rules import MaskRule, RateLimited
from tests.helpers.people import People, counter, flat, play

_SCORE = st.one_of(st.none(), st.sampled_from([0.0, 0.3, 0.45, 0.55, 0.65, 0.8, 1.0]))
_HISTORY = st.lists(st.dictionaries(st.integers(1, 4), _SCORE, max_size=4), max_size=60)
_HITS_OF = st.integers(1, 6).flatmap(lambda of: st.tuples(st.integers(1, of), st.just(of)))


def _lives(alerts: Sequence[Alert]) -> dict[str, list[Alert]]:
    lives: dict[str, list[Alert]] = {}
    for alert in alerts:
        lives.setdefault(alert.id, []).append(alert)
    return lives


def _check_lives(alerts: Sequence[Alert]) -> None:
    """Each id lives once: new, update*, end, with rev 1 to n, on one track."""
    for life in _lives(alerts).values():
        assert [alert.rev for alert in life] == list(range(1, len(life) + 1))
        expected = ["new", *["update"] * (len(life) - 2), "end"]
        assert [alert.phase for alert in life] == expected
        assert len({alert.track for alert in life}) == 1
        peaks = [alert.peak for alert in life]
        assert peaks == sorted(peaks)
        assert all(alert.score <= alert.peak for alert in life)


def _fill(history: Sequence[People]) -> list[People]:
    """A tracker never lets an id come back: what a history leaves out it is missing for."""
    return [{k: people.get(k) for k in range(1, 5)} for people in history]


@settings(deadline=None)
@given(_HISTORY, _HITS_OF, st.sampled_from([0.0, 0.5, 5.0]))
def test_every_alert_lives_once(
    history: list[People], hits_of: tuple[int, int], holdoff_s: float
) -> None:
    """Revisions of an id are new, update*, end with rev 1..n; a person has one alert at a time."""
    hits, of = hits_of
    rule = MaskRule(counter(), hits=hits, of=of, holdoff_s=holdoff_s)
    said = play(rule, _fill(history))
    alerts = [*flat(said), *rule.finish()]
    _check_lives(alerts)
    open_now: set[int | None] = set()
    for alert in alerts:
        if alert.phase == "new":
            assert alert.track not in open_now
            open_now.add(alert.track)
        elif alert.phase == "end":
            open_now.remove(alert.track)
    assert not open_now


@settings(deadline=None)
@given(_HISTORY, _HITS_OF, st.integers(1, 4), st.sampled_from([0.01, 1.0, 20.0]))
def test_limited_alerts_live_once_and_none_is_uncounted(
    history: list[People], hits_of: tuple[int, int], burst: int, rate: float
) -> None:
    """Behind the limit lives are whole or silent; new alerts and summaries count every one."""
    hits, of = hits_of
    free = MaskRule(counter(), hits=hits, of=of, holdoff_s=0)
    ids = counter()
    limited = RateLimited(
        MaskRule(ids, hits=hits, of=of, holdoff_s=0), ids, rate_per_s=rate, burst=burst
    )
    everything = [*flat(play(free, _fill(history))), *free.finish()]
    before_finish = flat(play(limited, _fill(history)))
    heard = [*before_finish, *limited.finish()]
    summaries = [alert.summary for alert in heard if alert.summary is not None]
    lives = [alert for alert in heard if alert.summary is None]
    _check_lives(lives)
    news = sum(alert.phase == "new" for alert in lives)
    held = sum(summary.held_back for summary in summaries)
    assert news + held == sum(alert.phase == "new" for alert in everything)
    passed = sum(alert.phase == "new" or alert.summary is not None for alert in before_finish)
    assert passed <= burst + rate * len(history) / 10 + 1e-6
    assert all(summary.since <= summary.until for summary in summaries)


@settings(deadline=None)
@given(st.lists(st.floats(0.41, 0.59), max_size=60), st.booleans())
def test_nothing_happens_inside_the_band(scores: list[float], raised: bool) -> None:
    """Between clear_at and raise_at an alert neither opens nor closes, whatever the scores do."""
    rule = MaskRule(counter(), hits=1, of=1)
    opened = flat(play(rule, [{1: 0.9}] if raised else []))
    assert len(opened) == raised
    assert flat(play(rule, [{1: score} for score in scores], start=1)) == []
    assert len(rule.finish()) == raised


@settings(deadline=None)
@given(_HISTORY, _HITS_OF)
def test_number_of_alerts_is_bounded(history: list[People], hits_of: tuple[int, int]) -> None:
    """Each alert of a person costs ``hits`` frames to raise and as many to clear."""
    hits, of = hits_of
    rule = MaskRule(counter(), hits=hits, of=of, holdoff_s=0)
    news = [alert for alert in flat(play(rule, _fill(history))) if alert.phase == "new"]
    for track in range(1, 5):
        judged = sum(people.get(track) is not None for people in history)
        mine = sum(alert.track == track for alert in news)
        assert mine * hits + max(mine - 1, 0) * hits <= judged


def test_the_check_of_lives_notices_what_is_wrong() -> None:
    """The twin: a life opened twice, without end, with a gap or on two tracks is caught."""
    rule = MaskRule(counter(), hits=1, of=1)
    new, end = *flat(play(rule, [{1: 0.9}])), *rule.finish()
    _check_lives([new, end])
    for wrong in (
        [new, new, end],
        [new, replace(end, rev=3)],
        [new, replace(end, track=2)],
        [new],
        [end],
        [replace(new, peak=1.0), end],
    ):
        with pytest.raises(AssertionError):
            _check_lives(wrong)
