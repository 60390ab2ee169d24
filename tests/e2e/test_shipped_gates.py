"""The shipped bundles hold their gate here, too: within half a point, and deciding as in float."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.helpers.command import ROOT, convert
from tests.helpers.data import data_dir

pytestmark = [pytest.mark.convert, pytest.mark.data, pytest.mark.timeout(300)]

POINTS, ALIKE, ITEMS = 0.005, 0.99, 800


@pytest.mark.parametrize("model", ["mask_classifier", "face_detector"])
def test_int8_decides_as_float(model: str, tmp_path: Path) -> None:
    """int8 is within 0.5 points of float and decides alike on 99 % of 800 items and more, of which
    the calibration has seen none.
    """
    report = tmp_path / "verified.json"
    run = convert(
        "verify", ROOT / "models" / model, "--data", data_dir("face_mask"), "--json", report
    )
    assert run.returncode == 0, run.stdout + run.stderr
    found = json.loads(report.read_text(encoding="utf-8"))
    assert found["same_data"] is True
    int8 = found["variants"]["int8"]
    assert abs(int8["value"] - int8["baseline"]) <= POINTS
    assert int8["agreement"] >= ALIKE
    assert int8["decisions"] >= ITEMS
