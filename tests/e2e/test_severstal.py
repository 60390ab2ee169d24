"""A U-Net that others trained with Keras 2.3.1 becomes a bundle that finds what it found."""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest

from converter.tflite import read_operators
from edge import app
from edge.config import build
from edge.contract.bundle import Bundle, load_bundle
from edge.engines import open_engine
from edge.evaluation import evaluate
from edge.records import Segmentation
from edge.tasks import SegmentationTask
from edge.tasks.model import Stopwatch
from tests.fakes import FakeSink
from tests.helpers.command import convert
from tests.helpers.data import data_dir

pytestmark = [pytest.mark.convert, pytest.mark.data, pytest.mark.timeout(400)]

DEFECT, CLEAN, UNLABELLED = "severstal_defect_a.jpg", "severstal_clean_b.jpg", "00a0b7730.jpg"
STRIPS = 16
CONTRAST = 0.2
"""Of the NEU strips, against that of the frame: as they are, they drive the activations of this
network, which grow to thousands, ten times beyond those of any frame.
"""

RECIPE = """
name = "severstal_unet"
version = "0.1.0"
task = "segmentation"
labels = ["defect_1", "defect_2", "defect_3", "defect_4"]
variants = ["float32", "int8"]
[input]
name = "strip"
size = [256, 1600]
color = "GRAY"
resize = { mode = "stretch" }
normalize = { mean = [0.0], std = [255.0] }
[outputs]
masks = "class_masks"
[decode]
kind = "segmentation"
threshold = 0.5
min_area = 200
[representative]
sources = ["strips"]
count = 16
[quantize]
keep_float = [
  "conv2d_1", "conv2d_2", "max_pooling2d_1",
  "conv2d_8", "max_pooling2d_4", "conv2d_9", "conv2d_10", "max_pooling2d_5", "conv2d_11",
  "conv2d_12", "concatenate_4", "conv2d_19", "conv2d_20", "concatenate_5", "conv2d_21",
  "conv2d_22", "conv2d_23",
]
[gate]
sources = ["severstal"]
metric = "dice"
budget = 0.01
least = 0.85
[card]
purpose = "Segments four defect classes on a steel strip."
data = "Trained by others on the Severstal competition's frames."
limits = ["Third-party weights: for tests only."]
"""


def _paint_strips(surface: Path, folder: Path) -> None:
    """What the model is calibrated with: parts of the unlabelled frame, and rows of NEU tiles."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(7)
    frame = cv2.imread(str(surface / "severstal" / UNLABELLED), cv2.IMREAD_GRAYSCALE)
    assert frame is not None
    tiles = sorted((surface / "neu_seg" / "single" / "images").iterdir())
    for number in range(STRIPS):
        if number % 2:
            chosen = rng.choice(len(tiles), 8, replace=False)
            row = [cv2.imread(str(tiles[k]), cv2.IMREAD_GRAYSCALE) for k in chosen]
            joined = np.hstack([tile for tile in row if tile is not None]).astype(np.float32)
            steady = (joined - joined.mean()) / joined.std() * frame.std() * CONTRAST
            strip = np.clip(np.round(steady + frame.mean()), 0, 255).astype(np.uint8)
        else:
            width = int(rng.integers(1200, 1600))
            left = int(rng.integers(0, 1600 - width))
            strip = frame[:, left : left + width]
        cv2.imwrite(str(folder / f"strip_{number:02}.png"), cv2.resize(strip, (1600, 256)))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the data, and with the bundle that the command made of the model."""
    surface, models = data_dir("surface_defect"), data_dir("keras_models")
    place = tmp_path_factory.mktemp("severstal")
    _paint_strips(surface, place / "data" / "strips")
    judged = place / "data" / "severstal"
    judged.mkdir()
    for name in (DEFECT, CLEAN, "train.csv"):
        shutil.copy(surface / "severstal" / name, judged)
    (place / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    network = models / "severstal_unet_keras231.json"
    run = convert(
        "convert", "recipe.toml", "--keras", network, "--data", "data", "--out", "unet", cwd=place
    )
    (place / "said.txt").write_text(run.stdout, encoding="utf-8")
    assert run.returncode == 0, run.stderr
    return place


@pytest.fixture(scope="module")
def bundle(place: Path) -> Bundle:
    """What was made."""
    return load_bundle(place / "unet")


def _dice(bundle: Bundle, variant: str, data: Path) -> Mapping[str, float]:
    with closing(open_engine(bundle, variant)) as engine:
        task = SegmentationTask(bundle.manifest, engine)
        dice: Mapping[str, float] = evaluate(data, segmenter=task)["dice"]
        return dice


def _segment(bundle: Bundle, variant: str, picture: Path) -> Segmentation:
    image = cv2.imread(str(picture))
    assert image is not None
    with closing(open_engine(bundle, variant)) as engine:
        task = SegmentationTask(bundle.manifest, engine)
        return task.segment(np.asarray(image, np.uint8), Stopwatch())


def test_float_is_the_model_of_its_makers(bundle: Bundle, place: Path) -> None:
    """In float it finds classes 3 and 4 as well as it does in its makers' Keras."""
    dice = _dice(bundle, "float32", place / "data" / "severstal")
    assert dice["defect_3"] == pytest.approx(0.889, abs=0.002)
    assert dice["defect_4"] == pytest.approx(0.950, abs=0.002)


def test_float_agrees_with_keras(place: Path) -> None:
    """Every value of the float32 variant is within 2e-4 of what Keras gives."""
    card = (place / "unet" / "CARD.md").read_text(encoding="utf-8")
    found = re.search(r"^\| float32 \|.* masks ([\d.e-]+) of", card, re.MULTILINE)
    assert found is not None, card
    assert float(found[1]) <= 2e-4


def test_int8_keeps_the_defects(bundle: Bundle, place: Path) -> None:
    """int8 loses at most 0.01 of Dice, of each class, on a picture it was not calibrated with."""
    real = _dice(bundle, "float32", place / "data" / "severstal")
    integer = _dice(bundle, "int8", place / "data" / "severstal")
    for label in ("defect_3", "defect_4"):
        assert integer[label] >= real[label] - 0.01


@pytest.mark.parametrize("variant", ["float32", "int8"])
def test_clean_strip_stays_clean(bundle: Bundle, place: Path, variant: str) -> None:
    """Not one pixel is marked on the strip without a defect."""
    found = _segment(bundle, variant, place / "data" / "severstal" / CLEAN)
    assert int(found.masks.sum()) == 0


def test_only_the_named_layers_are_in_float(bundle: Bundle, place: Path) -> None:
    """The recipe's layers stay in float, no others had to, and the card names them."""
    assert "misses its gate" not in (place / "said.txt").read_text(encoding="utf-8")
    card = (place / "unet" / "CARD.md").read_text(encoding="utf-8")
    (line,) = [line for line in card.splitlines() if line.startswith("In int8 these layers stay")]
    assert "conv2d_8_1" in line
    assert "conv2d_5_1" not in line
    operators = read_operators(bundle.read_variant("int8"))
    integer = [operator for operator in operators if "FLOAT32" not in operator.types]
    assert len(integer) >= 25


@pytest.mark.parametrize("variant", ["float32", "int8"])
def test_it_runs_as_a_station(place: Path, variant: str, tmp_path: Path) -> None:
    """On the real frames, defect, clean and defect again, the station raises alerts for classes 3
    and 4 in the frames with defects, ends them in the clean one, and for no other class.
    """
    frames = tmp_path / "frames"
    frames.mkdir()
    for number, name in enumerate((DEFECT, CLEAN, DEFECT)):
        shutil.copy(place / "data" / "severstal" / name, frames / f"{number}.jpg")
    config = build(
        {
            "station": {
                "node": "line-1",
                "task": "steel_defect",
                "state_dir": str(tmp_path / "state"),
                "models_dir": str(place),
            },
            "camera": [{"id": "strip", "source": str(frames)}],
            "models": {"segmenter": "unet", "variant": variant},
        },
        origin="test",
    )
    sink = FakeSink()
    app.build(config, sink=sink).run(lambda seconds: threading.Event().wait(seconds))
    said = [json.loads(message.payload) for message in sink.rows()]
    by_frame: dict[tuple[int, str], set[str]] = {}
    for alert in said:
        by_frame.setdefault((alert["frames"]["last"], alert["phase"]), set()).add(alert["label"])
    assert by_frame[0, "new"] == by_frame[2, "new"] == {"defect_3", "defect_4"}
    assert (1, "new") not in by_frame
    opened, ended = ([one["id"] for one in said if one["phase"] == p] for p in ("new", "end"))
    assert sorted(opened) == sorted(ended)
    assert all(one["measure"][0]["name"] == "area" for one in said)
