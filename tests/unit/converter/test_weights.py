"""The Keras weights in the repository are those that the shipped bundles were made from."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from edge.contract.manifest import load_manifest

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("name", ["face_detector", "mask_classifier", "steel_defect"])
def test_bundles_are_made_from_the_weights_beside(name: str) -> None:
    """provenance.keras_sha256 is the hash of the weights, and so for the recipe."""
    provenance = load_manifest(ROOT / "models" / name / "manifest.json").provenance
    weights = (ROOT / "converter" / "weights" / name / "model.keras").read_bytes()
    assert hashlib.sha256(weights).hexdigest() == provenance.keras_sha256
    recipe = (ROOT / "models" / name / "recipe.toml").read_bytes()
    assert hashlib.sha256(recipe).hexdigest() == provenance.recipe_sha256
