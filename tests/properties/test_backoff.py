"""What every sequence of delays has in common."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from edge.backoff import Backoff

seconds = st.floats(min_value=0.01, max_value=100.0)
shares = st.floats(min_value=0.0, max_value=1.0)
seeds = st.integers(min_value=0, max_value=2**32)


@given(first=seconds, factor=st.floats(1.0, 100.0), jitter=shares, floor=shares, seed=seeds)
def test_every_delay_is_between_the_minimum_and_the_doubling_limit(
    first: float, factor: float, jitter: float, floor: float, seed: int
) -> None:
    """The n-th delay is at most first × 2^n, never above the cap, never below the minimum, and
    chance takes at most its share.
    """
    cap, minimum = first * factor, first * floor
    delays = Backoff(first, cap, random.Random(seed), jitter=jitter, minimum_s=minimum)

    for attempt in range(12):
        longest = min(first * 2.0**attempt, cap)
        delay = delays.next_s()
        assert delay <= longest * (1 + 1e-12)
        assert delay >= minimum * (1 - 1e-12)
        assert delay >= longest * (1.0 - jitter) * (1 - 1e-12)


@given(seed=seeds)
def test_two_connects_are_never_within_a_second(seed: int) -> None:
    """With full jitter and the broker's minimum no delay is shorter than 1 s."""
    delays = Backoff(1.0, 8.0, random.Random(seed), jitter=1.0, minimum_s=1.0)

    assert all(delays.next_s() >= 1.0 for _ in range(20))


def test_without_the_minimum_full_jitter_would_connect_within_a_second() -> None:
    """The twin: it is the minimum that keeps connects apart, chance alone does not."""
    delays = Backoff(1.0, 8.0, random.Random(7), jitter=1.0)

    assert any(delays.next_s() < 1.0 for _ in range(50))


@given(seed=seeds, before=st.integers(0, 10))
def test_reset_gives_the_bounds_of_a_fresh_one(seed: int, before: int) -> None:
    """However many attempts failed, after a reset the delay is a first delay."""
    delays = Backoff(0.5, 3.0, random.Random(seed))
    for _ in range(before):
        delays.next_s()

    delays.reset()

    assert 0.4 <= delays.next_s() <= 0.5


def test_stations_with_other_chances_do_not_come_back_together() -> None:
    """A hundred stations that lost the same broker spread over the second second."""
    second = []
    for seed in range(100):
        delays = Backoff(1.0, 8.0, random.Random(seed), jitter=1.0, minimum_s=1.0)
        delays.next_s()
        second.append(delays.next_s())

    assert max(sum(edge <= s < edge + 0.1 for s in second) for edge in (1.0, 1.3, 1.6, 1.9)) <= 30
