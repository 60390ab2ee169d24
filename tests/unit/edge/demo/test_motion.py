"""How the drawn strip runs."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.demo.motion import Motion

speeds = st.floats(1.0, 20_000.0)
variations = st.floats(0.0, 0.95)
periods = st.floats(0.05, 60.0)
ramps = st.just(0.0) | st.floats(0.001, 10.0)
slowing = st.one_of(st.none(), st.floats(10.0, 20.0))


@st.composite
def motions(draw: st.DrawFn) -> Motion:
    """Motions of all kinds."""
    return Motion(
        draw(speeds),
        draw(variations),
        draw(periods),
        draw(ramps),
        slow_from_s=draw(slowing),
        slow_s=draw(ramps),
    )


@given(motions(), st.floats(0.0, 60.0), st.floats(1e-3, 10.0))
def test_the_strip_always_runs_forwards(motion: Motion, t_s: float, step_s: float) -> None:
    """A millisecond later more strip has passed, however it swings, starts or slows down."""
    assert motion.mm(t_s + step_s) > motion.mm(t_s) >= 0.0


@settings(max_examples=30, deadline=None)
@given(motions(), st.floats(0.01, 30.0))
def test_the_position_is_the_integral_of_the_speed(motion: Motion, t_s: float) -> None:
    """A sum of 5000 small steps comes to the same, but for what one of them can hide."""
    step_s = t_s / 5000
    summed = sum(motion.mm_per_s((k + 0.5) * step_s) for k in range(5000)) * step_s
    assert motion.mm(t_s) == pytest.approx(summed, rel=1e-3, abs=4 * step_s * 20_000)


def test_it_starts_from_a_standstill_and_slows_down() -> None:
    """Half the way in the ramp, the full speed after it, a tenth at the end."""
    motion = Motion(1000.0, 0.0, ramp_s=2.0, slow_from_s=5.0, slow_s=1.0)
    assert motion.mm(-1.0) == motion.mm(0.0) == motion.mm_per_s(-1.0) == 0.0
    assert motion.mm(2.0) == pytest.approx(1000.0)
    assert motion.mm(5.0) == pytest.approx(4000.0)
    assert motion.mm(6.0) == pytest.approx(4550.0)
    assert motion.mm_per_s(5.5) == pytest.approx(550.0)
    assert motion.mm(16.0) == pytest.approx(5550.0)
    at_once = Motion(1000.0, 0.0, ramp_s=0.0, slow_from_s=1.0, slow_s=0.0)
    assert at_once.mm(2.0) == pytest.approx(1100.0)


def test_the_speed_swings_around_its_mean() -> None:
    """By the variation to either side, and over whole periods it evens out."""
    motion = Motion(1000.0, 0.2, 3.0, 0.0)
    assert motion.mm_per_s(0.75) == pytest.approx(1200.0)
    assert motion.mm_per_s(2.25) == pytest.approx(800.0)
    assert motion.mm(6.0) == pytest.approx(6000.0)


@given(motions(), st.floats(0.0, 30.0), st.floats(0.01, 10.0))
def test_an_ideal_encoder_counts_whole_steps(motion: Motion, t_s: float, step_mm: float) -> None:
    """The count is never ahead of the strip, and never a step behind."""
    count = motion.count(t_s, step_mm)
    assert count >= 0
    assert count == math.floor(motion.mm(t_s) / step_mm)


def test_a_strip_that_starts_has_counted_nothing() -> None:
    """Not minus one either: rounding in the first nanoseconds does not show."""
    motion = Motion(1000.0)
    assert {motion.count(k * 1e-9, 0.1) for k in range(1000)} == {0}
    with pytest.raises(ValueError, match="mm_per_count"):
        motion.count(1.0, 0.0)


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"mm_per_s": 0.0}, "mm_per_s"),
        ({"variation": 1.0}, "variation"),
        ({"period_s": 0.0}, "period_s"),
        ({"ramp_s": math.nan}, "ramp_s"),
        ({"slow_s": 1e-9}, "slow_s"),
        ({"slow_from_s": 0.5}, "slows down"),
    ],
)
def test_motions_that_cannot_be_are_refused(wrong: dict[str, Any], match: str) -> None:
    """The mistake is named."""
    with pytest.raises(ValueError, match=match):
        Motion(**{"mm_per_s": 1000.0, **wrong})
