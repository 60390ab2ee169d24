"""``linesight bench face_mask --reference``: the real loop, in turns with the station."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.command import ROOT, linesight, station_models
from tests.helpers.data import data_dir

pytestmark = pytest.mark.convert

DETECTOR = ("opencv_face_detector_uint8.pb", "opencv_face_detector.pbtxt")


@pytest.mark.data
def test_the_ratio_is_of_turns_in_one_run(tmp_path: Path) -> None:
    """Each number of faces has its ratio; the loop has one thread, and its detector when told.

    With the shipped models and 32 faces it is 50 at least, half of what a quiet machine must show:
    a busy moment between the two halves of a turn is only in one of them. The ratio is a median of
    five turns' own, so it is near that of the two medians but need not be the same.
    """
    report = tmp_path / "bench.json"
    files = [data_dir("keras_models", name) for name in DETECTOR]
    done = linesight(
        *("bench", "face_mask", "--models", ROOT / "models", "--faces", "1,32"),
        *("--seconds", "0.5", "--reference", "--json", report),
        *("--reference-detector", files[0], files[1]),
        timeout_s=110,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(report.read_text())
    assert figures["reference"] == {"threads": 1, "detector": True}
    for entry in figures["by_faces"].values():
        assert entry["ratio"] == pytest.approx(entry["fps"] / entry["reference_fps"], rel=0.3)
    assert figures["by_faces"]["32"]["reference_fps"] < figures["by_faces"]["1"]["reference_fps"]
    assert figures["by_faces"]["32"]["ratio"] >= 50, figures
    assert "in turns with all this" in done.stdout


def test_the_loop_serves_with_one_thread_until_its_input_ends() -> None:
    """A frame on request, in the order of the requests; it never uses more than one CPU."""
    with subprocess.Popen(
        [sys.executable, "-m", "converter.reference", "--serve"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert json.loads(process.stdout.readline()) == {"ready": True}
        before = cpu_s(process.pid)
        took = 0.0
        for faces in (1, 8, 8):
            process.stdin.write(f"{faces}\n")
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
            assert answer["faces"] == faces
            took += answer["seconds"]
        # A second network thread would use up to twice the time; tf.data's own use a little.
        assert cpu_s(process.pid) - before < 1.3 * took
        process.stdin.close()
        assert process.wait(30) == 0


def cpu_s(pid: int) -> float:
    """CPU time that a process has used, in all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    """Exit 78 and one line of what OpenCV cannot read, and nothing was measured."""
    files = [tmp_path / name for name in DETECTOR]
    for file in files:
        file.write_text("no network")
    done = linesight(
        *("bench", "face_mask", "--models", station_models(tmp_path), "--variant", "int8"),
        *("--reference-detector", files[0], files[1]),
        timeout_s=110,
    )
    assert done.returncode == 78
    (line,) = done.stderr.splitlines()
    assert "opencv_face_detector_uint8.pb" in line
    assert "frames/s" not in done.stdout
