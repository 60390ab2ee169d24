"""CARD.md carries measured figures only, each variant's beside the baseline's."""

from __future__ import annotations

from pathlib import Path

from converter.card import Facts, VariantFacts, render, signed
from converter.parity import Score, TensorError
from converter.recipe import load_recipe
from edge.contract.bundle import load_bundle
from tests.helpers.bundles import TINT_CLASSIFIER

ROOT = Path(__file__).resolve().parents[3]


def _score(value: float) -> Score:
    return Score(value, 50, {"boxes": {"classification": {"accuracy": value}}})


def test_card_says_what_was_measured() -> None:
    """Figures, data, limits, what was left out and where the figures come from are in the card."""
    recipe = load_recipe(ROOT / "models" / "mask_classifier" / "recipe.toml").recipe
    manifest = load_bundle(TINT_CLASSIFIER).manifest
    errors = {"scores": TensorError(0.0123, 0.001, 0.9)}
    facts = Facts(
        parameters=1234567,
        calibration=321,
        held_back=54,
        baseline=_score(0.97),
        variants={v: VariantFacts(_score(0.96), errors) for v in manifest.variants},
        skipped=["mask_classifier: variant float16 loses too much"],
        training={"epoch": 12, "at_precision": {"0.9": {"ap": 1}}},
    )
    card = render(recipe, manifest, facts)
    size = manifest.variants["int8"].bytes
    assert f"| int8 | {size:,} | 0.9600 | -0.0100 | 0.9600 | scores 0.0123 of 0.9 |" in card
    assert "| Keras |  | 0.9700 |  | 0.9700 |  |" in card
    assert "1,234,567 parameters" in card
    assert "321 items of the training side" in card
    assert "Left out: mask_classifier: variant float16 loses too much." in card
    assert "| epoch | 12 |" in card
    assert "at_precision" not in card
    assert recipe.card.data.strip() in card
    assert all(f"- {limit}" in card for limit in recipe.card.limits)


def test_no_minus_zero() -> None:
    """A difference that rounds to nothing has no minus sign."""
    assert (signed(-0.00001), signed(0.0), signed(-0.0123)) == ("+0.0000", "+0.0000", "-0.0123")
