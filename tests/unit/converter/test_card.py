"""CARD.md carries measured figures only, each variant's beside the baseline's."""

from __future__ import annotations

from pathlib import Path

from converter.card import Facts, render, signed
from converter.keras_model import ModelFacts
from converter.measure import Measured
from converter.parity import Score, TensorError
from converter.recipe import load_recipe
from converter.tflite import read_back
from edge.contract.bundle import load_bundle
from edge.contract.manifest import VariantName
from tests.helpers.bundles import TINT_CLASSIFIER

ROOT = Path(__file__).resolve().parents[3]


def _score(value: float) -> Score:
    return Score(value, 50, {"boxes": {"classification": {"accuracy": value}}})


def _measured(variant: VariantName) -> Measured:
    return Measured(
        made=read_back((TINT_CLASSIFIER / f"model.{variant}.tflite").read_bytes(), variant),
        score=_score(0.96),
        agreed=0.995,
        errors={"scores": TensorError(0.0123, 0.001, 0.9, 40.0, 0.999)},
        layers=(),
        latency_ms={},
        reasons=(),
        float_layers=("stem", "head") if variant == "int8" else (),
    )


def test_card_says_what_was_measured() -> None:
    """Figures, data, limits, what was left out and where the figures come from are in the card."""
    recipe = load_recipe(ROOT / "models" / "mask_classifier" / "recipe.toml").recipe
    manifest = load_bundle(TINT_CLASSIFIER).manifest
    facts = Facts(
        model=ModelFacts("Keras 3 archive", "a" * 64, "3.15.1", 1234567, (), (), ()),
        calibration=321,
        held_back=54,
        baseline=_score(0.97),
        variants={variant: _measured(variant) for variant in manifest.variants},
        skipped=["mask_classifier: variant float16 loses too much"],
        training={"epoch": 12, "at_precision": {"0.9": {"ap": 1}}},
    )
    card = render(recipe, manifest, facts)
    size = manifest.variants["int8"].bytes
    row = f"| int8 | {size:,} | 0.9600 | -0.0100 | 99.50 % | 0.9600 | scores 0.0123 of 0.9 |"
    assert row in card
    assert "| Keras |  | 0.9700 |  |  | 0.9700 |  |" in card
    assert "In int8 these layers stay in float: stem, head." in card
    assert "In float32 these layers" not in card
    assert "1,234,567 parameters" in card
    assert "Keras 3 archive, sha256" in card
    assert "calibrated with 321 items" in card
    assert "Left out: mask_classifier: variant float16 loses too much." in card
    assert "| epoch | 12 |" in card
    assert "at_precision" not in card
    assert recipe.card.data.strip() in card
    assert all(f"- {limit}" in card for limit in recipe.card.limits)


def test_no_minus_zero() -> None:
    """A difference that rounds to nothing has no minus sign."""
    assert (signed(-0.00001), signed(0.0), signed(-0.0123)) == ("+0.0000", "+0.0000", "-0.0123")
