"""The list of held-back pictures is the one of the conversion, and an evaluation takes it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from converter.recipe import Recipe, load_recipe
from converter.representative import split_items
from converter.training.split import split_boxes
from edge.cli import main as linesight
from edge.errors import UsageError
from edge.evaluation.data import read_pictures
from tests.helpers.bundles import BLOB_DETECTOR
from tests.helpers.labelled import write_labelled
from tools.held_back import held_back, main

MODELS = Path(__file__).resolve().parents[3] / "models"
DETECTOR, CLASSIFIER = (
    MODELS / name / "recipe.toml" for name in ("face_detector", "mask_classifier")
)


def _recipe(path: Path, **training: int) -> Recipe:
    recipe = load_recipe(path).recipe
    assert recipe.training is not None
    return recipe.model_copy(update={"training": recipe.training.model_copy(update=training)})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Painted pictures: 40 photos with two faces each, 20 crops of each state."""
    folder = tmp_path_factory.mktemp("labelled") / "data"
    write_labelled(folder, photos=40, crops=20)
    return folder


def test_an_evaluation_takes_the_list(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is printed for the detector names the very pictures that its gate was measured on."""
    assert main([str(DETECTOR), "--data", str(data)]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    judged = split_items(_recipe(DETECTOR), data).held_back
    assert said.out.splitlines() == [f"images/{item.path.name}" for item in judged]
    assert 0 < len(judged) < 40
    file, report = tmp_path / "held_back.txt", tmp_path / "report.json"
    file.write_text(said.out)
    arguments = ("eval", BLOB_DETECTOR, "--data", data / "boxes", "--only", file, "--json", report)
    assert linesight([str(argument) for argument in arguments]) == 0
    assert json.loads(report.read_text())["detection"]["images"] == len(judged)


@pytest.mark.parametrize("source", ["boxes", "crops"])
def test_of_several_folders_one_is_named(data: Path, source: str) -> None:
    """A classifier's list is of one folder, and a photo with two faces stands in it once."""
    recipe = _recipe(CLASSIFIER)
    names = held_back(recipe, data, source)
    assert list(names) == sorted(set(names))
    taken = read_pictures(data / source, recipe.labels, frozenset(names))
    items = [i for i in split_items(recipe, data).held_back if i.source == source]
    assert {picture.path for picture in taken} == {item.path for item in items}
    assert (len(items) > len(names)) == (source == "boxes")


def test_another_fold_holds_others_back(data: Path) -> None:
    """The recipe's fold counts: the next one shares no picture with the first."""
    first, second = (held_back(_recipe(DETECTOR, fold=fold), data) for fold in (0, 1))
    assert not set(first) & set(second)
    training = _recipe(DETECTOR, fold=1).training
    assert training is not None
    split = split_boxes(data, fraction=training.picture_fraction, seed=training.seed, fold=1)
    assert set(second) == {p.relative_to(data / "boxes").as_posix() for p in split.validation}


def test_without_a_folder_there_must_be_only_one(data: Path) -> None:
    """No evaluation takes pictures of two folders, so the folder must be named; both are told."""
    with pytest.raises(UsageError, match="which folder") as caught:
        held_back(_recipe(CLASSIFIER), data)
    assert "boxes, crops" in caught.value.hint


@pytest.mark.parametrize(
    ("recipe", "folder", "more", "code", "says"),
    [
        (DETECTOR, "data", ("--source", "crops"), 2, "--source crops: holds no picture back"),
        (DETECTOR, "nowhere", (), 78, "nowhere/boxes: no such folder"),
        (MODELS / "none.toml", "data", (), 78, "none.toml"),
    ],
    ids=["another folder", "no data", "no recipe"],
)
def test_what_cannot_be_listed_is_told(
    data: Path,
    recipe: Path,
    folder: str,
    more: tuple[str, ...],
    code: int,
    says: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A wrong argument ends the command with its code and the reason, and nothing is listed."""
    assert main([str(recipe), "--data", str(data.parent / folder), *more]) == code
    said = capsys.readouterr()
    assert says in said.err
    assert said.out == ""
