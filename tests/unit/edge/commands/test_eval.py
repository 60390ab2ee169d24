"""`linesight eval`: figures on labelled pictures, as a table and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.cli import main
from edge.commands import targets
from edge.commands.eval import table
from edge.contract.bundle import Bundle
from tests.helpers.bundles import TINT_CLASSIFIER
from tests.helpers.colours import ColourEngine, colour_manifest, paint
from tests.helpers.command import linesight, station_models
from tests.helpers.forbidden import forbid

BLUE, RED = (230, 150, 60), (60, 60, 230)


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    """Four pictures, one of them in the wrong folder."""
    data = tmp_path / "data"
    colours = {"with_mask": [BLUE, BLUE], "without_mask": [RED, BLUE]}
    for label, pictures in colours.items():
        (data / label).mkdir(parents=True)
        for index, colour in enumerate(pictures):
            image = np.full((40, 40, 3), colour, np.uint8)
            assert cv2.imwrite(str(data / label / f"g{index}_x.png"), image)
    return data


def test_a_classifier_on_class_folders(crops: Path, tmp_path: Path) -> None:
    """Three of four are right; table and JSON say so, and the JSON holds no null."""
    report = tmp_path / "eval.json"
    done = linesight("eval", TINT_CLASSIFIER, "--data", crops, "--json", report)
    assert done.returncode == 0, done.stderr
    figures = json.loads(report.read_text())
    assert figures["classification"]["accuracy"] == 0.75
    assert "75.00 %" in done.stdout
    assert "eval: 4 of 4" in done.stderr
    assert "null" not in report.read_text()


def test_only_takes_a_list(crops: Path, tmp_path: Path) -> None:
    """--only leaves the other pictures out; comments and empty lines do not count."""
    names = tmp_path / "names.txt"
    names.write_text("# two\nwith_mask/g0_x.png\n\nwithout_mask/g0_x.png\n")
    done = linesight("eval", TINT_CLASSIFIER, "--data", crops, "--only", names, "--json", "-")
    assert '"accuracy": 1.0' in done.stdout


def test_a_station_needs_both_bundles(crops: Path, tmp_path: Path) -> None:
    """face_mask takes detector and classifier from --models."""
    models = station_models(tmp_path)
    done = linesight("eval", "face_mask", "--data", crops, "--models", models)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:2] == [
        f"blob_detector 1 float32, {models / 'face_detector'}",
        f"tint_classifier 1 float32, {models / 'mask_classifier'}",
    ]


@pytest.mark.parametrize(
    ("extra", "code", "says"),
    [
        (("--data", "/nope"), 78, "/nope"),
        (("--variant", "int4"), 2, "only float32, int8 (or take auto)"),
        (("--json", "/nope/x.json"), 2, "/nope/x.json"),
        (("--json", "/"), 2, "'/' cannot be written"),
        (("--models", "/nope"), 2, "'/nope': No such file"),
        (("--models", "/dev/null"), 2, "'/dev/null' is not a folder"),
        (("--only", "/nope.txt"), 2, "No such file or directory (name a text file"),
    ],
)
def test_what_cannot_be_used_is_named(
    crops: Path, extra: tuple[str, ...], code: int, says: str
) -> None:
    """What cannot be used is one line with a remedy, and comes before the work, not after it."""
    done = linesight("eval", TINT_CLASSIFIER, "--data", crops, *extra)
    assert done.returncode == code
    (line,) = done.stderr.splitlines()
    assert says in line


def test_json_on_standard_output_is_nothing_but_json(crops: Path) -> None:
    """With `--json -` the table goes to stderr."""
    done = linesight("eval", TINT_CLASSIFIER, "--data", crops, "--json", "-")
    assert json.loads(done.stdout)["classification"]["accuracy"] == 0.75
    assert "75.00 %" in done.stderr


def test_a_bundle_in_a_forbidden_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where one may not look there may be a bundle: exit 78 with the path and the reason."""
    forbid(monkeypatch, tmp_path / "locked")
    target = tmp_path / "locked" / "bundle"
    assert main(["eval", str(target), "--data", str(tmp_path)]) == 78
    assert f"{target}: cannot be read: Permission denied" in capsys.readouterr().err


def test_shares_are_percent_and_counts_are_counts() -> None:
    """The table shows a share as percent and a count as it is."""
    lines = list(table({"detection": {"recall": 0.5, "faces": 12}}))
    assert lines[0].split() == ["detection", "recall", "50.00", "%"]
    assert lines[1].split() == ["detection", "faces", "12"]


def test_intervals_stand_beside_their_figure() -> None:
    """An interval is shown in percent behind its figure and is no line of its own; a number that
    is no share is shown as it is.
    """
    part = {"recall": 0.5, "threshold": 0.25, "interval": {"recall": [0.401, 0.6]}}
    (line,) = table({"detection": {"recall": 0.5, "interval": {"recall": [0.401, 0.6]}}})
    assert line.split() == ["detection", "recall", "50.00", "%", "(40.1-60.0)"]
    (line,) = table({"detection": {"at_precision": {"0.95": part}}})
    assert line.split(maxsplit=3)[:3] == ["detection", "at_precision", "0.95"]
    assert line.endswith("recall 50.00 % (40.1-60.0)  threshold 0.2500")


def test_a_part_is_one_line() -> None:
    """A range or a group is one line with all its figures; a section's own figures come first; the
    ranges of the lower precision are in the JSON alone.
    """
    by_faces = {"1": {"recall": 1.0, "images": 4}, "2-5": {"recall": 0.25, "images": 3}}
    at = {"recall": 0.5, "by_faces": {"18+": {"recall": 0.125}}}
    lines = list(
        table(
            {
                "detection": {
                    "by_faces": by_faces,
                    "faces": 12,
                    "at_precision": {"0.90": at, "0.95": at},
                },
                "unreadable": 2,
            }
        )
    )
    assert [" ".join(line.split()) for line in lines] == [
        "detection faces 12",
        "detection by_faces 1 recall 100.00 % images 4",
        "detection by_faces 2-5 recall 25.00 % images 3",
        "detection at_precision 0.90 recall 50.00 %",
        "detection at_precision 0.95 recall 50.00 %",
        "detection at_precision 0.95 by_faces 18+ recall 12.50 %",
        "unreadable 2",
    ]


def test_a_segmentation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bundle for segmentation is measured; its shares are percent, and its engine is closed."""
    engines: list[ColourEngine] = []

    def open_checked(bundle: Bundle, variant: str, *, threads: int) -> ColourEngine:
        assert threads >= 1
        engines.append(ColourEngine(bundle.manifest, variant))
        return engines[-1]

    monkeypatch.setattr(targets, "open_checked", open_checked)
    bundle, data = tmp_path / "bundle", tmp_path / "data"
    bundle.mkdir()
    (bundle / "manifest.json").write_text(colour_manifest().to_json(), encoding="utf-8")
    data.mkdir()
    spot = paint((16, 32), ("red", slice(0, 8), slice(0, 4)))
    assert cv2.imwrite(str(data / "a.png"), spot)
    assert cv2.imwrite(str(data / "b.png"), paint((16, 32)))
    (data / "train.csv").write_text("ImageId,ClassId,EncodedPixels\na.png,1,1 8 17 8\n")
    report = tmp_path / "report.json"
    asked = ["eval", str(bundle), "--data", str(data), "--json", str(report)]
    assert main([*asked, "--clean", f"both={data}"]) == 0
    figures = json.loads(report.read_text())
    assert figures["false_alarms"] == {"both": 0.5}
    assert figures["dice"]["red"] == pytest.approx(2 / 3)
    assert figures["verdict"]["accuracy_all"] == 1.0
    said = capsys.readouterr()
    shown = {" ".join(line.split()[:-2]): line.split()[-2] for line in said.out.splitlines()}
    assert (shown["dice red"], shown["dice kaggle_silent"]) == ("66.67", "83.33")
    assert shown["verdict accuracy_all"] == "100.00"
    assert shown["false_alarms both"] == "50.00"
    assert [engine.closed for engine in engines] == [1]


@pytest.mark.parametrize("text", ["folder", "=folder", "name="])
def test_a_clean_folder_has_a_name(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """--clean takes NAME=DIR, and says so."""
    with pytest.raises(SystemExit) as ended:
        main(["eval", "face_mask", "--data", ".", "--clean", text])
    assert ended.value.code == 2
    assert f"{text!r} is not NAME=DIR" in capsys.readouterr().err


def test_clean_surfaces_measure_no_classifier(
    crops: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bundle that segments nothing cannot raise false alarms on surfaces."""
    asked = ["eval", str(TINT_CLASSIFIER), "--data", str(crops), "--clean", f"clean={crops}"]
    assert main(asked) == 2
    assert "--clean: is for a segmentation" in capsys.readouterr().err
