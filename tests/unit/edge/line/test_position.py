"""Where the strip was."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.line.position import EncoderPositioner, Position
from edge.line.speed import SpeedPositioner
from edge.records import EncoderSample, SpeedSample

MS = 1_000_000


def _encoder(*samples: tuple[int, int], bits: int | None = None) -> EncoderPositioner:
    """Half a millimetre a count; samples as count and milliseconds."""
    found = EncoderPositioner(0.5, bits=bits)
    for count, at_ms in samples:
        found.tell(EncoderSample(count, at_ms * MS))
    return found


def _mm(position: Position | None) -> float:
    assert position is not None
    return position.mm


def test_between_samples_the_strip_runs_evenly() -> None:
    """A quarter of the way is a quarter of the counts; the origin is the first sample."""
    encoder = _encoder((1000, 0), (1100, 100), (1300, 200))
    assert _mm(encoder.at(25 * MS)) == pytest.approx(12.5)
    assert _mm(encoder.at(100 * MS)) == pytest.approx(50.0)
    assert _mm(encoder.at(150 * MS)) == pytest.approx(100.0)


def test_the_bound_is_what_may_be_wrong() -> None:
    """At a sample it is one count, in the middle half the step more."""
    encoder = _encoder((0, 0), (100, 100))
    at_sample, between = encoder.at(100 * MS), encoder.at(50 * MS)
    assert at_sample == Position(50.0, 0.5)
    assert between == Position(25.0, 25.5)


def test_behind_the_last_sample_it_goes_on() -> None:
    """As between the last two, and the bound grows with the time nobody counted."""
    encoder = _encoder((0, 0), (100, 100))
    assert encoder.at(110 * MS) == Position(55.0, 5.5)
    assert encoder.at(601 * MS) is None


def test_what_was_before_the_first_sample_is_not_known() -> None:
    """Neither is anything without a sample, nor behind a single one."""
    encoder = EncoderPositioner(1.0)
    assert encoder.at(5) is None
    encoder.tell(EncoderSample(7, 10))
    assert encoder.at(9) is None
    assert encoder.at(10) == Position(0.0, 1.0)
    assert encoder.at(11) is None


def test_a_counter_that_wraps_goes_on() -> None:
    """From 250 to 4 an 8-bit counter has gone on by ten."""
    encoder = _encoder((250, 0), (4, 100), bits=8)
    assert _mm(encoder.at(100 * MS)) == pytest.approx(5.0)
    assert (encoder.faults["jumped_back"], encoder.losses) == (0, 0)
    unknown = _encoder((65_530, 0), (4, 100))
    assert _mm(unknown.at(100 * MS)) == 0.0
    assert (unknown.faults["jumped_back"], unknown.losses) == (1, 1)


def test_a_counter_that_jumps_back_begins_anew() -> None:
    """From the position that was reached; it is counted, and the place is lost."""
    encoder = _encoder((0, 0), (9000, 100), (18_000, 200), (5, 300), (25, 400))
    at = [_mm(encoder.at(t * MS)) for t in (200, 300, 400)]
    assert at == pytest.approx([9000.0, 9000.0, 9010.0])
    assert (encoder.faults["jumped_back"], encoder.losses) == (1, 1)


@pytest.mark.parametrize("leap", [2**64 - 1, 2**32 - 1, 20_000])
def test_a_counter_that_leaps_forward_moves_no_strip(leap: int) -> None:
    """What no strip can run in that time is a misread count: counted, and a loss."""
    encoder = _encoder((0, 0), (100, 100), (leap, 200), (leap + 20, 300))
    assert _mm(encoder.at(300 * MS)) == pytest.approx(60.0)
    assert (encoder.faults["jumped_forward"], encoder.losses) == (1, 1)


def test_a_strip_that_trembles_stands() -> None:
    """A count that flips to and fro adds nothing, and what it is behind is made up for first."""
    encoder = EncoderPositioner(0.5)
    for number in range(1000):
        encoder.tell(EncoderSample(101 - number % 2, number * MS))
    assert _mm(encoder.at(999 * MS)) == 0.0
    encoder.tell(EncoderSample(92, 1000 * MS))
    encoder.tell(EncoderSample(101, 1001 * MS))
    assert _mm(encoder.at(1001 * MS)) == 0.0
    encoder.tell(EncoderSample(103, 1002 * MS))
    assert _mm(encoder.at(1002 * MS)) == 1.0
    assert encoder.faults == {"jumped_back": 0, "jumped_forward": 0, "out_of_order": 0}
    assert encoder.losses == 0


def test_a_strip_that_is_pulled_back_has_no_position() -> None:
    """Until it has passed where it was: meanwhile the gate is shut, and it is counted once."""
    encoder = EncoderPositioner(0.5)
    for number, count in enumerate((0, 100, 200, 180, 150, 170, 200, 220, 240)):
        encoder.tell(EncoderSample(count, number * 10 * MS))
        if 3 <= number < 6:
            assert encoder.at((number * 10 + 1) * MS) is None
    assert _mm(encoder.at(80 * MS)) == 120.0
    assert encoder.at(45 * MS) is None
    assert (encoder.faults["jumped_back"], encoder.losses) == (1, 1)


def test_a_count_that_fell_while_nobody_looked_began_anew() -> None:
    """An encoder that was away for a second and is at 0 again: a loss, not a long way back."""
    encoder = EncoderPositioner(0.5, leap_mm=100.0)
    for number in range(10):
        encoder.tell(EncoderSample(number * 1000, number * 100 * MS))
    encoder.tell(EncoderSample(0, 2000 * MS))
    encoder.tell(EncoderSample(20, 2010 * MS))
    assert _mm(encoder.at(2010 * MS)) == 4500.0 + 100.0 + 10.0
    assert encoder.at(1950 * MS) is None
    assert encoder.losses == 1


def test_what_was_taken_before_a_loss_keeps_its_place() -> None:
    """The leap is at the sample that shows the loss, and nowhere before it."""
    encoder = EncoderPositioner(0.5, leap_mm=100.0)
    for number in range(10):
        encoder.tell(EncoderSample(number * 1000, number * 100 * MS))
    before = _mm(encoder.at(850 * MS))
    encoder.tell(EncoderSample(10**9, 1000 * MS))
    encoder.tell(EncoderSample(10**9 + 20, 1010 * MS))
    assert _mm(encoder.at(850 * MS)) == before
    assert _mm(encoder.at(1010 * MS)) == 4500.0 + 100.0 + 10.0


def test_a_strip_that_trembles_over_a_restart_is_no_loss() -> None:
    """One count back is nothing."""
    encoder = EncoderPositioner(0.5, leap_mm=100.0)
    encoder.resume(4000, 2000.0)
    encoder.tell(EncoderSample(3999, 100 * MS))
    assert _mm(encoder.at(100 * MS)) == 2000.0
    encoder.tell(EncoderSample(4002, 120 * MS))
    assert _mm(encoder.at(120 * MS)) == 2001.0
    assert encoder.losses == 0


def test_two_samples_a_moment_apart_tell_no_speed() -> None:
    """The speed behind the last sample is measured over ten milliseconds at least."""
    encoder = _encoder((0, 0), (100, 100))
    encoder.tell(EncoderSample(102, 100 * MS + 1000))
    later = encoder.at(120 * MS)
    assert later is not None
    assert later.mm == pytest.approx(51.0 + 10.0, abs=0.3)


def test_a_counter_that_went_on_unseen_is_followed() -> None:
    """Resumed, the first sample counts from the count and position before; without, from zero."""
    encoder = EncoderPositioner(0.5, bits=8)
    encoder.resume(250, 100.0)
    encoder.tell(EncoderSample(4, 100 * MS))
    assert _mm(encoder.at(100 * MS)) == pytest.approx(105.0)
    assert encoder.anchor == (4, 105.0)
    fresh = EncoderPositioner(0.5, bits=8)
    assert fresh.anchor is None
    fresh.tell(EncoderSample(4, 100 * MS))
    assert fresh.anchor == (4, 0.0)


def test_what_ran_unseen_is_no_speed() -> None:
    """Two metres during a restart do not throw the strip kilometres ahead."""
    encoder = EncoderPositioner(0.5)
    encoder.resume(0, 0.0)
    encoder.tell(EncoderSample(4000, 100 * MS))
    assert _mm(encoder.at(100 * MS)) == 2000.0
    assert encoder.at(101 * MS) is None
    encoder.tell(EncoderSample(4020, 110 * MS))
    assert _mm(encoder.at(120 * MS)) == pytest.approx(2020.0)


def test_a_counter_that_began_anew_unseen_is_a_loss() -> None:
    """It is below where it was: nobody knows how far the strip ran."""
    encoder = EncoderPositioner(0.5)
    encoder.resume(4000, 2000.0)
    encoder.tell(EncoderSample(7, 100 * MS))
    assert _mm(encoder.at(100 * MS)) == 2000.0
    assert encoder.losses == 1


def test_a_positioner_takes_its_own_samples() -> None:
    """A speed is no count, and a count no speed."""
    with pytest.raises(TypeError, match="counts"):
        EncoderPositioner(0.5).tell(SpeedSample(5.0, 1))
    with pytest.raises(TypeError, match="speeds"):
        SpeedPositioner(5.0).tell(EncoderSample(5, 1))


def test_a_sample_out_of_order_is_left_out() -> None:
    """An older or equal moment changes nothing and is counted."""
    encoder = _encoder((0, 0), (100, 100), (50, 50), (999, 100), (200, 200))
    assert _mm(encoder.at(150 * MS)) == pytest.approx(75.0)
    assert encoder.faults["out_of_order"] == 2


def test_a_gap_between_samples_has_no_position() -> None:
    """Over more than ``max_gap_ns`` nobody knows how the strip ran; at the samples one does."""
    encoder = _encoder((0, 0), (100, 600))
    assert encoder.at(300 * MS) is None
    assert _mm(encoder.at(600 * MS)) == pytest.approx(50.0)


@given(
    steps=st.lists(st.tuples(st.integers(0, 200), st.integers(1, 400)), min_size=1, max_size=40),
    bits=st.sampled_from([None, 10, 16]),
    data=st.data(),
)
def test_the_strip_is_within_the_bound(
    steps: list[tuple[int, int]], bits: int | None, data: st.DataObject
) -> None:
    """Whatever a strip does between two samples, short of running back, the bound holds it."""
    encoder = EncoderPositioner(0.5, bits=bits)
    counts, times = [0], [0]
    for step, passed_ms in steps:
        counts.append(counts[-1] + step)
        times.append(times[-1] + passed_ms * MS)
    for count, at_ns in zip(counts, times, strict=True):
        encoder.tell(EncoderSample(count if bits is None else count % (1 << bits), at_ns))
    place = data.draw(st.integers(1, len(times) - 1))
    at_ns = data.draw(st.integers(times[place - 1], times[place]))
    position = encoder.at(at_ns)
    assert position is not None
    for true in (counts[place - 1] * 0.5, counts[place] * 0.5):  # it stood still, or ran at once
        if at_ns not in times:
            assert abs(position.mm - true) <= position.error_mm
    assert encoder.faults == {"jumped_back": 0, "jumped_forward": 0, "out_of_order": 0}


def test_varying_speed_is_followed_to_a_pixel() -> None:
    """A strip that speeds up and slows down, sampled each millisecond: within half a millimetre."""
    encoder = EncoderPositioner(0.1)

    def strip_mm(at_s: float) -> float:
        return 2000 * at_s + 150 * (1 - math.cos(4 * at_s))

    for at_ms in range(2001):
        encoder.tell(EncoderSample(int(strip_mm(at_ms / 1000) / 0.1), at_ms * MS))
    for number in range(100):
        at_s = 0.0173 * number + 0.0004
        assert _mm(encoder.at(round(at_s * 1e9))) == pytest.approx(strip_mm(at_s), abs=0.5)


def test_a_constant_speed_counts_from_the_first_moment() -> None:
    """Ten milliseconds at two metres a second are twenty millimetres; the bound is its share."""
    line = SpeedPositioner(2000.0)
    assert line.at(5 * MS) == Position(0.0, 0.0, 0.01)
    later = line.at(15 * MS)
    assert later is not None
    assert (later.mm, later.error_mm) == pytest.approx((20.0, 0.2))
    assert later.distance_error(Position(15.0, 0.15, 0.01)) == pytest.approx(0.05)
    assert line.at(4 * MS) is None


def test_a_told_speed_holds_from_its_moment() -> None:
    """Speed 0 is a strip that stands; what is told late is left out."""
    line = SpeedPositioner(1000.0)
    line.at(0)
    line.tell(SpeedSample(0.0, 100 * MS))
    line.tell(SpeedSample(500.0, 300 * MS))
    line.tell(SpeedSample(9e6, 200 * MS))
    at = [_mm(line.at(t * MS)) for t in (50, 100, 200, 300, 400)]
    assert at == pytest.approx([50.0, 100.0, 100.0, 100.0, 150.0])
    assert line.faults == {"out_of_order": 1, "speed_zero": 1}


def test_a_published_speed_does_not_hold_for_ever() -> None:
    """Behind the longest silence nobody knows where the strip is; a constant one has none."""
    line = SpeedPositioner(1000.0, max_gap_ns=500 * MS)
    assert line.at(0) is not None
    assert line.at(9000 * MS) is not None  # nothing was published yet
    line.tell(SpeedSample(500.0, 10_000 * MS))
    assert line.at(10_500 * MS) is not None
    assert line.at(10_501 * MS) is None
    line.tell(SpeedSample(500.0, 11_000 * MS))
    assert _mm(line.at(11_000 * MS)) == pytest.approx(10_250.0)
    assert line.losses == 1


@pytest.mark.parametrize("speed", [-1.0, math.nan, math.inf])
def test_a_speed_is_a_number(speed: float) -> None:
    """What is none is refused, at first and later."""
    with pytest.raises(ValueError, match="mm_per_s"):
        SpeedPositioner(speed)
    with pytest.raises(ValueError, match="mm_per_s"):
        SpeedPositioner(1.0).tell(SpeedSample(speed, 5))


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"mm_per_count": 0.0}, "mm_per_count"),
        ({"mm_per_count": math.nan}, "mm_per_count"),
        ({"mm_per_count": 1.0, "bits": 1}, "bits"),
        ({"mm_per_count": 1.0, "max_gap_ns": 0}, "max_gap_ns"),
    ],
)
def test_parameters_have_ranges(keys: dict[str, float], said: str) -> None:
    """Each is refused by its name."""
    with pytest.raises(ValueError, match=said):
        EncoderPositioner(**keys)  # type: ignore[arg-type]  # wrong values are the point


def test_the_share_that_a_speed_may_be_wrong_by_has_a_range() -> None:
    """A bound of all that has passed says nothing."""
    with pytest.raises(ValueError, match="relative_error"):
        SpeedPositioner(1.0, relative_error=1.0)
