"""Gates: what passes, what does not, and with which words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from converter.parity import (
    GateNotMet,
    HeldBack,
    Score,
    check_baseline,
    check_variant,
)
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


def _score(value: float, n: int = 1000) -> Score:
    return Score(value, n, {})


def test_gate_records_what_was_measured() -> None:
    """A variant within the budget passes; the gate holds baseline, value and count."""
    gate = check_variant(_recipe("mask_classifier"), "int8", _score(0.97), _score(0.965))
    assert (gate.metric, gate.float_, gate.value, gate.n) == ("accuracy", 0.97, 0.965, 1000)


def test_better_than_float_passes() -> None:
    """A variant that happens to be better than Keras passes."""
    gate = check_variant(_recipe("mask_classifier"), "int8", _score(0.97), _score(0.99))
    assert gate.value > gate.float_


def test_lost_too_much() -> None:
    """A variant beyond the budget is named with what it lost and what was allowed; exit 1."""
    with pytest.raises(GateNotMet) as caught:
        check_variant(_recipe("face_detector"), "int8", _score(0.80), _score(0.78))
    assert caught.value.exit_code == 1
    assert caught.value.message == (
        "face_detector: variant int8 reaches ap 0.7800 on 1000 held-back items, Keras 0.8000: "
        "it loses 0.0200, gate.budget is 0.01"
    )


def test_baseline_below_the_least() -> None:
    """A Keras model below gate.least is refused, whatever its training said."""
    with pytest.raises(GateNotMet, match=r"accuracy 0\.4100 .* gate\.least is 0\.9"):
        check_baseline(_recipe("mask_classifier"), _score(0.41), None)
    check_baseline(_recipe("mask_classifier"), _score(0.97), None)


@pytest.mark.parametrize(("value", "fits"), [(0.970, True), (0.968, True), (0.9654, False)])
def test_baseline_is_what_the_training_measured(value: float, fits: bool) -> None:
    """A small loss against the training's own figure tells of a wrong recipe, too."""
    recipe = _recipe("mask_classifier")
    if fits:
        check_baseline(recipe, _score(value), 0.97)
    else:
        with pytest.raises(GateNotMet, match=r"its training measured 0\.9700 on the same"):
            check_baseline(recipe, _score(value), 0.97)


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
    assert same.largest == 0
    assert other.largest == pytest.approx(0.25, abs=1e-6)
    assert other.mean == pytest.approx(0.25, abs=1e-6)
    assert 0 < other.span <= 1
