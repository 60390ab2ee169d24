"""When the next frame of a paced source is due."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.sources.frames import Moment, Pace

SECOND = 1_000_000_000


def test_the_first_release_starts_the_clock() -> None:
    """Nothing is due before the first frame; the second follows by its delay."""
    pace = Pace()
    assert pace.due_ns == 0

    pace.release(5 * SECOND, 0.1)

    assert pace.due_ns == 5 * SECOND + SECOND // 10


def test_small_delays_do_not_add_up() -> None:
    """A frame taken late by less than its time leaves the schedule where it was."""
    pace = Pace()
    pace.release(SECOND, 0.1)
    pace.release(pace.due_ns + 50_000_000, 0.1)

    assert pace.due_ns == SECOND + 2 * SECOND // 10


def test_a_long_absence_shifts_the_schedule() -> None:
    """A frame taken later than its own time is followed by one at once, and then by the rest at
    their pace.
    """
    pace = Pace()
    pace.release(SECOND, 0.1)
    pace.release(10 * SECOND, 0.1)
    assert pace.due_ns == 10 * SECOND

    pace.release(10 * SECOND, 0.1)

    assert pace.due_ns == 10 * SECOND + SECOND // 10


@given(
    st.lists(st.tuples(st.floats(0, 2), st.floats(0, 2)), min_size=1, max_size=30),
    st.integers(1, 2**60),
)
def test_nothing_is_ever_due_in_the_past_or_too_late(
    steps: list[tuple[float, float]], start_ns: int
) -> None:
    """Whenever the reader comes, the next frame is due no earlier than now and no later than its
    delay from now.
    """
    pace, now_ns = Pace(), start_ns
    for late_s, delay_s in steps:
        now_ns = max(now_ns, pace.due_ns) + round(late_s * SECOND)
        pace.release(now_ns, delay_s)
        assert now_ns <= pace.due_ns <= now_ns + round(delay_s * SECOND)


def test_a_moment_is_in_utc() -> None:
    """The wall-clock half of a moment says that it is UTC."""
    offset = Moment.now().utc.utcoffset()

    assert offset is not None
    assert not offset
