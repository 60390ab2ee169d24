"""CARD.md carries measured figures only, each variant's beside the baseline's."""

from __future__ import annotations

from dataclasses import replace
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
    assert "## Notice" not in card
    owed = recipe.model_copy(
        update={"card": recipe.card.model_copy(update={"notice": "Copyright (c) 2020 Somebody"})}
    )
    assert "## Notice\n\nCopyright (c) 2020 Somebody\n" in render(owed, manifest, facts)


def test_card_has_the_figures_of_the_evaluation() -> None:
    """Each figure of the evaluation is a row with its interval beside it; the variants' table,
    which compares, has figures alone.
    """
    figures = {
        "recall": 0.625,
        "images": 3,
        "interval": {"recall": [0.594, 0.657]},
        "by_width": {"0-11": {"recall": 0.1, "faces": 9}},
        "at_precision": {"0.95": {"threshold": 0.35, "recall": 0.6}},
    }
    score = Score(0.8, 50, {"boxes": {"detection": figures}})
    recipe = load_recipe(ROOT / "models" / "face_detector" / "recipe.toml").recipe
    manifest = load_bundle(TINT_CLASSIFIER).manifest
    measured = {str(name): replace(_measured(name), score=score) for name in manifest.variants}
    model = ModelFacts("Keras 3 archive", "a" * 64, "3.15.1", 1, (), (), ())
    facts = Facts(model, 1, 50, score, measured, [], {"at_precision": {"0.9": {"ap": 0.987}}})
    card = render(recipe, manifest, facts)
    rows = [line for line in card.splitlines() if line.startswith("| boxes: ")]
    assert rows == [
        "| boxes: detection.recall | 0.6250 (0.59-0.66) |",
        "| boxes: detection.images | 3 |",
        "| boxes: detection.by_width.0-11.recall | 0.1000 |",
        "| boxes: detection.by_width.0-11.faces | 9 |",
        "| boxes: detection.at_precision.0.95.threshold | 0.3500 |",
        "| boxes: detection.at_precision.0.95.recall | 0.6000 |",
    ]
    assert "95 % intervals" in card
    assert "| Keras |  | 0.8000 |  |  | 0.6250 |  |" in card
    assert "0.9870" not in card


def test_no_minus_zero() -> None:
    """A difference that rounds to nothing has no minus sign."""
    assert (signed(-0.00001), signed(0.0), signed(-0.0123)) == ("+0.0000", "+0.0000", "-0.0123")
