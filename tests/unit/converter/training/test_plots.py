"""Pictures of a training."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="plots need the convert extra")

from converter.training.plots import COLOURS, draw_overlays, plot_curve

pytestmark = pytest.mark.convert


def _curve(folder: Path, epochs: int) -> Path:
    lines = [
        {
            "epoch": k,
            "steps": 10 * k,
            "minutes": 0.1,
            "loss": 1.0 / (1 + k),
            "dice": {"one": 0.1 * k, "mean": 0.05 * k},
            "verdict": {"one": {"counts": [1, 2, 3, 4], "accuracy": 0.5}},
        }
        for k in range(1, epochs + 1)
    ]
    path = folder / "curve.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


@pytest.mark.parametrize("epochs", [1, 5])
def test_a_curve_is_drawn(epochs: int, tmp_path: Path) -> None:
    """Three pairs of axes for loss, Dice and verdict, also after a single epoch."""
    plot_curve(_curve(tmp_path, epochs), tmp_path / "curve.png")
    drawn = cv2.imread(str(tmp_path / "curve.png"))
    assert drawn is not None
    assert drawn.shape[0] == pytest.approx(3 * 2.4 * 110, abs=2)
    assert (drawn < 250).any()


def test_outlines_of_truth_above_and_prediction_below(tmp_path: Path) -> None:
    """Each in the colour of its label; what is inside an outline stays as it was."""
    images = np.full((2, 20, 40), 100, np.uint8)
    truth = np.zeros((2, 20, 40, 2), np.bool_)
    truth[0, 5:15, 5:15, 0] = True
    found = np.zeros_like(truth)
    found[0, 5:15, 25:35, 1] = True
    draw_overlays(images, truth, found, tmp_path / "overlays.png")
    drawn = cv2.imread(str(tmp_path / "overlays.png"))
    assert drawn is not None
    assert drawn.shape == (80, 40, 3)
    assert tuple(drawn[5, 5]) == COLOURS[0]
    assert tuple(drawn[25, 25]) == COLOURS[1]
    assert tuple(drawn[10, 10]) == tuple(drawn[30, 30]) == (100, 100, 100)
    assert (drawn[40:] == 100).all()
