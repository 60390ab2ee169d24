"""Whoever has the competition's folder trains on it with two commands' worth of recipe."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.evaluation.masks import read_csv
from edge.evaluation.rle import encode_rle
from tests.helpers.command import convert
from tests.helpers.data import data_dir

pytestmark = [pytest.mark.convert, pytest.mark.data, pytest.mark.timeout(400)]

ROOT = Path(__file__).parents[2]
LABELS = ("defect_1", "defect_2", "defect_3", "defect_4")
FRAMES = ("severstal_defect_a.jpg", "severstal_clean_b.jpg")


def _competition(folder: Path, *, joined: bool) -> Path:
    """The competition's folder in small: two real frames, flipped and shifted to twelve."""
    surface = data_dir("surface_defect") / "severstal"
    truth = read_csv(surface / "train.csv", LABELS)
    assert truth is not None
    (folder / "train_images").mkdir(parents=True)
    lines = ["ImageId_ClassId,EncodedPixels" if joined else "ImageId,ClassId,EncodedPixels"]
    for name in FRAMES:
        image = cv2.imread(str(surface / name), cv2.IMREAD_GRAYSCALE)
        assert image is not None
        masks = np.zeros((4, *image.shape), np.bool_)
        if name in truth:
            masks = truth[name].read(LABELS, *image.shape)
        for k in range(6):
            turned = [np.roll(part, 230 * k, axis=1) for part in (image, *masks)]
            if k % 2:
                turned = [part[::-1] for part in turned]
            copy = f"{Path(name).stem[-1]}{k}0b77{k}.jpg"
            assert cv2.imwrite(str(folder / "train_images" / copy), turned[0])
            for number, mask in enumerate(turned[1:], 1):
                runs = encode_rle(mask.astype(np.bool_))
                if joined:
                    lines.append(f"{copy}_{number},{runs}")
                elif runs:
                    lines.append(f"{copy},{number},{runs}")
    (folder / "train.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize("joined", [False, True], ids=["a row a defect", "four rows a frame"])
def test_the_recipe_trains_on_the_competitions_folder(tmp_path: Path, joined: bool) -> None:
    """Either form of train.csv, real frames: an epoch runs, is judged on frames held back, and
    leaves a network, its figures and its curve.
    """
    recipe = (ROOT / "models" / "severstal" / "recipe.toml").read_text(encoding="utf-8")
    short = recipe.replace("minutes = 240", "minutes = 0.05\nepoch_steps = 2")
    short = short.replace("batch = 8", "batch = 2").replace(
        "picture_fraction = 0.2", "picture_fraction = 0.34"
    )
    assert short != recipe
    (tmp_path / "recipe.toml").write_text(short, encoding="utf-8")
    data = _competition(tmp_path / "data", joined=joined)
    run = convert("train", "recipe.toml", "--data", data, "--out", "out", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    counts = metrics["train"], metrics["validation"]
    assert sum(side["pictures"] for side in counts) == 12
    assert all(side["defect_3"] == side["defect_4"] > 0 for side in counts)
    assert set(metrics["shipped"]["verdict"]) == set(LABELS)
    assert (tmp_path / "out" / "model.keras").stat().st_size > 1_000_000
    assert (tmp_path / "out" / "curve.jsonl").read_text().count("\n") >= 1
    overlays = cv2.imread(str(tmp_path / "out" / "overlays.png"))
    assert overlays is not None
    assert overlays.shape == (2 * 128 * counts[1]["pictures"], 800, 3)
    assert cv2.imread(str(tmp_path / "out" / "curve.png")) is not None
