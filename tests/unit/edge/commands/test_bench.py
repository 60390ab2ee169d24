"""`linesight bench`: the keys of its report, and what it compares."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edge.cli import main
from edge.commands import reference
from edge.commands.bare import BareModels, run_bare
from edge.commands.measure import Judged, run_station
from edge.commands.rig import ExactFaces
from edge.commands.targets import Loaded, bundles_of
from edge.contract.bundle import load_bundle
from edge.demo import scene
from edge.demo.crowd import MOST, crowd
from edge.errors import StageFailed
from tests.helpers.bundles import BLOB_DETECTOR, spoil_golden
from tests.helpers.command import linesight, station_models

PERCENTILES = {"p50", "p95", "p99"}
FIGURES = {
    *("fps", "bare_fps", "efficiency", "overhead_ms", "stages", "frame_ms", "p99_to_p50"),
    "latency_ms",
}
"""What there is for each number of faces, without a reference."""

DETECTOR_FILES = ("--reference-detector", "a.pb", "a.pbtxt")


@pytest.fixture
def no_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a device, where no Keras is installed."""
    monkeypatch.setattr(reference, "find_spec", lambda name: None)


def test_report_of_a_station(
    tmp_path: Path, no_reference: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """The JSON has the documented keys, and none that does not apply."""
    report = tmp_path / "bench.json"
    models = station_models(tmp_path)
    arguments = ["bench", "face_mask", "--models", str(models), "--faces", "1,3"]
    assert main([*arguments, "--seconds", "0.5", "--json", str(report)]) == 0
    figures = json.loads(report.read_text())
    own = {"machine", "bundles", "broker", "by_faces", "bare_fps", "efficiency", "rss_mb"}
    assert set(figures) == {*own, "ms_per_face"}
    assert set(figures["by_faces"]) == {"1", "3"}
    faces = figures["by_faces"]["3"]
    assert set(faces) == FIGURES
    for times in (faces["stages"]["infer"], *faces["frame_ms"].values()):
        assert set(times) == PERCENTILES
    assert set(faces["latency_ms"]) == {"verdict", "puback"}
    latency = faces["latency_ms"]
    assert 0 < latency["verdict"]["p50"] < latency["puback"]["p50"]
    assert set(faces["p99_to_p50"]) == {"service", "bare", "ratio"}
    assert faces["overhead_ms"] > 0
    assert 0 < figures["efficiency"] < 1.5
    assert "efficiency" in capsys.readouterr().out


def test_the_fastest_variant_is_measured_first_and_taken(
    tmp_path: Path, no_reference: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a station does that has measured; said in the text, and in the JSON with the reason."""
    report = tmp_path / "bench.json"
    models = station_models(tmp_path)
    spoil_golden(models / "mask_classifier", "float32")
    arguments = ["bench", "face_mask", "--models", str(models), "--faces", "2"]
    assert main([*arguments, "--seconds", "0.5", "--json", str(report)]) == 0
    chosen = json.loads(report.read_text())["bundles"]
    assert set(chosen) == {"blob_detector", "tint_classifier"}
    assert chosen["tint_classifier"]["choice"]["variant"] == "int8"
    assert set(chosen["blob_detector"]["choice"]) == {"variant", "threads", "reason", "ratio"}
    assert "tint_classifier with 2 threads: int8" in capsys.readouterr().out


def test_a_variant_that_was_named_is_taken_unmeasured(
    tmp_path: Path, no_reference: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """The twin: --variant float32 measures that one alone, on both models."""
    arguments = ["bench", "face_mask", "--models", str(station_models(tmp_path)), "--faces", "2"]
    assert main([*arguments, "--variant", "float32", "--seconds", "0.5", "--json", "-"]) == 0
    said = capsys.readouterr()
    figures = json.loads(said.out)
    chosen = {"variant": "float32", "threads": 2}
    assert figures["bundles"]["tint_classifier"] == {"choice": chosen}
    assert "ms_per_face" not in figures  # which takes two numbers of faces
    assert "the fastest" not in said.err


def test_report_of_a_bundle(tmp_path: Path) -> None:
    """Each variant of a bundle has times for each number of threads."""
    report = tmp_path / "bench.json"
    done = linesight("bench", BLOB_DETECTOR, "--seconds", "0.05", "--json", report)
    assert done.returncode == 0, done.stderr
    figures = json.loads(report.read_text())
    variants = load_bundle(BLOB_DETECTOR).manifest.variants
    assert set(figures["variants"]) == set(variants)
    assert set(figures["variants"]["float32"]["threads"]["1"]) == {"p50", "p95", "p99"}


def test_one_variant_of_a_bundle_as_nothing_but_json() -> None:
    """--variant measures that one alone; with `--json -` the table goes to stderr."""
    done = linesight(
        *("bench", BLOB_DETECTOR, "--variant", "int8", "--seconds", "0.05", "--json", "-")
    )
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)["variants"]) == {"int8"}
    assert f"blob_detector, {BLOB_DETECTOR}" in done.stderr
    assert "p95" in done.stderr


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        (("--variant", "bogus"), "no variant 'bogus', only float32"),
        (("--json", "/nope/x.json"), "/nope/x.json"),
        (("--models", "/nope"), "/nope"),
    ],
)
@pytest.mark.parametrize("target", ["face_mask", BLOB_DETECTOR])
def test_what_cannot_be_used_is_told_before_the_work(
    tmp_path: Path, target: str | Path, extra: tuple[str, ...], says: str
) -> None:
    """A wrong argument is exit 2 and one line, and nothing was measured."""
    done = linesight("bench", target, "--models", station_models(tmp_path), *extra)
    assert done.returncode == 2
    (line,) = (line for line in done.stderr.splitlines() if not line.startswith("bench: "))
    assert says in line
    assert "station.toml" not in line
    assert "frames/s" not in done.stdout


@pytest.mark.parametrize(
    ("target", "extra", "says"),
    [
        (BLOB_DETECTOR, ("--reference",), "--reference: {target!r} is no station"),
        (BLOB_DETECTOR, DETECTOR_FILES, "--reference-detector: {target!r} is no station"),
        (BLOB_DETECTOR, ("--write", "--reference"), "--reference: {target!r} is no station"),
        ("face_mask", ("--write", "--reference"), "--reference: --write measures the models alone"),
        ("face_mask", ("--write", *DETECTOR_FILES), "--reference-detector: --write measures"),
    ],
)
def test_a_comparison_that_would_not_be_made_is_refused(
    target: str | Path,
    extra: tuple[str, ...],
    says: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Only a station's frames are compared, and not with --write: exit 2, one line, no work."""
    assert main(["bench", str(target), *extra]) == 2
    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert says.format(target=str(target)) in line
    assert "leave" in line
    assert said.out == ""


def test_no_comparison_may_be_asked_of_a_bundle(capsys: pytest.CaptureFixture[str]) -> None:
    """The twin: --no-reference is what happens to a bundle anyway."""
    assert main(["bench", str(BLOB_DETECTOR), "--no-reference", "--seconds", "0.01"]) == 0
    assert "p95" in capsys.readouterr().out


def test_without_the_portrait_the_remedy_is_one_of_bench(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bench has no --source, so its hint does not name it; the extra it does."""
    monkeypatch.setattr(scene, "find_spec", lambda name: None)
    models = station_models(tmp_path)
    assert main(["bench", "face_mask", "--models", str(models), "--seconds", "0.05"]) == 69
    said = capsys.readouterr().err
    assert "linesight[demo]" in said
    assert "--source" not in said


def test_the_classifier_sees_exactly_so_many_faces(tmp_path: Path) -> None:
    """Whatever the detector finds, N crops are classified in each judged frame."""
    bundles = bundles_of("face_mask", station_models(tmp_path))
    loaded = Loaded(bundles, ["auto", "auto"], 1)
    assert loaded.detector is not None
    assert loaded.classifier is not None
    seen: list[int] = []
    classify = loaded.classifier.classify_boxes

    def counted(image: object, boxes: object, watch: object) -> object:
        states = classify(image, boxes, watch)  # type: ignore[arg-type]
        seen.append(len(states))
        return states

    loaded.classifier.classify_boxes = counted  # type: ignore[assignment,method-assign]
    folder = tmp_path / "state"
    folder.mkdir()
    judged = run_station([loaded], *crowd(7), 0.2, folder)
    loaded.close()
    assert judged.fps > 0
    assert set(seen) == {7}
    assert len(seen) >= len(judged.timings)


def test_a_slower_service_has_a_lower_rate() -> None:
    """The rate comes from when frames were judged, after the warm-up."""
    judged = Judged(at_ns=[0] * 5 + [n * 100_000_000 for n in range(11)])
    assert judged.fps == pytest.approx(10.0)
    with pytest.raises(StageFailed, match="--seconds"):
        _ = Judged(at_ns=[1, 2, 3]).fps


@pytest.mark.parametrize("count", [1, 2, 6, 18, 32, MOST])
def test_crowd_has_its_faces_within_the_frame(count: int) -> None:
    """N boxes lie in the 640×480 picture, apart from each other, each on a face of the portrait."""
    image, boxes = crowd(count)
    assert image.shape == (480, 640, 3)
    assert boxes.shape == (count, 4)
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 0] + boxes[:, 2] <= 640).all()
    assert (boxes[:, 1] + boxes[:, 3] <= 480).all()
    assert len({tuple(box) for box in boxes.tolist()}) == count
    x, y, width, height = boxes[0].astype(int)
    face = image[y : y + height, x : x + width].reshape(-1, 3).mean(axis=0)
    assert face[2] > face[0] + 20  # skin is reddish, the ground is grey


def test_crowd_refuses_what_does_not_fit() -> None:
    """None, and more than fit, are refused."""
    for count in (0, MOST + 1):
        with pytest.raises(ValueError, match="needs 1 to"):
            crowd(count)


def test_bare_interpreters_run_as_often_as_the_engine(tmp_path: Path) -> None:
    """19 crops are two batches of eight, as in the service, and a rest goes one by one."""
    bundles = bundles_of("face_mask", station_models(tmp_path))
    steps = BareModels(bundles, ["float32", "float32"], 1).steps(*crowd(19))
    assert len(steps) - 1 in (2 + 3, 19)  # the detector's is one
    bare = run_bare([steps], 0.05)
    assert bare.fps > 0
    assert bare.fps == pytest.approx(1000 / np.mean(bare.frame_ms), rel=0.5)


def test_exact_faces_keeps_engines_open(tmp_path: Path) -> None:
    """The task of a benchmark may be closed and used again by the next run."""
    bundles = bundles_of("face_mask", station_models(tmp_path))
    loaded = Loaded(bundles, ["auto", "auto"], 1)
    assert loaded.detector is not None
    assert loaded.classifier is not None
    task = ExactFaces(loaded.detector, loaded.classifier, np.zeros((0, 4), np.float32))
    task.close()
    assert task.model == loaded.classifier.model
    loaded.close()
