"""What the report of ``bench`` makes of measured times, from lists made by hand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest

from edge.commands.bare import Bare
from edge.commands.faces import ROUNDS, Crowd, ms_per_face
from edge.commands.measure import WARM_UP, Judged, Latency
from edge.commands.rig import Cycle
from edge.records import Timings


def judged(fps: float, cycles: Iterable[tuple[float, float]] = ((10.0, 6.0),)) -> Judged:
    """A turn of the service at a steady rate after its warm-up; cycles as (frame, infer) in ms."""
    steady = [round(1e9 + n * 1e9 / fps) for n in range(11)]
    timings = [Timings(preprocess_ms=99.0)] * WARM_UP + [
        Timings(preprocess_ms=1.0, infer_ms=6.0, postprocess_ms=0.5)
    ] * 11
    return Judged([0] * WARM_UP + steady, {}, timings, [Cycle(*cycle) for cycle in cycles])


def measured(service: Sequence[Judged], bare: Sequence[Bare], count: int = 2) -> Crowd:
    """A number of faces with these turns, behind the camera the same times in each."""
    crowd = Crowd(count)
    crowd.service += service
    crowd.bare += bare
    crowd.camera += [Latency([1.0, 2.0], [3.0, 5.0])] * len(service)
    return crowd


def test_tails_are_of_all_turns_together() -> None:
    """Of 100 frames in five turns two are slow, both in one turn: p99 is that of the 100.

    The median of five turns' own tails would be 1, with nothing to be seen of those two.
    """
    quiet, slow = [(10.0, 6.0)] * 20, [(10.0, 6.0)] * 18 + [(30.0, 6.0), (40.0, 6.0)]
    service = [judged(100.0, turn) for turn in (quiet, quiet, quiet, quiet, slow)]
    bare = [Bare(125.0, [8.0] * 20)] * 4 + [Bare(125.0, [8.0] * 18 + [16.0, 16.0])]
    report = measured(service, bare).report()
    # Place 98.01 of the places 0 to 99: the slow ones stand on 98 and 99.
    assert report["p99_to_p50"] == {"service": 3.01, "bare": 2.0, "ratio": 1.505}
    assert report["frame_ms"]["service"] == {"p50": 10.0, "p95": 10.0, "p99": 30.1}
    assert report["frame_ms"]["bare"] == {"p50": 8.0, "p95": 8.0, "p99": 16.0}


def test_a_turn_with_more_frames_weighs_more_in_the_tails() -> None:
    """What is pooled is frames, not turns: two turns of 150 and 50 frames have 200 places."""
    service = [judged(100.0, [(10.0, 6.0)] * 150), judged(100.0, [(20.0, 6.0)] * 50)]
    bare = [Bare(100.0, [5.0] * 199), Bare(100.0, [50.0])]
    tails = measured(service, bare).report()["p99_to_p50"]
    assert tails == {"service": 2.0, "bare": 1.0, "ratio": 2.0}


def test_overhead_is_between_two_medians() -> None:
    """Median frame time 12 less median time in ``infer`` 7, over all turns.

    The median of the frames' own differences would be 3.
    """
    turns = [[(10.0, 7.0), (12.0, 2.0)], [(11.0, 8.0), (13.0, 6.0), (20.0, 18.0)]]
    report = measured([judged(100.0, t) for t in turns], [Bare(100.0, [8.0])] * 2).report()
    assert report["overhead_ms"] == 5.0


def test_efficiency_is_of_two_that_stood_side_by_side() -> None:
    """The median of the turns' shares 0.8, 0.5, 0.9; the two medians' share would be 0.5."""
    service = [judged(fps) for fps in (80.0, 50.0, 45.0)]
    bare = [Bare(fps, [10.0]) for fps in (100.0, 100.0, 50.0)]
    crowd = measured(service, bare)
    report = crowd.report()
    assert (report["fps"], report["bare_fps"]) == (50.0, 100.0)
    assert report["efficiency"] == 0.8
    assert crowd.efficiency == pytest.approx(0.8)


def test_ratio_is_of_two_that_stood_side_by_side() -> None:
    """The median of 100 × 1 s, 50 × 3 s and 80 × 2 s is 150; the medians' product would be 160."""
    crowd = measured([judged(fps) for fps in (100.0, 50.0, 80.0)], [Bare(100.0, [10.0])] * 3)
    crowd.reference_s += [1.0, 3.0, 2.0]
    report = crowd.report()
    assert report["ratio"] == 150.0
    assert report["reference_fps"] == 0.5


def test_without_a_reference_there_is_no_ratio() -> None:
    """The twin: what was not measured is absent."""
    report = measured([judged(100.0)], [Bare(100.0, [10.0])]).report()
    assert not {"ratio", "reference_fps"} & set(report)


def test_latencies_are_of_all_turns_together() -> None:
    """Verdict and PUBACK each over the frames of all turns, a turn with more frames weighs more."""
    crowd = measured([judged(100.0)] * 2, [Bare(100.0, [10.0])] * 2)
    crowd.camera[:] = [Latency([10.0] * 99, [20.0] * 99), Latency([510.0], [1020.0])]
    latency = crowd.report()["latency_ms"]
    assert latency["verdict"] == {"p50": 10.0, "p95": 10.0, "p99": 15.0}
    assert latency["puback"] == {"p50": 20.0, "p95": 20.0, "p99": 30.0}


def test_stages_begin_after_the_warm_up_and_have_a_total() -> None:
    """The slow first frames of each turn do not count; the total is of each frame's own stages."""
    stages = measured([judged(100.0)] * 2, [Bare(100.0, [10.0])] * 2).report()["stages"]
    assert {name: times["p99"] for name, times in stages.items()} == {
        "preprocess": 1.0,
        "infer": 6.0,
        "postprocess": 0.5,
        "total": 7.5,
    }


def test_a_further_face_costs_the_slope_of_a_line() -> None:
    """Frames of 10, 12 and 16 ms with 1, 2 and 4 faces: 2 ms a face, the base of 8 ms aside."""
    crowds = [
        measured([judged(1000 / ms)] * ROUNDS, [], count)
        for count, ms in ((1, 10.0), (2, 12.0), (4, 16.0))
    ]
    assert ms_per_face(crowds) == pytest.approx(2.0, rel=1e-6)


def test_a_busy_turn_does_not_change_what_a_face_costs() -> None:
    """The slope is the median of the turns': with three of five quiet, two busy ones are no matter.

    The line is a least-squares fit: 1, 2 and 3 faces in 10, 13 and 12 ms are 1 ms a face.
    """
    times_ms = {1: [10.0, 10.0, 10.0, 90.0, 20.0], 2: [13.0, 13.0, 13.0, 50.0, 90.0]}
    times_ms[3] = [12.0, 12.0, 12.0, 95.0, 60.0]
    crowds = [
        measured([judged(1000 / ms) for ms in turns], [], count)
        for count, turns in times_ms.items()
    ]
    assert ms_per_face(crowds) == pytest.approx(1.0, rel=1e-6)
