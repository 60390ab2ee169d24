"""Gates: what passes, what does not, and with which words."""

from __future__ import annotations

from pathlib import Path

import pytest

from converter.gate import GateNotMet, check_baseline, passed, refusal, shortfalls
from converter.parity import Score, TensorError, agreement
from converter.recipe import Recipe, load_recipe
from edge.evaluation import Decision

ROOT = Path(__file__).resolve().parents[3]


def _recipe(name: str) -> Recipe:
    return load_recipe(ROOT / "models" / name / "recipe.toml").recipe


def _score(value: float, n: int = 1000) -> Score:
    return Score(value, n, {})


def _error(largest: float, span: float = 1.0) -> dict[str, TensorError]:
    return {"scores": TensorError(largest, largest / 4, span, 60.0, 1.0)}


def _decisions(*said: str) -> tuple[Decision, ...]:
    return tuple(Decision(f"{k}.png", 0, "a", label, 0.5) for k, label in enumerate(said))


def test_gate_records_what_was_measured() -> None:
    """A variant within the budget passes; the gate holds baseline, value and count."""
    recipe, keras, own = _recipe("mask_classifier"), _score(0.97), _score(0.965)
    assert shortfalls(recipe, "int8", keras, own, 0.995, {}) == []
    gate = passed(recipe, keras, own)
    assert (gate.metric, gate.float_, gate.value, gate.n) == ("accuracy", 0.97, 0.965, 1000)


def test_better_than_float_passes() -> None:
    """A variant that happens to be better than Keras passes."""
    assert not shortfalls(
        _recipe("mask_classifier"), "int8", _score(0.97), _score(0.99), 1.0, _error(0.3)
    )


def test_lost_too_much() -> None:
    """A variant beyond the budget is named with what it lost, what was allowed and its layers."""
    recipe, keras = _recipe("face_detector"), _score(0.80)
    reasons = shortfalls(recipe, "int8", keras, _score(0.78), 1.0, {})
    error = refusal(recipe, "int8", reasons, ["CONV_2D stem (3 dB)"])
    assert isinstance(error, GateNotMet)
    assert error.exit_code == 1
    assert error.message == (
        "face_detector: variant int8 reaches ap 0.7800 on 1000 held-back items, Keras 0.8000: "
        f"it loses 0.0200, gate.budget is {recipe.gate.budget:g}; "
        "its worst layers: CONV_2D stem (3 dB)"
    )


def test_other_decisions_are_a_shortfall() -> None:
    """As many right but other ones: too few decisions alike is a reason of its own."""
    recipe = _recipe("mask_classifier")
    (reason,) = shortfalls(recipe, "int8", _score(0.97), _score(0.97), 0.9, {})
    assert reason.startswith("decides as Keras on 90.00 %")


def test_agreement_counts_items() -> None:
    """Agreement is the share of items with the same decision, right or wrong."""
    assert agreement(_decisions("a", "b", "b", "a"), _decisions("a", "b", "a", "a")) == 0.75
    assert agreement((), ()) == 1.0


def test_float32_is_keras() -> None:
    """A float32 variant that differs by more than the order of additions is refused."""
    recipe, score = _recipe("mask_classifier"), _score(0.97)
    assert not shortfalls(recipe, "float32", score, score, 1.0, _error(1.9e-4))
    assert not shortfalls(recipe, "float32", score, score, 1.0, _error(1e-3, span=10.0))
    (reason,) = shortfalls(recipe, "float32", score, score, 1.0, _error(2.1e-4))
    assert "output scores is up to 0.00021 away from Keras, allowed is 0.0002" in reason
    assert not shortfalls(recipe, "float16", score, score, 1.0, _error(2.1e-4))


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
