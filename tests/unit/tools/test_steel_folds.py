"""Folds of the steel network: what is trained, and what the table says of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from converter.training import SegmenterTraining
from edge.errors import DataError
from tools import steel_folds
from tools.steel_folds import main, settings_of, summary, table

pytestmark = pytest.mark.convert
OTHER = Path("models/face_detector/recipe.toml")


def trained(fold: int, dice: float, counts: list[int]) -> dict[str, Any]:
    """``metrics.json`` of a fold."""
    return {
        "epoch": 7,
        "settings": {"fold": fold},
        "shipped": {
            "dice": {"inclusion": dice, "mean": dice},
            "verdict": {"inclusion": {"counts": counts, "accuracy": 0.5}},
            "missed": 0.1 * fold,
            "false_alarms": {"MT_Free": 0.02, "quadrants": 0.2},
        },
    }


def test_each_fold_holds_back_another_share() -> None:
    """All else is the recipe's, but for network and minutes."""
    recipe = steel_folds.RECIPE
    first, last = (settings_of(recipe, "unet", fold, 4, 2.5) for fold in (0, 3))
    assert (first.network, first.minutes, first.picture_fraction) == ("unet", 2.5, 0.25)
    assert (first.fold, last.fold) == (0, 3)
    assert first.model_copy(update={"fold": 3}) == last


def test_counts_are_added_and_figures_averaged() -> None:
    """Every picture is held back once, so the sum of the verdicts is one over all pictures."""
    both = [trained(0, 0.8, [5, 1, 0, 4]), trained(1, 0.9, [6, 0, 1, 3])]
    found = summary(both)
    assert found["dice"]["mean"] == 0.85
    assert found["dice_range"] == [0.8, 0.9]
    assert found["verdict"]["inclusion"] == {"counts": [11, 1, 1, 7], "accuracy": 0.9}
    assert (found["missed"], found["false_alarms"]["quadrants"]) == (0.05, 0.2)
    told = table("small", both)
    assert "fold 1, 7 epochs" in told
    assert "[11, 1, 1, 7]" in told


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The folds that were trained; nothing is."""
    found: list[int] = []

    def train(
        settings: SegmenterTraining,
        data: Path,
        out: Path,
        *,
        resume: bool,
        progress: Callable[[str], None],
    ) -> None:
        assert resume
        if data.name == "broken":
            raise DataError("neu_seg: cannot be read")
        found.append(settings.fold)
        metrics = trained(settings.fold, 0.8, [1, 0, 0, 1])
        (out / "metrics.json").write_text(json.dumps(metrics))

    monkeypatch.setattr(steel_folds, "train", train)
    return found


def test_what_is_done_is_not_trained_again(
    tmp_path: Path, calls: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    """One fold alone, then all of them: the table and the JSON tell all."""
    arguments = ["--data", str(tmp_path), "--out", str(tmp_path), "--folds", "3"]
    assert main([*arguments, "--only", "1"]) == 0
    assert main([*arguments, "--json", str(tmp_path / "s.json")]) == 0
    assert calls == [1, 0, 2]
    assert "fold 2" in capsys.readouterr().out
    assert json.loads((tmp_path / "s.json").read_text())["folds"] == 3


def test_errors_end_with_one_line(
    tmp_path: Path, calls: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    """Data that cannot be read, and a recipe of another kind: exit 78."""
    out = ["--out", str(tmp_path / "o")]
    assert main(["--data", str(tmp_path / "broken"), *out]) == 78
    assert main(["--data", str(tmp_path), *out, "--recipe", str(OTHER)]) == 78
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert "trains no segmenter" in lines[1]


@pytest.mark.parametrize(
    "wrong", [("--folds", "1"), ("--minutes", "0"), ("--only", "5"), ("--network", "huge")]
)
def test_wrong_arguments_train_nothing(
    tmp_path: Path, calls: list[int], wrong: tuple[str, str]
) -> None:
    """Exit 2 before anything is written."""
    out = tmp_path / "out"
    with pytest.raises(SystemExit) as ended:
        main(["--data", str(tmp_path), "--out", str(out), *wrong])
    assert ended.value.code == 2
    assert not out.exists()
    assert calls == []
