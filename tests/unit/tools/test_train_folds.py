"""The recipe's training, once for each fold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from converter.training import DetectorTraining
from edge.errors import ConfigError, DataError
from tools import train_folds
from tools.train_folds import RECIPE, main, settings_of

OTHER = RECIPE.parents[1] / "mask_classifier" / "recipe.toml"


def test_each_fold_is_the_recipes_training_on_another_share() -> None:
    """Only what is held back, and for how long it trains, differs from the recipe."""
    first, last = (settings_of(RECIPE, fold, 5, 15.0) for fold in (0, 4))
    assert (first.fold, last.fold) == (0, 4)
    assert first.picture_fraction == last.picture_fraction == pytest.approx(0.2)
    assert first.model_copy(update={"fold": 4}) == last
    assert first.start_from_labeller


def test_from_scratch_changes_the_beginning_alone() -> None:
    """The road without another's weights differs from the one with them in nothing else."""
    with_weights = settings_of(RECIPE, 0, 5, 8.0)
    without = settings_of(RECIPE, 0, 5, 8.0, from_scratch=True)
    assert not without.start_from_labeller
    assert without.model_copy(update={"start_from_labeller": True}) == with_weights


def test_a_recipe_of_another_kind_is_refused() -> None:
    """Folds are for detectors."""
    with pytest.raises(ConfigError, match="trains no detector"):
        settings_of(OTHER, 0, 5, 15.0)


def test_what_no_training_can_be_is_refused() -> None:
    """A fold behind the last share, or more minutes than a recipe may say, is named in a line."""
    with pytest.raises(ConfigError, match=r"training: fold: 5 holds no pictures back.* is 4$"):
        settings_of(RECIPE, 5, 5, 15.0)
    with pytest.raises(ConfigError, match=r"recipe\.toml: training\.minutes: .*10000$"):
        settings_of(RECIPE, 0, 5, 20_000.0)


@pytest.mark.parametrize(
    "wrong",
    [
        ("--folds", "1"),
        ("--folds", "many"),
        ("--minutes", "0"),
        ("--minutes", "nan"),
        ("--only", "-1"),
        ("--only", "5"),
        ("--folds", "3", "--only", "3"),
    ],
    ids=" ".join,
)
def test_wrong_arguments_train_nothing(
    tmp_path: Path, wrong: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2 and the option's name, before anything is written."""
    out = tmp_path / "out"
    with pytest.raises(SystemExit) as ended:
        main(["--data", str(tmp_path), "--out", str(out), *wrong])
    assert ended.value.code == 2
    assert f"argument {wrong[-2]}: " in capsys.readouterr().err
    assert not out.exists()


def test_another_recipe_ends_with_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 78, the recipe and the reason on stderr."""
    assert main(["--data", str(tmp_path), "--out", str(tmp_path), "--recipe", str(OTHER)]) == 78
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{OTHER}: trains no detector (")


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str | None]]:
    """What was trained instead of a network: the fold, and the labels that it began with."""
    calls: list[tuple[int, str | None]] = []

    def train(
        settings: DetectorTraining,
        data: Path,
        out: Path,
        *,
        resume: bool,
        progress: Callable[[str], None],
    ) -> None:
        labels = out / "labels.json"
        calls.append((settings.fold, labels.read_text() if labels.exists() else None))
        labels.write_text(f"labels after fold {settings.fold}")
        if data.name == "broken":
            raise DataError("boxes: cannot be read")
        (out / "judged.json").write_text("[]")

    monkeypatch.setattr(train_folds, "train", train)
    return calls


def test_folds_share_what_the_labeller_found(
    tmp_path: Path, trained: list[tuple[int, str | None]]
) -> None:
    """Each fold begins with the labels of those before it, and one that is done is left alone."""
    arguments = ["--data", str(tmp_path), "--out", str(tmp_path), "--folds", "2"]
    assert main([*arguments, "--only", "0"]) == 0
    assert main(arguments) == 0
    assert trained == [(0, None), (1, "labels after fold 0")]


def test_an_interrupted_fold_keeps_its_own_labels(
    tmp_path: Path, trained: list[tuple[int, str | None]], capsys: pytest.CaptureFixture[str]
) -> None:
    """An error ends it with its exit code; then it goes on with all that it had found itself."""
    (tmp_path / "labels.json").write_text("labels of before")
    out = ["--out", str(tmp_path), "--only", "3"]
    assert main(["--data", str(tmp_path / "broken"), *out]) == 78
    assert capsys.readouterr().err == "boxes: cannot be read\n"
    assert main(["--data", str(tmp_path), *out]) == 0
    assert trained == [(3, "labels of before"), (3, "labels after fold 3")]
