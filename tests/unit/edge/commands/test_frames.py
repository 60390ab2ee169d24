"""The arithmetic of ``bench steel_defect``, and the frames that it draws."""

from __future__ import annotations

import numpy as np
import pytest

from edge.commands.bare import Bare
from edge.commands.bench_table import frame_table
from edge.commands.frames import frame_report
from edge.commands.measure import WARM_UP, Judged, Latency
from edge.demo.strip import HEIGHT, WIDTH, strip_frame
from edge.records import Timings


def _judged(fps: float, infer_ms: float) -> Judged:
    """Twenty frames at an even pace, each with these timings; the warm-up is slower."""
    step = round(1e9 / fps)
    timings = [Timings(preprocess_ms=1.0, infer_ms=infer_ms, postprocess_ms=2.0)] * 20
    slow = [Timings(preprocess_ms=9.0, infer_ms=99.0, postprocess_ms=9.0)] * WARM_UP
    return Judged([k * step for k in range(20 + WARM_UP)], {}, slow + timings)


def test_figures_of_a_station_that_judges_frames() -> None:
    """The rate is the median of the turns, stages and latencies are over all turns together."""
    fast = [_judged(50.0, 4.0), _judged(100.0, 6.0), _judged(80.0, 5.0)]
    paced = [Latency([10.0, 20.0], [11.0, 22.0]), Latency([30.0], [33.0])]
    bare = [Bare(100.0, [10.0]), Bare(200.0, [5.0]), Bare(100.0, [10.0])]
    report = frame_report(fast, paced, bare)
    assert (report["bare_fps"], report["efficiency"]) == (100.0, 0.5)
    frame = report["frame"]
    assert frame["fps"] == pytest.approx(80.0)
    assert frame["stages"]["preprocess"] == {"p50": 1.0, "p95": 1.0, "p99": 1.0}
    assert frame["stages"]["infer"]["p50"] == 5.0
    assert frame["stages"]["total"]["p50"] == 8.0
    assert (frame["latency_ms"]["p50"], frame["puback_ms"]["p50"]) == (20.0, 22.0)


def test_the_table_says_what_matters() -> None:
    """Rate, stages, both latencies and memory, in words."""
    report = {
        "machine": {"cpu": "a CPU", "cpus": 2},
        "broker": {"name": "mosquitto", "version": "2", "where": "here"},
        "rss_mb": 90.4,
    } | frame_report([_judged(80.0, 5.0)], [Latency([10.0], [12.0])], [Bare(160.0, [6.0])])
    text = frame_table(report)
    assert "80.0 frames/s" in text
    assert "bare interpreters 160.0 frames/s, efficiency 0.500" in text
    assert "preprocess 1.00, infer 5.00, postprocess 2.00, total 8.00" in text
    assert "capture → alert p50, p95, p99: 10.0, 10.0, 10.0 ms" in text
    assert text.endswith("90 MiB\n")


def test_a_drawn_frame_is_the_same_for_a_seed() -> None:
    """It has the size of a line camera's frame; defects change what they lie on, and only that."""
    one, again = strip_frame(3, defects=True), strip_frame(3, defects=True)
    np.testing.assert_array_equal(one, again)
    assert one.shape == (HEIGHT, WIDTH, 3)
    clean = strip_frame(3, defects=False)
    changed = np.abs(one.astype(int) - clean).max(axis=2) > 20
    assert 0.01 < changed.mean() < 0.1
    assert not np.array_equal(clean, strip_frame(4, defects=False))
