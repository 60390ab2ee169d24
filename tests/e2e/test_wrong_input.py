"""A recipe whose input is not that of the training is refused, with the key that is wrong.

The shipped models are converted under recipes with one planted mistake each, without the
``metrics.json`` of their training, as a model from elsewhere would be.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.helpers.command import ROOT, convert
from tests.helpers.data import data_dir

pytestmark = [pytest.mark.convert, pytest.mark.data, pytest.mark.timeout(400)]

STRETCHED = ('mode = "letterbox"', 'mode = "stretch"')
SWAPPED = ('color = "RGB"', 'color = "BGR"')
PLANTED = [
    # The mask classifier is of no use here: it was trained to mind neither colours nor light, and a
    # range of [0, 1] is to both models a dim light. Other networks and ranges: test_probe.
    ("face_detector", SWAPPED, 'input.color = "RGB"'),
    ("face_detector", STRETCHED, 'input.resize.mode = "letterbox"'),
]


@pytest.mark.parametrize(("model", "mistake", "said"), PLANTED)
def test_wrong_input_is_named(
    model: str, mistake: tuple[str, str], said: str, tmp_path: Path
) -> None:
    """The conversion ends with exit 1, names what the model does better with, writes nothing."""
    text = (ROOT / "models" / model / "recipe.toml").read_text(encoding="utf-8")
    assert mistake[0] in text
    # Neither a floor for the accuracy nor the figures of the training help here.
    lines = [line for line in text.splitlines() if not line.startswith("least")]
    changed = "\n".join(lines).replace(*mistake)
    (tmp_path / "recipe.toml").write_text(changed, encoding="utf-8")
    shutil.copy(ROOT / "converter" / "weights" / model / "model.keras", tmp_path)
    arguments = ("--keras", "model.keras", "--data", data_dir("face_mask"), "--out", "bundle")
    run = convert("convert", "recipe.toml", *arguments, cwd=tmp_path)
    assert run.returncode == 1, run.stdout + run.stderr
    assert "wrong preprocessing: the Keras model does better with" in run.stderr
    assert said in run.stderr
    assert not (tmp_path / "bundle").exists()
    report = (tmp_path / "build" / model / "report.html").read_text(encoding="utf-8")
    assert "wrong preprocessing" in report
