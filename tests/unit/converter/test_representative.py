"""What calibrates comes from the training side, what judges from the other; both by seed."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from converter.recipe import Recipe, load_recipe
from converter.representative import Sides, check_data, draw, read_item, split_items
from converter.training.split import split_boxes, split_crops
from edge.errors import DataError
from tests.helpers.labelled import write_labelled

ROOT = Path(__file__).resolve().parents[3]


def _recipe(name: str) -> Recipe:
    return load_recipe(ROOT / "models" / name / "recipe.toml").recipe


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Painted pictures: 40 photos with two faces each, 80 crops."""
    folder = tmp_path_factory.mktemp("labelled") / "data"
    write_labelled(folder, photos=40, crops=40)
    return folder


@pytest.fixture(scope="module")
def sides(data: Path) -> Sides:
    """The classifier's items, split."""
    return split_items(_recipe("mask_classifier"), data)


def test_sides_are_those_of_the_training(data: Path, sides: Sides) -> None:
    """No held-back item shows a picture that the training learns from."""
    training = _recipe("mask_classifier").training
    assert training is not None
    boxes = split_boxes(data, fraction=training.picture_fraction, seed=training.seed)
    crops = split_crops(data, fraction=training.crop_fraction, seed=training.seed)
    assert {item.path for item in sides.train} == {*boxes.train, *crops.train}
    assert {item.path for item in sides.held_back} == {*boxes.validation, *crops.validation}


def test_draw_takes_the_training_side_only(data: Path, sides: Sides) -> None:
    """The representative data set holds no held-back picture, and as many of each label."""
    drawn = draw(_recipe("mask_classifier"), data, sides).items
    assert not {item.path for item in drawn} & {item.path for item in sides.held_back}
    labels = [item.label for item in drawn]
    assert labels.count("with_mask") == labels.count("without_mask")


def test_seed_decides(data: Path, sides: Sides) -> None:
    """The same seed draws the same items with the same hash, another seed others."""
    recipe = _recipe("mask_classifier")
    fewer = recipe.representative.model_copy(update={"count": 30})
    recipe = recipe.model_copy(update={"representative": fewer})
    other = recipe.model_copy(update={"representative": fewer.model_copy(update={"seed": 8})})
    first, again, third = (draw(r, data, sides) for r in (recipe, recipe, other))
    assert len(first.items) == 30
    assert (first.items, first.sha256) == (again.items, again.sha256)
    assert first.items != third.items
    assert first.sha256 != third.sha256


def test_hash_follows_the_bytes_not_the_place(data: Path, sides: Sides, tmp_path: Path) -> None:
    """A copy of the data elsewhere has the same hash; one changed byte gives another."""
    recipe = _recipe("mask_classifier")
    copy = tmp_path / "elsewhere"
    shutil.copytree(data, copy)
    before = draw(recipe, data, sides)
    same = draw(recipe, copy, split_items(recipe, copy))
    assert same.sha256 == before.sha256
    with same.items[0].path.open("ab") as file:
        file.write(b"\0")
    assert draw(recipe, copy, split_items(recipe, copy)).sha256 != before.sha256


def test_tensors_are_what_the_device_makes(data: Path, sides: Sides) -> None:
    """Each tensor has the model's shape and the recipe's colour order and range, at every pass."""
    recipe = _recipe("mask_classifier")
    drawn = draw(recipe, data, sides)
    tensors = list(drawn.tensors())
    assert len(tensors) == len(drawn.items)
    assert {tensor.shape for tensor in tensors} == {(1, 80, 80, 3)}
    assert {tensor.dtype for tensor in tensors} == {np.dtype(np.float32)}
    assert all(tensor.min() >= -1 and tensor.max() <= 1 for tensor in tensors)
    reds = [t[0, 24:40, 24:40, 0].mean() - t[0, 24:40, 24:40, 2].mean() for t in tensors]
    masked = [item.label == "with_mask" for item in drawn.items]
    assert [red < 0 for red in reds] == masked
    np.testing.assert_array_equal(next(drawn.tensors()), tensors[0])


def test_detector_sees_whole_pictures(data: Path) -> None:
    """A detector is calibrated with whole photos."""
    recipe = _recipe("face_detector")
    sides = split_items(recipe, data)
    assert {item.box for item in (*sides.train, *sides.held_back)} == {()}
    assert read_item(sides.train[0], recipe).shape == (120, 160, 3)


def test_faces_are_cut_with_the_margin(data: Path, sides: Sides) -> None:
    """A face of a photo has the recipe's margin around it."""
    recipe = _recipe("mask_classifier")
    item = next(item for item in sides.train if item.box and min(item.box[:2]) > 12)
    height = read_item(item, recipe).shape[0]
    assert 1.4 * item.box[3] <= height <= 1.4 * item.box[3] + 2


def test_missing_data_is_named(data: Path, tmp_path: Path) -> None:
    """A folder that is not there, and one without labels, are named before anything long begins."""
    recipe = _recipe("mask_classifier")
    check_data(recipe, data)
    with pytest.raises(DataError, match=r"boxes: no such folder"):
        check_data(recipe, tmp_path)
    (tmp_path / "boxes").mkdir()
    with pytest.raises(DataError, match=r"boxes: no labelled pictures"):
        split_items(recipe, tmp_path)


def test_unreadable_picture_is_named(data: Path, tmp_path: Path) -> None:
    """A picture that cannot be decoded is named; nothing is calibrated without it in silence."""
    copy = tmp_path / "data"
    shutil.copytree(data, copy)
    (copy / "boxes" / "images" / "gen_0005.png").write_bytes(b"<html>")
    with pytest.raises(DataError, match=r"gen_0005\.png"):
        split_items(_recipe("face_detector"), copy)


def _with(recipe: Recipe, *sources: str, gate: tuple[str, ...] = (), **other: object) -> Recipe:
    """A recipe of a model from elsewhere, with other folders."""
    chosen = recipe.representative.model_copy(update={"sources": sources, **other})
    judged = recipe.gate.model_copy(update={"sources": gate})
    changes = {"representative": chosen, "gate": judged, "training": None}
    return recipe.model_copy(update=changes)


def test_model_from_elsewhere_is_split_by_its_share(data: Path) -> None:
    """Without a training the recipe's own share is held back, evenly over the labels."""
    sides = split_items(_with(_recipe("mask_classifier"), "crops", held_back=0.25), data)
    labels = [item.label for item in sides.held_back]
    assert (labels.count("with_mask"), labels.count("without_mask")) == (10, 10)
    assert len(sides.train) == 60


def test_gate_may_have_folders_of_its_own(data: Path) -> None:
    """With gate.sources nothing is split: one folder calibrates, the other judges."""
    recipe = _with(_recipe("mask_classifier"), "boxes", gate=("crops",))
    check_data(recipe, data)
    sides = split_items(recipe, data)
    assert {item.source for item in sides.train} == {"boxes"}
    assert {item.source for item in sides.held_back} == {"crops"}
    assert len(sides.held_back) == 80


def test_what_only_calibrates_needs_no_labels(data: Path, tmp_path: Path) -> None:
    """A folder of mere pictures calibrates; an empty one is named."""
    copy = tmp_path / "data"
    shutil.copytree(data, copy)
    shutil.copytree(copy / "boxes" / "images", copy / "plain" / "below")
    recipe = _with(_recipe("mask_classifier"), "plain", gate=("crops",))
    drawn = draw(recipe, copy, split_items(recipe, copy))
    assert {item.label for item in drawn.items} == {""}
    assert drawn.per_label() == {}
    (copy / "none").mkdir()
    with pytest.raises(DataError, match=r"none: holds no pictures"):
        check_data(_with(recipe, "none", gate=("crops",)), copy)


def test_a_picture_on_both_sides_is_refused(data: Path, tmp_path: Path) -> None:
    """The same picture under two names cannot calibrate and judge."""
    copy = tmp_path / "data"
    shutil.copytree(data, copy)
    (copy / "plain").mkdir()
    shutil.copy(copy / "crops" / "with_mask" / "gen_0007.png", copy / "plain" / "other.png")
    recipe = _with(_recipe("mask_classifier"), "plain", gate=("crops",))
    with pytest.raises(DataError, match=r"gen_0007\.png: judges, and calibrates as .*other\.png"):
        split_items(recipe, copy)


def test_coverage_is_checked(data: Path, sides: Sides) -> None:
    """A label that is missing or rare among what calibrates is said, and so are few items."""
    recipe = _recipe("mask_classifier")
    full = draw(recipe, data, sides)
    assert full.per_label() == {"with_mask": 66, "without_mask": 66}
    assert full.warnings() == []
    masked = tuple(item for item in sides.train if item.label == "with_mask")
    bare = [item for item in sides.train if item.label == "without_mask"]
    few = draw(recipe, data, Sides((*masked, *bare[:3]), sides.held_back))
    assert few.warnings() == [
        "69 items are few to calibrate with; int8 wants 100 and more",
        "of label 'without_mask' only 3 of the items to calibrate with",
    ]
    none = draw(recipe, data, Sides(masked, sides.held_back))
    assert "of label 'without_mask' none of the items to calibrate with" in none.warnings()


def test_saved_tensors_are_those_of_the_items(data: Path, sides: Sides, tmp_path: Path) -> None:
    """The file for the converter holds every tensor in order, and each step is told."""
    drawn = draw(_recipe("mask_classifier"), data, sides)
    told: list[tuple[int, int]] = []
    drawn.save(tmp_path / "calibration.npy", lambda done, total: told.append((done, total)))
    saved = np.load(tmp_path / "calibration.npy", mmap_mode="r")
    np.testing.assert_array_equal(saved, np.concatenate(list(drawn.tensors())))
    assert told == [(k, len(drawn.items)) for k in range(len(drawn.items))]
