"""Float against quantized: the task's own metric, and outputs number by number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from converter.parity import PERFECT_DB, HeldBack, decibel
from converter.recipe import Recipe, load_recipe
from converter.representative import Sides, split_items
from edge.contract.bundle import load_bundle
from edge.engines import open_engine
from edge.records import ModelRef
from tests.helpers.bundles import TINT_CLASSIFIER
from tests.helpers.labelled import write_labelled

ROOT = Path(__file__).resolve().parents[3]


def _recipe(name: str) -> Recipe:
    return load_recipe(ROOT / "models" / name / "recipe.toml").recipe


class _Shifted:
    """An engine whose outputs are a known amount away."""

    def __init__(self, model: ModelRef, infer: Any) -> None:
        self.model = model
        self._infer = infer

    def infer(self, tensor: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        return {name: array + np.float32(0.25) for name, array in self._infer(tensor).items()}

    def close(self) -> None:
        """Nothing to release."""


@pytest.fixture
def held_back(tmp_path: Path) -> HeldBack:
    """The held-back side of painted pictures, for a recipe that fits the tint classifier."""
    data = tmp_path / "data"
    write_labelled(data, photos=20, crops=20)
    recipe = _recipe("mask_classifier")
    small = recipe.input.model_copy(update={"size": (32, 32)})
    recipe = recipe.model_copy(update={"input": small, "outputs": {"scores": "class_scores"}})
    sides: Sides = split_items(recipe, data)
    return HeldBack.of(recipe, data, sides)


def test_judge_runs_the_tasks_own_metric(held_back: HeldBack) -> None:
    """A classifier that knows blue from red is right on every held-back face and crop."""
    bundle = load_bundle(TINT_CLASSIFIER)
    for variant in ("float32", "int8"):
        engine = open_engine(bundle, variant)
        score = held_back.judge(bundle.manifest, engine)
        engine.close()
        assert score.value == 1.0
        assert score.n == len(held_back.items)
        assert set(score.sections) == {"boxes", "crops"}


def test_tensor_error_is_in_the_outputs_own_unit(held_back: HeldBack) -> None:
    """The largest and the mean error of an output that lies 0.25 off are 0.25."""
    bundle = load_bundle(TINT_CLASSIFIER)
    engine = open_engine(bundle, "float32")
    facts = bundle.variant("float32")
    spec = bundle.input_tensor("float32")
    shifted = _Shifted(engine.model, engine.infer)
    same = held_back.errors(engine, engine, spec, facts.outputs)["scores"]
    other = held_back.errors(engine, shifted, spec, facts.outputs)["scores"]
    engine.close()
    assert (same.largest, same.snr_db) == (0, PERFECT_DB)
    assert same.cosine == pytest.approx(1.0)
    assert other.largest == pytest.approx(0.25, abs=1e-6)
    assert other.mean == pytest.approx(0.25, abs=1e-6)
    assert 0 < other.span <= 1
    assert other.snr_db == pytest.approx(9.0, abs=3.0)


def test_decibel_is_bounded() -> None:
    """Powers of any ratio give a finite figure, ten decibel a decade."""
    assert decibel(1000.0, 1.0) == pytest.approx(30.0)
    assert decibel(1.0, 0.0) == PERFECT_DB
    assert decibel(0.0, 1.0) == -PERFECT_DB
    assert decibel(1e30, 1e-30) == PERFECT_DB
