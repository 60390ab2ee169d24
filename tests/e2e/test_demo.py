"""`linesight demo` as a newcomer runs it: no broker, no camera, no account."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import pytest

from edge.cli import main
from edge.contract.bundle import SYSTEM_MODELS, search_path
from edge.demo import scene
from edge.demo.recorder import Recorder
from edge.demo.strip import strip_frame
from edge.errors import SourceError
from tests.helpers.bundles import edit_manifest
from tests.helpers.command import linesight, station_models

KEYS = {"frames", "fps", "alerts_opened", "alerts_closed", "latency_ms", "video"}


def has_trained_models() -> bool:
    """Are the shipped models there?"""
    places = [place for place in search_path() if place != SYSTEM_MODELS]
    return any((place / "face_detector" / "manifest.json").is_file() for place in places)


def test_a_source_of_ones_own(tmp_path: Path) -> None:
    """An alert opens and closes over MQTT; video, picture and JSON are written; exit 0."""
    report = tmp_path / "demo.json"
    done = linesight(
        *("demo", "--source", "synthetic://blobs?frames=60&mask_from=25"),
        *("--models", station_models(tmp_path), "--out", tmp_path / "out", "--json", report),
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    figures = json.loads(report.read_text())
    assert set(figures) == KEYS
    assert set(figures["latency_ms"]) == {"p50", "p95", "p99"}
    assert (figures["frames"], figures["alerts_opened"], figures["alerts_closed"]) == (60, 1, 1)
    picture = cv2.imread(str(tmp_path / "out" / "demo.png"))
    assert picture is not None
    assert picture.shape == (480, 640, 3)
    capture = cv2.VideoCapture(figures["video"])
    assert capture.read()[0]
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) >= 60
    capture.release()
    assert "privacy" in done.stdout
    lines = done.stdout.splitlines()
    assert "demo is online" in lines
    assert lines.index("demo is online") < lines.index("demo is offline")


def test_the_report_may_lie_in_the_folder_that_the_demo_makes(tmp_path: Path) -> None:
    """`--json out/demo.json` works when `out` is not there yet, as `make demo` calls it."""
    out = tmp_path / "not" / "yet"
    done = linesight(
        *("demo", "--source", "synthetic://black?frames=10", "--out", out),
        *("--models", station_models(tmp_path), "--json", out / "demo.json"),
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((out / "demo.json").read_text())["frames"] == 10


def test_a_report_that_cannot_be_written_is_said_first(tmp_path: Path) -> None:
    """A `--json` in no folder ends the demo with 2 before a frame is shown."""
    done = linesight(
        *("demo", "--source", "synthetic://black?frames=10", "--out", tmp_path / "out"),
        *("--models", station_models(tmp_path), "--json", tmp_path / "nope" / "demo.json"),
    )
    assert done.returncode == 2
    assert "demo is online" not in done.stdout
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.timeout(300)
def test_make_demo(tmp_path: Path) -> None:
    """`make demo` ends by itself with exit 0, an alert opened and closed, and its files written."""
    root = Path(__file__).parents[2]
    environment = Path(sys.executable).parents[1]
    (environment / ".demo").touch()  # the environment of these tests is an installed one
    run = subprocess.run(
        ["make", "demo", f"VENV={environment}", f"DEMO={tmp_path / 'demo'}"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    figures = json.loads((tmp_path / "demo" / "demo.json").read_text())
    assert figures["alerts_opened"] >= 1
    assert figures["alerts_closed"] >= 1
    assert (tmp_path / "demo" / "demo.png").exists()


@pytest.fixture(scope="module")
def steel(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], str]:
    """`make demo STATION=steel_defect`: its folder, its summary and what it said."""
    folder = tmp_path_factory.mktemp("steel") / "demo"
    environment = Path(sys.executable).parents[1]
    (environment / ".demo").touch()
    run = subprocess.run(
        ["make", "demo", "STATION=steel_defect", f"VENV={environment}", f"DEMO={folder}"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return folder, json.loads((folder / "demo.json").read_text()), run.stdout


@pytest.mark.timeout(300)
def test_a_strip_runs_and_its_coil_is_reported(
    steel: tuple[Path, dict[str, Any], str],
) -> None:
    """The shipped model finds the known defects at line speed; the damaged roll is named; each
    defect's alert came live and ended; the strip is said to be synthetic.
    """
    folder, figures, said = steel
    lot = figures["lot"]
    assert "synthetic strip" in said
    assert (lot["length_mm"], lot["covered"]) == (24_000.0, 1.0)
    assert lot["planted"] >= 60
    assert lot["planted_found"] >= 0.97 * lot["planted"]
    assert [one["roll"] for one in lot["periodic"]] == ["work roll"]
    assert lot["grade"]["verdict"] == "reject"
    assert figures["alerts_opened"] == figures["alerts_closed"] >= lot["planted_found"]
    assert sum(lot["verdicts"].values()) == 24
    assert {"report.html", "report.svg", "report.csv", "report.json", "demo.png"} <= {
        file.name for file in folder.iterdir()
    }


def test_the_coils_page_needs_nothing_else(steel: tuple[Path, dict[str, Any], str]) -> None:
    """The page links to nothing, draws its map, and says that the strip is synthetic."""
    folder, figures, _ = steel
    page = (folder / "report.html").read_text()
    assert figures["lot"]["report"] == str(folder / "report.html")
    assert "SYNTHETIC-1" in page
    assert "<svg" in page
    assert not re.search(r"(src|href)=|url\(", page)
    assert page.count("<tr>") > figures["lot"]["planted_found"]


def test_a_folder_of_frames_is_a_strip(tmp_path: Path) -> None:
    """Its frames lie end to end, in the order of their names, and nothing of it is known."""
    frames = tmp_path / "frames"
    frames.mkdir()
    for number in range(4):
        image = strip_frame(number, defects=number == 2)
        assert cv2.imwrite(str(frames / f"{number}.png"), image)
    report = tmp_path / "d.json"
    done = linesight(
        *("demo", "--station", "steel_defect", "--source", frames),
        *("--out", tmp_path / "out", "--json", report),
    )
    assert done.returncode == 0, done.stderr
    lot = json.loads(report.read_text())["lot"]
    assert (lot["length_mm"], lot["covered"]) == (3200.0, 1.0)
    assert "planted" not in lot
    rows = (tmp_path / "out" / "report.csv").read_text().splitlines()[1:]
    places = [float(row.split(",")[1]) for row in rows]
    assert places
    assert all(1600 <= place < 2400 for place in places)


def test_a_folder_without_frames_is_no_strip(tmp_path: Path) -> None:
    """One line, and the exit code of the source."""
    done = linesight(
        *("demo", "--station", "steel_defect", "--source", tmp_path, "--out", tmp_path / "out")
    )
    assert done.returncode == 78
    assert len(done.stderr.splitlines()) == 1


def test_nothing_is_left_in_the_temporary_folder(tmp_path: Path) -> None:
    """The outbox and the clip of a demo do not outlive it."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    done = linesight(
        *("demo", "--source", "synthetic://black?frames=10", "--out", tmp_path / "out"),
        *("--models", station_models(tmp_path)),
        TMPDIR=str(temporary),
    )
    assert done.returncode == 0, done.stderr
    assert list(temporary.iterdir()) == []


def test_an_endless_source_ends_by_the_clock(tmp_path: Path) -> None:
    """--seconds ends the demo in good order, with the open alert closed."""
    done = linesight(
        *("demo", "--source", "synthetic://blobs", "--seconds", "2", "--out", tmp_path / "out"),
        *("--models", station_models(tmp_path), "--json", tmp_path / "d.json"),
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "d.json").read_text())
    assert figures["alerts_opened"] == figures["alerts_closed"] == 1


def test_without_an_alert_the_default_picture_fails(tmp_path: Path) -> None:
    """The twin: models that see no face in the portrait end with exit 1 and one line."""
    models = station_models(tmp_path)
    edit_manifest(models / "face_detector", lambda data: data["decode"].update(threshold=1.0))
    done = linesight("demo", "--seconds", "1", "--out", tmp_path / "out", "--models", models)
    assert done.returncode == 1
    assert done.stderr == "linesight: demo: no alert was opened and closed\n"
    assert "the mask is drawn" in done.stdout


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """A wrong --source is one line with the path and exit 78, and the broker is gone after it."""
    done = linesight(
        *("demo", "--source", "/nope.mp4", "--out", tmp_path / "out"),
        *("--models", station_models(tmp_path)),
    )
    assert done.returncode == 78
    assert len(done.stderr.splitlines()) == 1
    assert "/nope.mp4" in done.stderr


@pytest.mark.parametrize("name", ["demo.mp4", "demo.png"])
def test_an_out_that_cannot_be_written_is_told_first(tmp_path: Path, name: str) -> None:
    """A folder in the place of the video or the picture is one line and exit 2, nothing ran."""
    (tmp_path / "out" / name).mkdir(parents=True)
    done = linesight(
        *("demo", "--source", "synthetic://blobs?frames=9", "--out", tmp_path / "out"),
        *("--models", station_models(tmp_path)),
    )
    assert done.returncode == 2
    assert name in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


def test_a_video_that_fails_on_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """When the disk fails later, the station ends in good order: one line, exit 1, no figures."""

    def full(self: Recorder, image: object) -> None:
        raise SourceError("demo.mp4: cannot be written")

    monkeypatch.setattr(Recorder, "_begin", full)
    models, out = station_models(tmp_path), tmp_path / "out"
    arguments = ["demo", "--source", "synthetic://blobs", "--models", models, "--out", out]
    assert main([str(argument) for argument in arguments]) == 1
    said = capsys.readouterr()
    assert said.err == "linesight: demo.mp4: cannot be written\n"
    assert "demo is offline" in said.out
    assert "frames judged" not in said.out


def test_a_camera_that_is_not_there(tmp_path: Path) -> None:
    """--source 77 names the device and the remedy at once, with the exit code of `check`."""
    done = linesight(
        *("demo", "--source", "77", "--out", tmp_path / "out"),
        *("--models", station_models(tmp_path)),
        timeout_s=15,
    )
    assert done.returncode == 1
    assert "/dev/video77" in done.stderr
    assert "plug" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_without_the_portrait_a_source_is_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without scikit-image the one line names the extra, and --source in its place."""
    monkeypatch.setattr(scene, "find_spec", lambda name: None)
    models, out = station_models(tmp_path), tmp_path / "out"
    assert main(["demo", "--models", str(models), "--out", str(out)]) == 69
    (line,) = capsys.readouterr().err.splitlines()
    assert "linesight[demo]" in line
    assert "--source" in line


def test_json_on_standard_output_is_nothing_but_json(tmp_path: Path) -> None:
    """With `--json -` the story goes to stderr, with the bundles' paths."""
    models = station_models(tmp_path)
    done = linesight(
        *("demo", "--source", "synthetic://blobs?frames=60&mask_from=25", "--models", models),
        *("--out", tmp_path / "out", "--json", "-"),
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["frames"] == 60
    assert "demo is online" in done.stderr
    assert f"models: {models / 'face_detector'}, {models / 'mask_classifier'}" in done.stderr


@pytest.mark.skipif(not has_trained_models(), reason="models/face_detector is not trained yet")
def test_the_demo_with_the_shipped_models(tmp_path: Path) -> None:
    """`linesight demo` alone: ends by itself within 60 s, an alert opens and closes, exit 0."""
    done = linesight("demo", "--out", tmp_path / "out", "--json", tmp_path / "d.json")
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "d.json").read_text())
    assert figures["alerts_opened"] >= 1
    assert figures["alerts_closed"] >= 1
