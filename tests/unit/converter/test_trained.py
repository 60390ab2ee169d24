"""What a training left beside the Keras file is held against the recipe."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from converter.recipe import Recipe, load_recipe
from converter.trained import read_training, threshold_warning, trained_score
from edge.errors import ConfigError

ROOT = Path(__file__).resolve().parents[3]
SETTINGS = {"seed": 7, "picture_fraction": 0.15, "crop_fraction": 0.2, "minutes": 1}


def _recipe(name: str) -> Recipe:
    return load_recipe(ROOT / "models" / name / "recipe.toml").recipe


def _read(tmp_path: Path, content: str) -> object:
    (tmp_path / "metrics.json").write_text(content)
    return read_training(tmp_path / "model.keras", _recipe("mask_classifier"))


def test_model_from_elsewhere(tmp_path: Path) -> None:
    """A Keras file without metrics.json beside it is fine and has no figures."""
    assert read_training(tmp_path / "model.keras", _recipe("mask_classifier")) == {}


def test_same_split(tmp_path: Path) -> None:
    """The figures are taken when the training split the data as the recipe says."""
    assert _read(tmp_path, json.dumps({"settings": SETTINGS, "epoch": 3})) == {"epoch": 3}


@pytest.mark.parametrize(
    ("key", "value"),
    [("seed", 9), ("picture_fraction", 0.3), ("crop_fraction", 0.3), ("fold", 2)],
)
def test_other_split(tmp_path: Path, key: str, value: float) -> None:
    """Another seed or share means that held-back pictures were learned from: refused."""
    with pytest.raises(ConfigError, match=f"trained with training.{key} {value}"):
        _read(tmp_path, json.dumps({"settings": SETTINGS | {key: value}}))


@pytest.mark.parametrize(("content", "said"), [("{", "cannot be read"), ("[]", "is no JSON")])
def test_damaged_metrics(tmp_path: Path, content: str, said: str) -> None:
    """A damaged metrics.json is named, not passed over."""
    with pytest.raises(ConfigError, match=rf"metrics\.json: {said}"):
        _read(tmp_path, content)


def test_trained_score_reads_both_kinds_of_metrics() -> None:
    """The figures of both trainings are found; a foreign metrics.json gives none."""
    validation = {"boxes": {"accuracy": 0.9, "n": 100}, "crops": {"accuracy": 1.0, "n": 300}}
    assert trained_score(_recipe("mask_classifier"), {"validation": validation}) == 0.975
    assert trained_score(_recipe("face_detector"), {"shipped": {"ap": 0.7}}) == 0.7
    assert trained_score(_recipe("face_detector"), {"validation": validation}) is None
    assert trained_score(_recipe("mask_classifier"), {"validation": {"boxes": 3}}) is None


def test_other_threshold_is_said() -> None:
    """A threshold that differs from what the training read off gives a warning, else silence."""
    recipe = _recipe("face_detector")
    threshold = getattr(recipe.decode, "threshold", None)
    assert isinstance(threshold, float)
    said = threshold_warning(recipe, {"shipped": {"threshold": threshold + 0.1}})
    assert said.startswith(f"decode.threshold is {threshold:g}, the training found")
    assert threshold_warning(recipe, {"shipped": {"threshold": threshold}}) == ""
    assert threshold_warning(recipe, {}) == ""
