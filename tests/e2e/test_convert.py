"""From labelled pictures to a bundle that the device loads, through the command line."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from converter.tflite import read_operators
from edge.contract.bundle import load_bundle
from edge.contract.errors import GoldenMismatch
from edge.contract.golden import check_golden
from edge.contract.manifest import TensorSpec
from edge.contract.preprocess import Preprocessor
from edge.engines import open_engine
from edge.records import Image
from tests.helpers.labelled import write_labelled

pytestmark = [pytest.mark.convert, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[2]

RECIPE = """
name = "tint"
version = "0.1.0"
task = "classification"
labels = ["with_mask", "without_mask"]
variants = ["float32", "float16", "dynamic", "int8", "int16x8"]
[input]
name = "image"
size = [32, 32]
color = "RGB"
resize = { mode = "stretch" }
normalize = { mean = [127.5, 127.5, 127.5], std = [127.5, 127.5, 127.5] }
[outputs]
probability = "class_scores"
[decode]
kind = "classification"
crop_margin = 0.1
[representative]
sources = ["boxes", "crops"]
count = 100
seed = 7
[gate]
metric = "accuracy"
budget = 0.05
least = 0.9
[training]
kind = "mask_classifier"
size = 32
margin = 0.1
minutes = 0.02
batch = 16
epoch_steps = 2
threads = 1
[card]
purpose = "Tells blue from red."
data = "Painted by a program."
limits = ["It knows painted blobs only."]
"""

DETECTOR = """
name = "blobs"
version = "0.1.0"
task = "detection"
labels = ["face"]
variants = ["float32", "int8"]
[input]
name = "image"
size = [64, 96]
color = "RGB"
resize = { mode = "letterbox" }
normalize = { mean = [127.5, 127.5, 127.5], std = [127.5, 127.5, 127.5] }
[outputs]
score = "center_scores"
offset = "center_offsets"
size = "center_sizes"
[decode]
kind = "center"
stride = 4
threshold = 0.3
nms_iou = 0.4
max_detections = 20
[representative]
sources = ["boxes"]
count = 100
seed = 7
[gate]
metric = "ap"
budget = 0.5
[card]
purpose = "An untrained network."
data = "Painted by a program."
limits = ["It finds nothing."]
"""

DRIVER = """
import contextlib, hashlib, io, json, sys
from pathlib import Path
import keras
import numpy as np
from converter.cli import main
from converter.representative import RepresentativeData
from converter.training.architectures import build_face_detector

image = keras.Input((32, 32, 3), name="image")
x = keras.layers.Conv2D(2, 1, activation="relu", name="tint")(image)
x = keras.layers.DepthwiseConv2D(3, padding="same", name="blur")(x)
x = keras.layers.GlobalAveragePooling2D()(x)
model = keras.Model(image, keras.layers.Dense(2, activation="softmax", name="judge")(x))
tint = np.array([[-1, 1], [0, 0], [1, -1]], np.float32).reshape(1, 1, 3, 2)
model.get_layer("tint").set_weights([tint, np.zeros(2)])
model.get_layer("blur").set_weights([np.full((3, 3, 2, 1), 1 / 9), np.zeros(2)])
model.get_layer("judge").set_weights([np.eye(2) * 20, np.zeros(2)])
model.save("tint.keras")
build_face_detector(64, 96, batch=1).save("blobs.keras")

proper = RepresentativeData.tensors
said = {}
for name, argv in json.loads(sys.argv[1]).items():
    spoil = name.startswith("spoiled")
    grey = lambda self, count=None: (
        t.mean(axis=3, keepdims=True) + 1e-4 * t for t in proper(self, count)
    )
    RepresentativeData.tensors = grey if spoil else proper
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(argv)
    files = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in Path("tint").iterdir()}
    said[name] = {"code": code, "out": out.getvalue(), "err": err.getvalue(), "tint": files}
sys.stdout.write(json.dumps(said))
"""
"""Makes two Keras models, one with weights set by hand, then calls the command line several times
in one process, because TensorFlow takes seconds to load; a run called ``spoiled…`` calibrates with
almost grey pictures."""


def _python(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with labelled pictures and recipes; ``tint/`` is to become a bundle."""
    place = tmp_path_factory.mktemp("site")
    write_labelled(place / "data", photos=40, crops=40)
    write_labelled(place / "more", photos=20, crops=20, seed=1)
    (place / "tint").mkdir()
    (place / "tint" / "recipe.toml").write_text(RECIPE)
    loose = RECIPE.replace("least = 0.9", "").replace(
        "budget = 0.05", "budget = 1.0\nagreement = 0.0"
    )
    two = ('"float32", "float16", "dynamic", "int8", "int16x8"', '"float32", "int8"')
    (place / "trained.toml").write_text(loose.replace(*two))
    whole = ("[gate]", "[quantize]\nfloat_layers = 0\n[gate]")
    (place / "two.toml").write_text(RECIPE.replace(*two).replace(*whole))
    ends = ("[gate]", '[quantize]\ninput_output = "float32"\n[gate]')
    (place / "ends.toml").write_text(RECIPE.replace(two[0], '"int8", "int16x8"').replace(*ends))
    (place / "seed.toml").write_text(loose.replace("threads = 1", "threads = 1\nseed = 8"))
    (place / "bgr.toml").write_text(RECIPE.replace('color = "RGB"', 'color = "BGR"'))
    (place / "blobs.toml").write_text(DETECTOR)
    return place


@pytest.fixture(scope="module")
def trained(site: Path) -> Path:
    """The network after a second of training, by the command as a user calls it."""
    run = _python("-m", "converter.cli", "train", "trained.toml", "--data", "data", cwd=site)
    assert run.returncode == 0, run.stderr
    assert run.stdout.endswith("wrote build/tint/model.keras\n")
    return site / "build" / "tint" / "model.keras"


@pytest.fixture(scope="module")
def runs(site: Path, trained: Path) -> dict[str, Any]:
    """What each call of ``linesight-convert convert`` gave."""
    hand = ["--keras", "tint.keras", "--data", "data"]
    calls = {
        "plain": ["convert", "tint/recipe.toml", *hand],
        "again": ["convert", "tint/recipe.toml", *hand, "--out", "again"],
        "bgr": ["convert", "bgr.toml", *hand, "--out", "tint"],
        "spoiled": ["convert", "two.toml", *hand, "--out", "tint", "--report", "spoiled.html"],
        "spoiled, skipped": ["convert", "two.toml", *hand, "--out", "few", "--skip-failed"],
        "ends": ["convert", "ends.toml", *hand, "--out", "ends"],
        "verified": ["verify", "tint", "--data", "data", "--json", "verified.json"],
        "other data": ["verify", "tint", "--data", "more"],
        "trained": ["convert", "trained.toml", "--data", "data", "--out", "trained"],
        "seed": ["convert", "seed.toml", "--data", "data", "--out", "other"],
        "detector": [
            "convert",
            "blobs.toml",
            "--keras",
            "blobs.keras",
            "--data",
            "data",
            "--out",
            "blobs",
        ],
    }
    run = _python("-c", DRIVER, json.dumps(calls), cwd=site)
    assert run.returncode == 0, run.stderr
    said: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return said


def _passed(run: dict[str, Any]) -> None:
    assert (run["code"], run["err"]) == (0, "")


def _crop(folder: Path) -> Image:
    image = cv2.imread(str(folder / "gen_0003.png"))
    assert image is not None
    return np.asarray(image, np.uint8)


def test_device_takes_the_bundle(site: Path, runs: dict[str, Any]) -> None:
    """Every variant loads on the device, with its golden vectors and a batch of crops."""
    _passed(runs["plain"])
    assert "to calibrate with; int8 wants" not in runs["plain"]["out"]
    bundle = load_bundle(site / "tint")
    blue, red = (_crop(site / "data" / "crops" / label) for label in bundle.manifest.labels)
    assert list(bundle.manifest.variants) == ["float32", "float16", "dynamic", "int8", "int16x8"]
    for name, variant in bundle.manifest.variants.items():
        engine = open_engine(bundle, name)
        assert check_golden(bundle, name, engine.infer).images == 4
        prepare = Preprocessor(bundle.manifest.input, bundle.input_tensor(name)).prepare
        scores = engine.infer(prepare([blue, red, blue])[0])["probability"]
        assert scores.argmax(axis=1).tolist() == [0, 1, 0]
        assert (variant.gate.metric, variant.gate.float_, variant.gate.value) == ("accuracy", 1, 1)
        engine.close()


def test_golden_vectors_catch_wrong_preprocessing(site: Path, runs: dict[str, Any]) -> None:
    """A manifest whose colour order was changed by hand no longer passes its golden vectors."""
    _passed(runs["plain"])
    copy = site / "swapped"
    shutil.copytree(site / "tint", copy)
    manifest = (copy / "manifest.json").read_text()
    (copy / "manifest.json").write_text(manifest.replace('"color": "RGB"', '"color": "BGR"'))
    bundle = load_bundle(copy)
    engine = open_engine(bundle, "int8")
    with pytest.raises(GoldenMismatch):
        check_golden(bundle, "int8", engine.infer)
    engine.close()


def test_int8_is_int8(site: Path, runs: dict[str, Any]) -> None:
    """int8 takes and gives int8, int16x8 int16, the others float32."""
    _passed(runs["plain"])
    for name, variant in load_bundle(site / "tint").manifest.variants.items():
        dtype = {"int8": "int8", "int16x8": "int16"}.get(name, "float32")
        tensors: list[TensorSpec] = [*variant.inputs.values(), *variant.outputs.values()]
        assert {tensor.dtype for tensor in tensors} == {dtype}


def test_bundle_keeps_its_recipe(site: Path, runs: dict[str, Any]) -> None:
    """The recipe stays in the folder byte by byte; the card carries the measured figures."""
    _passed(runs["plain"])
    assert (site / "tint" / "recipe.toml").read_text() == RECIPE
    card = (site / "tint" / "CARD.md").read_text()
    for name, variant in load_bundle(site / "tint").manifest.variants.items():
        row = f"| {name} | {variant.bytes:,} | {variant.gate.value:.4f} | +0.0000 | 100.00 % |"
        assert row in card
    assert "Painted by a program." in card


def test_same_recipe_same_bytes(site: Path, runs: dict[str, Any]) -> None:
    """The same recipe, model and data give the same files again, but for the time stamp."""
    _passed(runs["again"])
    stamps = [
        load_bundle(site / folder).manifest.provenance.created.encode()
        for folder in ("tint", "again")
    ]
    names = sorted(path.name for path in (site / "tint").iterdir())
    assert names == sorted(path.name for path in (site / "again").iterdir())
    for name in names:
        one, two = ((site / folder / name).read_bytes() for folder in ("tint", "again"))
        assert one.replace(stamps[0], b"") == two.replace(stamps[1], b""), name


def test_wrong_color_order_is_caught(runs: dict[str, Any]) -> None:
    """A recipe that says BGR for a network of RGB is refused with exit 1, the old bundle stays."""
    assert runs["bgr"]["code"] == 1
    assert "wrong preprocessing" in runs["bgr"]["err"]
    assert 'better with input.color = "RGB"' in runs["bgr"]["err"]
    assert runs["bgr"]["tint"] == runs["plain"]["tint"]


def test_missed_budget_writes_nothing(site: Path, runs: dict[str, Any]) -> None:
    """A variant that loses more than the budget ends with exit 1; the old bundle is intact."""
    assert runs["spoiled"]["code"] == 1
    assert "variant int8 reaches accuracy" in runs["spoiled"]["err"]
    assert "gate.budget is 0.05" in runs["spoiled"]["err"]
    assert re.search(r"its worst layers: [A-Z_0-9]+ \S+ \(-?\d+ dB\)", runs["spoiled"]["err"])
    report = (site / "spoiled.html").read_text(encoding="utf-8")
    assert "gate.budget is 0.05" in report
    assert runs["spoiled"]["tint"] == runs["plain"]["tint"]
    assert list(site.glob(".*")) == []


def test_skip_failed_leaves_the_variant_out(site: Path, runs: dict[str, Any]) -> None:
    """With --skip-failed the bundle holds the variants that passed, and the card says so."""
    _passed(runs["spoiled, skipped"])
    assert list(load_bundle(site / "few").manifest.variants) == ["float32"]
    assert not (site / "few" / "model.int8.tflite").exists()
    assert "Left out: tint: variant int8" in (site / "few" / "CARD.md").read_text()


def test_float_ends(site: Path, runs: dict[str, Any]) -> None:
    """Integer variants with float ends take and give float32, and work in integers inside."""
    _passed(runs["ends"])
    bundle = load_bundle(site / "ends")
    assert list(bundle.manifest.variants) == ["int8", "int16x8"]
    for name, variant in bundle.manifest.variants.items():
        tensors = [*variant.inputs.values(), *variant.outputs.values()]
        assert {tensor.dtype for tensor in tensors} == {"float32"}
        types = {o.weight_type for o in read_operators(bundle.read_variant(name)) if o.weights}
        assert types == {"INT8"}


def test_verify_repeats_the_gate(site: Path, runs: dict[str, Any]) -> None:
    """On the data of the conversion every variant reaches what its manifest says."""
    _passed(runs["verified"])
    assert runs["verified"]["out"].endswith("tint: every variant holds its gate\n")
    found = json.loads((site / "verified.json").read_text())
    assert found["same_data"] is True
    for name, variant in load_bundle(site / "tint").manifest.variants.items():
        assert found["variants"][name]["value"] == pytest.approx(variant.gate.value)
        assert found["variants"][name]["passed"] is True


def test_verify_takes_other_data(runs: dict[str, Any]) -> None:
    """On other data float32 is the baseline, and the output says so."""
    _passed(runs["other data"])
    assert "warning: this is not the data of the conversion" in runs["other data"]["out"]


def test_trained_network_converts(site: Path, runs: dict[str, Any]) -> None:
    """What the train verb left in build/ is found by name and becomes a bundle."""
    _passed(runs["trained"])
    bundle = load_bundle(site / "trained")
    for name in bundle.manifest.variants:
        engine = open_engine(bundle, name)
        check_golden(bundle, name, engine.infer)
        engine.close()
    assert "What the training measured" in (site / "trained" / "CARD.md").read_text()


def test_other_split_is_refused(site: Path, runs: dict[str, Any]) -> None:
    """A model trained with another split than the recipe's is refused: it has seen the pictures."""
    assert runs["seed"]["code"] == 78
    assert "training.seed 7, the recipe says 8" in runs["seed"]["err"]
    assert not (site / "other").exists()


def test_detector_converts(site: Path, runs: dict[str, Any]) -> None:
    """A network with three outputs keeps their names and gets a scale for each."""
    _passed(runs["detector"])
    assert "warning: 32 items are few to calibrate with" in runs["detector"]["out"]
    bundle = load_bundle(site / "blobs")
    outputs = bundle.manifest.variants["int8"].outputs
    assert {name: spec.shape for name, spec in outputs.items()} == {
        "score": (1, 16, 24, 1),
        "offset": (1, 16, 24, 2),
        "size": (1, 16, 24, 2),
    }
    assert len({spec.scale for spec in outputs.values()}) == 3
    engine = open_engine(bundle, "int8")
    check_golden(bundle, "int8", engine.infer)
    engine.close()
