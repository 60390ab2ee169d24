"""The delays between attempts to reach a camera or a broker."""

from __future__ import annotations

import random

import pytest

from edge.backoff import Backoff


class _Highest(random.Random):
    """Chance that takes next to nothing away."""

    def random(self) -> float:
        return 1.0 - 2.0**-53


def test_a_camera_waits_half_a_second_then_one_then_two_then_three() -> None:
    """F03: without luck a camera's delays are 0.5, 1, 2, 3, 3 s."""
    delays = Backoff(0.5, 3.0, _Highest())

    assert [round(delays.next_s(), 6) for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_a_broker_waits_one_second_up_to_eight() -> None:
    """Without luck a broker's delays double from 1 s to 8 s."""
    delays = Backoff(1.0, 8.0, _Highest(), jitter=1.0, minimum_s=1.0)

    assert [round(delays.next_s(), 6) for _ in range(5)] == [1.0, 2.0, 4.0, 8.0, 8.0]


def test_reset_starts_again() -> None:
    """After a success the next delay is a first one."""
    delays = Backoff(0.5, 3.0, _Highest())
    for _ in range(4):
        delays.next_s()

    delays.reset()

    assert delays.next_s() == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("first_s", "cap_s", "jitter", "minimum_s"),
    [
        (0.0, 1.0, 0.5, 0.0),
        (2.0, 1.0, 0.5, 0.0),
        (1.0, 8.0, 0.5, 2.0),
        (1.0, 8.0, 1.5, 0.0),
        (1.0, 8.0, -0.1, 0.0),
        (1.0, 8.0, 0.5, -1.0),
        (1.0, float("inf"), 0.5, 0.0),
        (float("nan"), 8.0, 0.5, 0.0),
        (1.0, 8.0, float("nan"), 0.0),
    ],
)
def test_contradicting_parameters_are_refused(
    first_s: float, cap_s: float, jitter: float, minimum_s: float
) -> None:
    """A Backoff that could not keep its promises is not built."""
    with pytest.raises(ValueError, match="backoff"):
        Backoff(first_s, cap_s, random.Random(0), jitter=jitter, minimum_s=minimum_s)
