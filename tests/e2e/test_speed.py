"""How fast the station is with the shipped models; what it must reach on two x86 cores.

A shared machine is slower at times than the machine that the figures are for, never faster. So
where a figure could be missed by bad luck alone the test has a looser bound, said where it stands.
"""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path
from typing import Any

import cv2
import pytest

from edge.demo import scene
from tests.helpers.command import linesight
from tests.helpers.station import Station

MODELS = Path(__file__).parents[2] / "models"
PERCENTILES = {"p50", "p95", "p99"}
FIGURES = {
    *("fps", "bare_fps", "efficiency", "overhead_ms", "stages", "frame_ms", "p99_to_p50"),
    "latency_ms",
}
"""What there is for each number of faces, without a reference."""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """``linesight bench face_mask`` with 1, 6, 18 and 32 faces, as JSON."""
    file = tmp_path_factory.mktemp("bench") / "bench.json"
    done = linesight(
        *("bench", "face_mask", "--models", MODELS, "--faces", "1,6,18,32", "--seconds", "2"),
        *("--no-reference", "--json", file),
        timeout_s=100,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def test_the_report_has_the_keys_that_others_read(report: dict[str, Any]) -> None:
    """The keys are exactly those that are fixed; the reference is absent when it was left out."""
    fixed = {"machine", "by_faces", "bare_fps", "efficiency", "rss_mb"}
    assert set(report) == fixed | {"bundles", "broker", "ms_per_face"}
    assert set(report["by_faces"]) == {"1", "6", "18", "32"}
    for faces in report["by_faces"].values():
        assert set(faces) == FIGURES
        assert {"preprocess", "infer", "postprocess"} <= set(faces["stages"])
        for times in (*faces["stages"].values(), *faces["latency_ms"].values()):
            assert set(times) == PERCENTILES
            assert 0 <= times["p50"] <= times["p95"] <= times["p99"]


@pytest.mark.parametrize(("faces", "quiet"), [("6", 70), ("18", 45), ("32", 30)])
def test_a_crowd_is_judged_many_times_a_second(
    report: dict[str, Any], faces: str, quiet: int
) -> None:
    """In 640×480, the detector on every frame, a third at least of what a quiet machine must give.

    Two x86 cores that nobody shares must judge 70, 45 and 30 frames a second, and 100 with one
    face.
    """
    assert report["by_faces"][faces]["fps"] >= quiet / 3, report


@pytest.mark.parametrize("faces", ["1", "6", "18", "32"])
def test_tails_are_hardly_longer_than_those_of_the_interpreters(
    report: dict[str, Any], faces: str
) -> None:
    """p99/p50 at most 3 times that of the bare interpreters, twice what a quiet machine may show.

    Neighbours hit both, but not in the same frames.
    """
    tails = report["by_faces"][faces]["p99_to_p50"]
    assert tails["bare"] >= 1, report
    assert tails["service"] >= 1, report
    assert tails["ratio"] <= 3, report


def test_a_further_face_costs_little(report: dict[str, Any]) -> None:
    """At most 2.1 ms, three times what it may be on a quiet machine."""
    assert report["ms_per_face"] <= 2.1, report


def test_little_stands_beside_the_interpreters(report: dict[str, Any]) -> None:
    """At most 4.5 ms of a frame with one face, three times what it may be on a quiet machine."""
    assert 0 < report["by_faces"]["1"]["overhead_ms"] <= 4.5, report


def test_an_alert_is_acknowledged_soon_after_its_frame(report: dict[str, Any]) -> None:
    """Half of them within 250 ms of the capture, over disk and a real broker; verdict first."""
    for faces in report["by_faces"].values():
        latency = faces["latency_ms"]
        assert latency["verdict"]["p50"] < latency["puback"]["p50"] <= 250, report


def test_the_service_is_not_much_slower_than_its_interpreters(report: dict[str, Any]) -> None:
    """A loose guard against a service that wastes time: efficiency ≥ 0.6.

    What it is and why it is not 0.9 stands in docs/performance.md; neighbours take more from a
    service of several threads than from a bare loop.
    """
    assert 0.6 <= report["efficiency"] <= 1.2, report


def test_memory_stays_small(report: dict[str, Any]) -> None:
    """At most 200 MB for the whole process, models, 32 faces and outbox included."""
    # MiB are reported; MB are meant.
    assert 40 <= report["rss_mb"] * 2**20 / 1e6 <= 200, report


def test_first_verdict_within_three_seconds(tmp_path: Path) -> None:
    """From the start of the process to the first alert, which takes five judged frames, ≤ 3 s.

    With the shipped models and a picture of a bare face. The median of three starts counts.
    """
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(30):  # of the clip's part without the mask
        image = scene.render(0.4 + number / 1000)
        assert cv2.imwrite(str(pictures / f"{number:02}.png"), image)
    took = [seconds_to_alert(tmp_path / f"start-{number}", pictures) for number in range(3)]
    assert statistics.median(took) <= 3.0, took


def test_a_masked_face_gives_no_verdict_to_wait_for(tmp_path: Path) -> None:
    """The twin: with the mask drawn on, the same wait ends without an alert."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(30):
        image = scene.render(0.2 + number / 1000)
        assert cv2.imwrite(str(pictures / f"{number:02}.png"), image)
    with pytest.raises(AssertionError, match="no alert"):
        seconds_to_alert(tmp_path / "start", pictures)


def seconds_to_alert(folder: Path, pictures: Path) -> float:
    """From the start of ``linesight run --stdout`` to its first line about an alert."""
    folder.mkdir()
    text = f"""
[station]
node = "n1"
task = "face_mask"
state_dir = "{folder / "state"}"
models_dir = "{MODELS}"
[[camera]]
id = "door"
source = "{pictures}"
"""
    with Station(folder, text, "--stdout") as station:
        assert station.process.stdout is not None
        for line in station.process.stdout:
            if json.loads(line)["topic"].endswith("/alert"):
                return time.monotonic() - station.began
        raise AssertionError(f"no alert: {station.log}")
