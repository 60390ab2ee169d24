"""The engine that plays golden outputs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge.contract.bundle import load_bundle
from edge.contract.golden import check_golden, golden_inputs, write_golden
from edge.engines.replay import ReplayEngine
from edge.errors import EngineError, ModelError
from tests.helpers.bundles import TINT_CLASSIFIER, copy_bundle

ROOT = Path(__file__).resolve().parents[4]


def test_it_passes_the_golden_check() -> None:
    """What it plays for the golden images is what is stored for them."""
    bundle = load_bundle(TINT_CLASSIFIER)
    report = check_golden(bundle, "int8", ReplayEngine(bundle, "int8").infer)
    assert report.differences == {"scores": 0.0}


def test_another_tensor_is_refused() -> None:
    """It does not guess: one changed value in the second image is an error that names it."""
    bundle = load_bundle(TINT_CLASSIFIER)
    engine = ReplayEngine(bundle, "int8")
    known = np.frombuffer(next(iter(engine._known)), np.int8).reshape(1, 32, 32, 3)
    pair = np.concatenate([known, known])
    engine.infer(pair)
    pair[1, 5, 5, 0] ^= 1
    with pytest.raises(EngineError, match="image 1 of the batch is no golden image"):
        engine.infer(pair)


def test_a_variant_without_golden_outputs_is_refused(tmp_path: Path) -> None:
    """There is nothing to play for a variant that was not recorded."""
    folder = copy_bundle(tmp_path, TINT_CLASSIFIER)
    write_golden(folder / "golden.npz", golden_inputs((1, 32, 32, 3), 1), {})
    with pytest.raises(ModelError, match="nothing for variant int8"):
        ReplayEngine(load_bundle(folder), "int8")


def test_it_needs_no_runtime() -> None:
    """Opening and playing loads no inference runtime."""
    code = """
import sys
from edge.contract.bundle import load_bundle
from edge.contract.golden import check_golden
from edge.engines.replay import ReplayEngine
from tests.helpers.bundles import TINT_CLASSIFIER
bundle = load_bundle(TINT_CLASSIFIER)
check_golden(bundle, "float32", ReplayEngine(bundle, "float32").infer)
print([name for name in sys.modules if "litert" in name.split(".")[0] or "tflite" in name])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    assert done.stdout.strip() == b"[]"
