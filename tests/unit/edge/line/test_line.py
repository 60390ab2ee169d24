"""A line: places, sections, lots."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import LotAbsent
from edge.line.geometry import Geometry
from edge.records import EncoderSample, LotEnded, LotEntry, LotForgotten, LotReport, Verdict
from tests.fakes import make_alert
from tests.helpers.strip import AT, MS, Strip, names, region, region_of, seen_at, settings_of

KEY = "0123456789abcdef-7"


def start(strip: Strip, at_mm: float, name: str = "C-1") -> None:
    """A lot begins at a position of the strip."""
    strip.events += strip.line.start_lot(KEY, name, AT, round(at_mm * MS))


def end(strip: Strip, at_mm: float) -> None:
    """The open lot ends at a position of the strip."""
    strip.events += strip.line.end_lot(AT + timedelta(seconds=1), round(at_mm * MS))


def report_of(strip: Strip) -> LotReport:
    """The report of the lot that is over."""
    assert LotEnded(KEY) in strip.events
    return strip.line.report(KEY)


def test_a_clean_section_is_accepted_when_it_has_left_the_picture() -> None:
    """Not before: a later frame may show a defect in it."""
    strip = Strip()
    strip.run(40, 160)
    assert strip.verdicts == []
    strip.frame(180.0)
    assert strip.verdicts == [
        Verdict("strip", 0.0, 100.0, "accept", "no rule of the grading table is broken", False)
    ]


def test_a_scratch_rejects_every_section_that_it_reaches_into() -> None:
    """From 90 to 210 mm it lies in three sections; the fourth is good."""
    strip = Strip()
    strip.run(40, 520, (90.0, 210.0))
    assert names(strip.verdicts) == ["reject", "reject", "reject", "accept"]
    assert "1 scratches in metre 0" in strip.verdicts[1].reason


def test_what_no_frame_judged_is_rejected() -> None:
    """A frame that was lost leaves a gap, and the gap is named."""
    strip = Strip()
    strip.run(40, 80)
    strip.run(240, 520)
    assert names(strip.verdicts) == ["reject", "reject", "accept", "accept"]
    assert strip.verdicts[0].reason == "not judged: 80 to 100 mm"


def test_a_section_at_the_gate_without_a_verdict_is_rejected_late() -> None:
    """No frame came, the strip went on: its head arrives at the gate at 400 mm."""
    strip = Strip()
    strip.count(399.0)
    assert strip.line.pass_time(399 * MS) == ()
    strip.count(400.0)
    (late,) = strip.line.pass_time(400 * MS)
    assert late == Verdict("strip", 0.0, 100.0, "reject", "no verdict in time", True)
    assert strip.line.counts["late_verdict"] == 1
    strip.run(420, 620)
    assert [one.x_mm for one in strip.verdicts] == [100.0, 200.0, 300.0, 400.0]


def test_the_gate_is_open_where_good_strip_passes() -> None:
    """A section passes when it is at the gate, 400 mm behind the edge, and not before."""
    strip = Strip()
    strip.run(40, 400, (150.0, 160.0))
    for position, passes in ((399.0, False), (401.0, True), (499.0, True), (501.0, False)):
        strip.count(max(position, 400.5))
        at_ns = round(position * MS)
        assert strip.line.may_pass(at_ns) is passes, position
    strip.run(520, 600, (150.0, 160.0))
    strip.count(601.0)
    assert strip.line.may_pass(601 * MS)


def test_the_gate_is_shut_when_nobody_knows_where_the_strip_is() -> None:
    """The encoder is silent for longer than it may be: the strip at the gate may be any."""
    strip = Strip()
    strip.run(40, 440)
    assert strip.line.may_pass(441 * MS)
    assert not strip.line.may_pass(2000 * MS)


def test_a_lot_is_reported_from_its_start_to_its_end() -> None:
    """Places count from its start, what lies before or behind is not its own."""
    strip = Strip()
    strip.run(40, 160, (100.0, 110.0))
    start(strip, 160.0)
    strip.run(200, 480, (100.0, 110.0), (200.0, 230.0), (430.0, 440.0))
    end(strip, 420.0)
    strip.frame(520.0, (430.0, 440.0))
    data = report_of(strip).data
    assert (data["lot"], data["length_mm"], data["covered"]) == ("C-1", 260.0, 1.0)
    assert [(one["x_mm"], one["len_mm"]) for one in data["defects"]] == [(40.0, 30.0)]
    assert data["totals"] == {"scratches": 1}
    assert data["verdicts"] == {"reject": 1, "accept": 2}
    assert data["grade"]["verdict"] == "reject"
    assert strip.totals.open is False
    assert strip.line.lot is None


def test_an_ended_lot_waits_for_the_frame_that_shows_the_last_of_it() -> None:
    """The first frame that is taken after the end closes it; without one, ten seconds do."""
    strip = Strip()
    start(strip, 0.0)
    strip.run(40, 200)
    strip.count(240.0)
    end(strip, 240.0)
    assert LotEnded(KEY) not in strip.events
    strip.frame(240.0, (225.0, 235.0))
    assert report_of(strip).data["totals"] == {"scratches": 1}
    other = Strip()
    start(other, 0.0)
    other.run(40, 200)
    end(other, 200.0)
    assert LotEnded(KEY) not in other.line.pass_time(10_199 * MS)
    assert LotEnded(KEY) in other.line.pass_time(10_201 * MS)


def test_a_lot_end_without_a_start_is_an_error() -> None:
    """It says what to do; the line goes on."""
    strip = Strip()
    with pytest.raises(LotAbsent, match="no lot is open"):
        end(strip, 0.0)
    strip.run(40, 200)
    assert names(strip.verdicts) == ["accept"]


def test_a_strip_that_runs_to_the_left_is_the_same_strip() -> None:
    """Mirrored pictures of it give the same report, the same tracks and the same places."""
    reports = []
    for runs in ("right", "left"):
        strip = Strip(settings_of(geometry=Geometry(0.5, 0.5, runs)))
        start(strip, 0.0)
        for number, position in enumerate(range(40, 401, 40)):
            strip.count(float(position))
            shown = [
                region_of(float(position), low, high)
                for low, high in ((50.0, 60.0), (130.0, 300.0))
                if low < position and high > position - 80.0
            ]
            if runs == "left":
                shown = [
                    replace(one, box=replace(one.box, x=160 - one.box.x - one.box.width))
                    for one in shown
                ]
            observation = seen_at(0.0, position, number, *shown)
            tracks = strip.tracker.update(observation)
            assert len(tracks) <= 2
            strip.events += strip.line.observe(observation, ())[1]
        end(strip, 400.0)
        strip.frame(440.0)
        reports.append(report_of(strip).data["defects"])
    assert reports[0] == reports[1]
    assert [(one["x_mm"], one["len_mm"]) for one in reports[0]] == [(50.0, 10.0), (130.0, 170.0)]


def test_a_new_lot_ends_the_one_before() -> None:
    """Nobody forgets a coil's end without its report."""
    strip = Strip()
    start(strip, 0.0)
    strip.run(40, 120)
    strip.events += strip.line.start_lot("0123456789abcdef-8", "C-2", AT, 120 * MS)
    strip.frame(160.0)
    assert LotEnded(KEY) in strip.events
    assert report_of(strip).data["length_mm"] == 120.0
    assert strip.line.lot == "C-2"


def test_a_frame_of_another_size_has_no_place() -> None:
    """It is counted, and the strip that it shows counts as not judged."""
    strip = Strip()
    observation = seen_at(80.0, 80, 0)
    other = replace(observation, header=replace(observation.header, width=80))
    strip.count(80.0)
    assert strip.line.observe(other, ()) == ((), ())
    assert strip.line.counts["frame_size"] == 1
    strip.run(160, 280)
    assert names(strip.verdicts) == ["reject", "accept"]


def test_a_frame_without_a_position_has_no_place() -> None:
    """The encoder gave no sample for longer than it may: counted, and nothing is judged."""
    strip = Strip()
    strip.line.observe(seen_at(0.0, 5000, 0), ())
    assert strip.line.counts["unplaced"] == 1


def test_the_gate_cannot_be_nearer_than_a_verdict() -> None:
    """A section's head arrives before its tail has left the picture: refused by the key's name."""
    with pytest.raises(ValueError, match="gate_mm: 179 is too near"):
        settings_of(gate_mm=179.0)
    assert settings_of(gate_mm=180.0).frame_mm == 80.0


Defects = st.lists(
    st.tuples(st.integers(0, 900), st.integers(1, 150)).map(
        lambda pair: (float(pair[0]), float(pair[0] + pair[1]))
    ),
    max_size=6,
)


@settings(max_examples=60, deadline=None)
@given(defects=Defects, cut=st.integers(1, 24), lost=st.sets(st.integers(1, 24), max_size=4))
def test_a_lot_survives_a_kill(
    defects: list[tuple[float, float]], cut: int, lost: set[int]
) -> None:
    """Told again from its diary and gone on with, it gives the report of one that was not
    interrupted, but for clean strip of the last second before the kill.
    """

    def frames(strip: Strip, numbers: range) -> None:
        for number in numbers:
            if number not in lost:
                strip.frame(number * 40.0, *defects)

    whole, first = Strip(boot=""), Strip(boot="")
    for strip in (whole, first):
        start(strip, 0.0)
    frames(whole, range(1, 25))
    frames(first, range(1, cut))
    first.events += first.line.flush() if cut % 2 else ()
    second = Strip(boot="", diary=first.entries)
    second.sequence = first.sequence
    frames(second, range(cut, 25))
    for strip in (whole, second):
        strip.count(980.0)
        strip.events += strip.line.end_lot(AT, 980 * MS)
        strip.frame(980.0, *defects)
    expected, found = report_of(whole).data, report_of(second).data
    assert found["defects"] == expected["defects"]
    assert found["length_mm"] == expected["length_mm"]
    assert found["restarts"] == 1
    if cut % 2:  # nothing was lost
        assert found["gaps_mm"] == expected["gaps_mm"]
        assert found["verdicts"] == expected["verdicts"]


def test_without_an_encoder_that_counts_on_the_place_is_lost() -> None:
    """What ran meanwhile is not known: a gap of more than a picture stands for it, the section it
    lies in is rejected, and the report says so.
    """
    strip = Strip()
    start(strip, 0.0)
    strip.run(40, 200, (50.0, 60.0))
    strip.events += strip.line.flush()
    again = Strip()
    again.events += again.line.restore(strip.entries, AT)
    assert again.line.lot == "C-1"
    again.run(40, 200, (90.0, 100.0))
    again.events += again.line.end_lot(AT, 200 * MS)
    again.frame(240.0)
    data = report_of(again).data
    assert (data["restarts"], data["losses"]) == (1, 1)
    assert [one["x_mm"] for one in data["defects"]] == [50.0, 333.0]
    assert data["gaps_mm"] == [[200.0, 203.0]]
    assert data["verdicts"]["reject"] >= 2


def test_a_lost_place_shuts_the_gate() -> None:
    """The count began anew: what lies between picture and gate may be any strip."""
    strip = Strip()
    strip.run(40, 10_440)
    assert strip.line.may_pass(10_441 * MS)
    strip.line.tell(EncoderSample(3, 10_500 * MS))
    strip.line.tell(EncoderSample(23, 10_510 * MS))
    strip.line.pass_time(10_510 * MS)
    assert not strip.line.may_pass(10_510 * MS)
    assert strip.line.counts["jumped_back"] == 1


def test_a_loss_is_a_gap_at_its_place() -> None:
    """Frames of before keep theirs, the section of the seam is rejected, a scratch behind it is
    another one, and the report tells of the loss after a restart too.
    """
    strip = Strip(boot="")
    start(strip, 0.0)
    strip.run(40, 10_000, (9960.0, 9990.0))
    strip.line.tell(EncoderSample(3, 10_100 * MS))
    for number, count in enumerate((23, 103, 183, 263)):
        strip.line.tell(EncoderSample(count, (10_110 + 40 * number) * MS))
        observation = seen_at(0.0, 10_110 + 40 * number, 900 + number, region(20.0))
        tracks = strip.tracker.update(observation)
        strip.events += strip.line.observe(observation, ())[1]
    assert tracks[0].id > 1
    again = Strip(boot="", diary=strip.entries)
    again.line.tell(EncoderSample(263, 500 * MS))
    again.events += again.line.end_lot(AT, 500 * MS)
    again.events += again.line.flush()
    data = report_of(again).data
    assert data["losses"] == 1
    ((low, high),) = data["gaps_mm"]
    assert low == 10_000.0
    assert high - low > 2.0
    assert len(data["defects"]) >= 2
    assert data["verdicts"]["reject"] >= 2


def test_a_strip_that_stands_writes_nothing() -> None:
    """However many frames show the same steel with the same defect: it was seen."""
    strip = Strip()
    start(strip, 0.0)
    strip.run(40, 80, (50.0, 60.0))
    before = len(strip.entries)
    for number in range(200):
        strip.line.tell(EncoderSample(160, (81 + number) * MS))
        observation = seen_at(80.0, 81 + number, 100 + number, region(40.0))
        strip.tracker.update(observation)
        strip.events += strip.line.observe(observation, ())[1]
    assert len(strip.entries) - before <= 1
    assert strip.line._run.defects[0].x0_mm == pytest.approx(50.0)


def test_a_scratch_over_the_border_of_two_lots_is_in_both() -> None:
    """Each has its part, and no place lies before its start or behind its end."""
    strip = Strip()
    start(strip, 0.0)
    strip.run(40, 400, (360.0, 480.0))
    strip.events += strip.line.start_lot("0123456789abcdef-8", "C-2", AT, 400 * MS)
    strip.run(440, 600, (360.0, 480.0))
    strip.events += strip.line.end_lot(AT, 600 * MS)
    strip.frame(640.0)
    first, second = (strip.line.report(key).data for key in (KEY, "0123456789abcdef-8"))
    assert [(one["x_mm"], one["len_mm"]) for one in first["defects"]] == [(360.0, 40.0)]
    assert [(one["x_mm"], one["len_mm"]) for one in second["defects"]] == [(0.0, 80.0)]


def test_the_retained_lot_is_the_open_one() -> None:
    """The totals of a lot that ended come before those of the one that runs."""
    strip = Strip()
    start(strip, 0.0)
    strip.run(40, 120)
    strip.events += strip.line.start_lot("0123456789abcdef-8", "C-2", AT, 120 * MS)
    strip.frame(160.0)
    assert (strip.totals.lot, strip.totals.open) == ("C-2", True)


def test_places_are_within_their_bound() -> None:
    """A strip that speeds up between samples 20 ms apart, looked at in between: what is told of a
    defect's place differs from the truth by no more than the bound that is told with it.
    """
    strip = Strip()

    def true_mm(at_ms: float) -> float:
        return at_ms**2 / 500

    for at_ms in range(0, 500, 20):
        strip.line.tell(EncoderSample(int(true_mm(at_ms) / 0.5), at_ms * MS))
    for number, at_ms in enumerate(range(210, 470, 20)):
        position = strip.positioner.at(at_ms * MS)
        assert position is not None
        observation = seen_at(0.0, at_ms, number, region(20.0))
        (track,) = [one for one in strip.tracker.update(observation) if one.index is not None]
        alert = replace(make_alert(observation, key=KEY), track=track.id)
        (placed,), _ = strip.line.observe(observation, (alert,))
        assert placed.position is not None
        defect = strip.tracker.defect(track.id)
        assert defect is not None
        assert abs(position.mm - true_mm(at_ms)) <= placed.position.err_mm
        assert placed.position.err_mm < 30


def test_an_end_at_a_frame_without_a_place_has_its_place() -> None:
    """The encoder went away with a defect in the picture: its alert still says where it was."""
    strip = Strip()
    strip.run(40, 80, (50.0, 60.0))
    observation = seen_at(0.0, 5000, 9)
    strip.tracker.update(observation)
    alert = replace(make_alert(observation, key=KEY, phase="end", rev=2), track=1)
    (placed,), _ = strip.line.observe(observation, (alert,))
    assert placed.position is not None
    assert placed.position.x_mm == pytest.approx(50.0)


def test_overdue_sections_come_in_portions() -> None:
    """However far the strip has run unseen, one look stays short."""
    strip = Strip()
    for position in range(0, 40_001, 100):
        strip.count(float(position))
    events = strip.line.pass_time(40_000 * MS)
    assert 0 < len(events) <= 100
    assert len(strip.line.pass_time(40_000 * MS)) > 0


def test_a_lot_that_had_ended_is_reported_after_the_restart() -> None:
    """The kill came between the end and the report: the report comes all the same."""
    strip = Strip()
    start(strip, 0.0)
    strip.run(40, 200, (50.0, 60.0))
    end(strip, 200.0)
    again = Strip()
    again.events += again.line.restore(strip.entries, AT)
    assert report_of(again).data["totals"] == {"scratches": 1}
    again.line.reported(KEY)
    with pytest.raises(KeyError):
        again.line.report(KEY)


def test_a_diary_that_cannot_be_read_is_one_lot_lost() -> None:
    """It is counted and leaves the disk; the others are told again."""
    strip = Strip()
    start(strip, 0.0)
    strip.run(40, 200, (50.0, 60.0))
    again = Strip()
    bad = LotEntry("0123456789abcdef-1", 0, json.dumps({"moved": 5}))
    events = again.line.restore([bad, *strip.entries], AT)
    assert LotForgotten("0123456789abcdef-1") in events
    assert again.line.counts["unreadable_lot"] == 1
    assert again.line.lot == "C-1"


def test_an_entry_that_cannot_be_read_is_passed_over() -> None:
    """The rest of its lot is told all the same; what stood in it counts as not judged."""
    strip = Strip()
    start(strip, 0.0)
    strip.run(40, 400, (50.0, 60.0), (250.0, 260.0))
    entries = list(strip.entries)
    seen = [k for k, entry in enumerate(entries) if '"defects"' in entry.body]
    entries[seen[0]] = replace(entries[seen[0]], body="{}")
    again = Strip()
    again.events += again.line.restore(entries, AT)
    assert again.line.lot == "C-1"
    assert again.line.counts["unreadable_lot"] == 0
    assert again.totals.defects == {"scratches": 2}


def test_between_lots_nothing_piles_up() -> None:
    """A strip that runs for years without a lot keeps what its open sections need."""
    strip = Strip()
    for position in range(40, 40_000, 40):
        strip.frame(float(position), (position - 30.0, position - 20.0))
    run = strip.line._run
    assert len(run.defects) < 10
    assert len(list(run._coverage)) < 10
