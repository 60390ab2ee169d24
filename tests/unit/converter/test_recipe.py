"""Recipes: what is read, and every way of getting one wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from converter.recipe import load_recipe
from edge.errors import ConfigError

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = sorted(ROOT.glob("models/*/recipe.toml"))
GOOD = (ROOT / "models" / "face_detector" / "recipe.toml").read_text(encoding="utf-8")


def _mistakes(tmp_path: Path, text: str) -> list[str]:
    """What is said about a recipe, without the file's name."""
    path = tmp_path / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_recipe(path)
    assert caught.value.exit_code == 78
    return [line.removeprefix(f"{path}: ") for line in str(caught.value).splitlines()]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.parent.name)
def test_shipped_recipes_are_right(path: Path) -> None:
    """Every shipped recipe loads, bears its folder's name and allows int8 one point at most."""
    recipe = load_recipe(path).recipe
    assert recipe.name == path.parent.name
    assert recipe.input_spec.shape[1:3] == recipe.input.size
    assert recipe.training is not None
    assert recipe.gate.budget <= 0.01


def test_every_shipped_model_has_a_recipe() -> None:
    """Those of the stations, and the one for data that only its users have."""
    names = [path.parent.name for path in SHIPPED]
    assert names == ["face_detector", "mask_classifier", "severstal", "steel_defect"]


def test_all_mistakes_at_once(tmp_path: Path) -> None:
    """Unknown, missing, mistyped and out-of-range keys are all named in one go."""
    text = GOOD.replace("threshold = ", "treshold = ").replace("count = 80", "count = 0")
    text = text.replace('name = "face_detector"', "name = 7").replace('color = "RGB"', "")
    text = text.replace('kind = "face_detector"', 'kind = "face_detector"\nheigth = 384')
    text = text.replace("budget = 0.005", "budget = 1.5")
    assert _mistakes(tmp_path, text) == [
        "name: input should be a valid string, not 7",
        "input.color: is missing and has no default",
        "decode.threshold: is missing and has no default",
        "decode.treshold: unknown key; did you mean 'threshold'?",
        "representative.count: input should be greater than or equal to 1, not 0",
        "gate.budget: input should be less than or equal to 1, not 1.5",
        "training.heigth: unknown key; did you mean 'height'?",
    ]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"int8"]', '"int4"]', "variants.2: input should be 'float32', 'float16', 'dynamic', "),
        ('"int8"]', '"float32"]', "variants: the same entry stands there twice"),
        ('["float32", "float16", "int8"]', "[]", "variants: needs at least one entry"),
        ('"center_sizes"', '"center_scores"', "outputs: decode.kind 'center' needs each of"),
        ('kind = "center"', 'kind = "anchors"', "decode.kind: 'anchors' is not one of"),
        ('kind = "center"', "", "decode.kind: is missing and has no default"),
        ('task = "detection"', 'task = "classification"', "decode.kind: 'center' is for task"),
        ('metric = "ap"', 'metric = "accuracy"', "gate.metric: task 'detection' is measured by"),
        ("std = [127.5, 127.5, 127.5]", "std = [1.0]", "input.normalize.std: needs 3 values"),
        ("std = [127.5, 127.5, 127.5]", "std = [1.0, 0.0, 1.0]", "input.normalize.std.1: input"),
        ('["boxes"]', '["../boxes"]', "representative.sources.0: string should match pattern"),
        ('["boxes"]', '["a/../../b"]', "representative.sources: 'a/../../b' leads out of the data"),
        ("[gate]", '[gate]\nsources = ["x/.."]', "gate.sources: 'x/..' leads out of the data"),
        (
            "[decode]",
            '[activations]\nscores = "softmax"\n[decode]',
            "activations.scores: is none of",
        ),
        ('"center_sizes"', '"binary_score"', "labels: a binary_score is that of the second of"),
        (
            "[gate]",
            '[quantize]\ninput_output = "int8"\n[gate]',
            "quantize.input_output: input should",
        ),
        ("height = 384", "height = 320", "training.height: is 320, but input.size[0] is 384"),
        ("[card]", "[cards]", "card: is missing and has no default"),
        ("[card]", "[cards]", "cards: unknown key; did you mean 'card'?"),
        ('kind = "face_detector"', 'kind = "unet"', "training.kind: 'unet' is not one of"),
        ('version = "0.2.0"', 'version = "one"', "version: string should match pattern"),
    ],
)
def test_each_mistake_has_its_text(tmp_path: Path, old: str, new: str, said: str) -> None:
    """Each single mistake is named by its key."""
    assert old in GOOD
    lines = _mistakes(tmp_path, GOOD.replace(old, new, 1))
    assert any(line.startswith(said) for line in lines), lines


def test_classifier_is_trained_for_its_crops(tmp_path: Path) -> None:
    """A classifier's margin and size must be those of its training."""
    text = (ROOT / "models" / "mask_classifier" / "recipe.toml").read_text(encoding="utf-8")
    assert "crop_margin = 0.2" in text
    lines = _mistakes(tmp_path, text.replace("crop_margin = 0.2", "crop_margin = 0.3"))
    assert lines == ["training.margin: is 0.2, but decode.crop_margin is 0.3"]


def test_wrong_training_for_the_task(tmp_path: Path) -> None:
    """The training of a classifier does not make a detector."""
    text = re.sub(r"\[training\][^\[]*", '[training]\nkind = "mask_classifier"\n', GOOD)
    lines = _mistakes(tmp_path, text)
    assert lines == ["training.kind: 'mask_classifier' does not fit decode.kind 'center'"]


def test_recipe_that_cannot_be_read(tmp_path: Path) -> None:
    """Missing, folder, not text and not TOML each have their own text."""
    broken = tmp_path / "broken.toml"
    broken.write_bytes(b'name = "\xff"')
    for path, said in (
        (tmp_path / "none.toml", "no such file"),
        (tmp_path, "is a folder"),
        (broken, "not UTF-8 text at byte 8"),
    ):
        with pytest.raises(ConfigError, match=said):
            load_recipe(path)
    assert _mistakes(tmp_path, "name = ")[0].startswith("not TOML: ")


def test_hash_is_of_the_bytes(tmp_path: Path) -> None:
    """A changed comment changes the recipe's hash, the same bytes give the same."""
    path = tmp_path / "recipe.toml"
    hashes = []
    for text in (GOOD, GOOD, GOOD + "# more\n"):
        path.write_text(text, encoding="utf-8")
        hashes.append(load_recipe(path).sha256)
    assert hashes[0] == hashes[1] != hashes[2]
