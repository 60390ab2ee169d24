"""The summary of several folds, on made-up trainings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from edge.errors import DataError
from tools.folds import main, read_fold, summarize, table

Row = tuple[int, Sequence[tuple[float, bool]]]
"""Faces, and the detections as score and hit."""


def _write(folder: Path, rows: Sequence[Row], first: int = 0) -> Path:
    """The folder of a training that judged such pictures, numbered from ``first`` on."""
    folder.mkdir()
    judged = [
        {
            "file": f"images/{number}.jpg",
            "faces": faces,
            "scores": [score for score, _ in found],
            "hit": [hit for _, hit in found],
        }
        for number, (faces, found) in enumerate(rows, first)
    ]
    (folder / "judged.json").write_text(json.dumps(judged))
    return folder


def _crowd(found: int, faces: int = 20, score: float = 0.9) -> Row:
    return faces, [(score, True)] * found


ONE: list[Row] = [_crowd(10), _crowd(15), (1, [(0.5, True), (0.3, False)]), (0, [(0.2, False)])]
TWO: list[Row] = [_crowd(5), _crowd(20, score=0.6), (3, [(0.7, False)])]


def _report(tmp_path: Path, *folds: Sequence[Row]) -> dict[str, Any]:
    paths = [
        _write(tmp_path / f"fold{number}", rows, 100 * number) for number, rows in enumerate(folds)
    ]
    return summarize([read_fold(path) for path in paths])


def test_each_fold_has_its_own_threshold(tmp_path: Path) -> None:
    """A fold's threshold is the lowest with precision 0.95 on it, and its recalls are at that."""
    one, two = _report(tmp_path, ONE, TWO)["folds"]
    assert one["threshold"] == pytest.approx(0.3)  # 26 of 27
    assert one["recall"] == 26 / 41
    assert one["crowds"] == {"recall": 25 / 40, "pictures": 2, "faces": 40}
    assert two["threshold"] == pytest.approx(0.6)  # 25 of 26
    assert two["crowds"] == {"recall": 25 / 40, "pictures": 2, "faces": 40}
    assert (one["pictures"], one["faces"], two["faces"]) == (4, 41, 43)


def test_the_mean_is_over_folds(tmp_path: Path) -> None:
    """Each fold weighs alike, whatever its number of faces; the interval holds the mean."""
    few, many = [_crowd(18, 18)] * 2, [_crowd(10)] * 3 + [_crowd(20)]
    report = _report(tmp_path, few, many)
    mean = report["mean"]
    assert mean["crowds"]["recall"] == pytest.approx((1 + 50 / 80) / 2)
    assert mean["recall"] == pytest.approx(mean["crowds"]["recall"])
    assert mean["ap"] == pytest.approx((1 + 50 / 80) / 2)
    low, high = mean["crowds"]["interval"]["recall"]
    assert low == pytest.approx(0.75)  # the many can all be drawn at half recall, the few not
    assert mean["crowds"]["recall"] < high <= 1
    assert report["pictures"] == 6


def test_folds_are_drawn_apart(tmp_path: Path) -> None:
    """Two folds prove more than one: with pictures alike, the interval of their mean is 1/√2 as
    wide. Drawn with the same numbers it would be as wide as that of one.
    """
    rows = [_crowd(20 * (k % 2)) for k in range(60)]

    def width(report: dict[str, Any]) -> float:
        low, high = report["mean"]["crowds"]["interval"]["recall"]
        return float(high - low)

    paths = [_write(tmp_path / name, rows, first) for name, first in (("a", 0), ("b", 60))]
    one, two = (read_fold(path) for path in paths)
    assert width(summarize([one, two])) == pytest.approx(width(summarize([one])) / 2**0.5, rel=0.15)


def test_a_crowd_has_18_faces(tmp_path: Path) -> None:
    """17 faces are no crowd; a fold without a crowd is left out of the mean of that figure."""
    report = _report(tmp_path, [(17, [(0.9, True)] * 17), _crowd(9, 18)], [_crowd(17, 17)] * 2)
    one, two = report["folds"]
    assert one["crowds"] == {"recall": 0.5, "pictures": 1, "faces": 18}
    assert "crowds" not in two
    assert report["mean"]["crowds"] == {"recall": 0.5}  # on one picture: no interval
    assert report["mean"]["recall"] == pytest.approx((26 / 35 + 1) / 2)


def test_no_threshold_is_precise_enough(tmp_path: Path) -> None:
    """A detector that is never precise finds nobody at that precision, and has no threshold."""
    (row,) = _report(tmp_path, [(20, [(0.9, False), (0.8, True)]), (1, [])])["folds"]
    assert "threshold" not in row
    assert (row["recall"], row["crowds"]["recall"]) == (0.0, 0.0)


def test_folds_that_share_a_picture_are_refused(tmp_path: Path) -> None:
    """The same fold named twice would make the interval too narrow."""
    one = _write(tmp_path / "one", ONE)
    with pytest.raises(DataError, match=r"images/0\.jpg: was judged in .*one and in .*one"):
        summarize([read_fold(one), read_fold(one)])
    two = _write(tmp_path / "two", TWO, first=3)
    with pytest.raises(DataError, match=r"images/3\.jpg"):
        summarize([read_fold(one), read_fold(two)])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[", "is not what a training writes"),
        ("{}", "holds no picture"),
        ("[]", "holds no picture"),
        ('[{"file": "a"}]', "is not what a training writes"),
        ('[{"file": "a", "faces": 1, "scores": [0.5], "hit": []}]', "do not fit together"),
        ('[{"file": "a", "faces": 0, "scores": [0.5], "hit": [true]}]', "do not fit together"),
        ('[{"file": "a", "faces": 1, "scores": 0.5, "hit": true}]', "do not fit together"),
    ],
)
def test_a_damaged_file_is_named(
    tmp_path: Path, text: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What no training has written ends the command with the file and the reason."""
    (tmp_path / "judged.json").write_text(text)
    assert main([str(tmp_path)]) == 78
    said = capsys.readouterr()
    assert f"{tmp_path / 'judged.json'}: " in said.err
    assert reason in said.err
    assert said.out == ""


def test_a_folder_without_a_training_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No judged.json: exit 78, and which file was looked for."""
    assert main([str(tmp_path / "nowhere")]) == 78
    assert "nowhere/judged.json: cannot be read: No such file" in capsys.readouterr().err


def test_table_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each fold, the mean with its interval; the JSON holds the same and no null."""
    one, two = _write(tmp_path / "one", ONE), _write(tmp_path / "two", TWO, first=10)
    file = tmp_path / "folds.json"
    assert main([str(one), str(two), "--json", str(file)]) == 0
    report = json.loads(file.read_text())
    assert "null" not in file.read_text()
    lines = capsys.readouterr().out.splitlines()
    assert lines == list(table(report))
    assert [line.split()[0].rpartition("/")[2] for line in lines] == [
        "run", "one", "two", "mean", "95", "to",
    ]  # fmt: skip
    assert lines[1].split()[1:] == ["4", "2", "0.3000", "0.6341", "0.6341", "0.6250"]
    assert lines[3].split()[-1] == "0.6250"


def test_a_fold_without_crowds_is_shown(tmp_path: Path) -> None:
    """What does not exist is a dash in the table."""
    lines = list(table(_report(tmp_path, [(1, [(0.9, False)]), (1, [])])))
    assert lines[1].split()[1:] == ["2", "0", "-", "0.0000", "0.0000", "-"]
    assert lines[2].split()[-1] == "-"
