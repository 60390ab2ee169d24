"""From labelled pictures to a bundle that the device loads, through the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.contract.bundle import load_bundle
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
variants = ["float32", "float16", "dynamic", "int8"]
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
[training]
kind = "mask_classifier"
size = 32
margin = 0.1
minutes = 0.25
batch = 16
epoch_steps = 30
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

SPOILED = """
import sys
from converter.representative import RepresentativeData
proper = RepresentativeData.tensors
RepresentativeData.tensors = lambda self: (0.001 * tensor for tensor in proper(self))
from converter.cli import main
sys.exit(main())
"""
"""The converter with a representative data set that is nothing like the pictures."""


def _python(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def _convert(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return _python("-m", "converter.cli", *arguments, cwd=cwd)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, a recipe in ``tint/`` and the classifier that was trained from them."""
    place = tmp_path_factory.mktemp("site")
    write_labelled(place / "data", photos=40, crops=40)
    (place / "tint").mkdir()
    (place / "tint" / "recipe.toml").write_text(RECIPE)
    run = _convert("train", "tint/recipe.toml", "--data", "data", cwd=place)
    assert run.returncode == 0, run.stderr
    assert (place / "build" / "tint" / "model.keras").is_file()
    return place


@pytest.fixture(scope="module")
def bundle(site: Path) -> Path:
    """The bundle that was made in the recipe's own folder."""
    run = _convert("convert", "tint/recipe.toml", "--data", "data", cwd=site)
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    assert "warning" not in run.stdout
    return site / "tint"


def _crop(folder: Path) -> Image:
    image = cv2.imread(str(folder / "gen_0003.png"))
    assert image is not None
    return np.asarray(image, np.uint8)


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_device_takes_the_bundle(site: Path, bundle: Path) -> None:
    """Every variant loads on the device, with its golden vectors and a batch of crops."""
    loaded = load_bundle(bundle)
    blue, red = (_crop(site / "data" / "crops" / label) for label in loaded.manifest.labels)
    assert list(loaded.manifest.variants) == ["float32", "float16", "dynamic", "int8"]
    for name, variant in loaded.manifest.variants.items():
        engine = open_engine(loaded, name)
        assert check_golden(loaded, name, engine.infer).images == 4
        prepare = Preprocessor(loaded.manifest.input, loaded.input_tensor(name)).prepare
        scores = engine.infer(prepare([blue, red, blue])[0])["probability"]
        assert scores.argmax(axis=1).tolist() == [0, 1, 0]
        assert variant.gate.n > 0
        assert variant.gate.value >= 0.95
        engine.close()


def test_int8_is_int8(bundle: Path) -> None:
    """The int8 variant takes and gives int8, the others float32."""
    for name, variant in load_bundle(bundle).manifest.variants.items():
        dtype = "int8" if name == "int8" else "float32"
        tensors: list[TensorSpec] = [*variant.inputs.values(), *variant.outputs.values()]
        assert {tensor.dtype for tensor in tensors} == {dtype}


def test_bundle_keeps_its_recipe(bundle: Path) -> None:
    """The recipe stays in the folder byte by byte; the card carries the measured figures."""
    assert (bundle / "recipe.toml").read_text() == RECIPE
    card = (bundle / "CARD.md").read_text()
    manifest = load_bundle(bundle).manifest
    for name, variant in manifest.variants.items():
        assert f"| {name} | {variant.bytes:,} | {variant.gate.value:.4f} |" in card
    assert "Painted by a program." in card


def test_wrong_color_order_is_caught(site: Path, bundle: Path) -> None:
    """A recipe that says BGR for a network trained on RGB is refused, the old bundle stays."""
    before = _contents(bundle)
    recipe = site / "bgr.toml"
    recipe.write_text(RECIPE.replace('color = "RGB"', 'color = "BGR"'))
    run = _convert("convert", recipe, "--data", "data", "--out", bundle, cwd=site)
    assert run.returncode == 1
    assert "is not what it was trained with" in run.stderr
    assert "Traceback" not in run.stderr
    assert _contents(bundle) == before


def test_missed_budget_writes_nothing(site: Path, bundle: Path) -> None:
    """A variant that loses more than the budget ends with exit 1; the old bundle is intact."""
    before = _contents(bundle)
    run = _python("-c", SPOILED, "convert", "tint/recipe.toml", "--data", "data", cwd=site)
    assert run.returncode == 1
    assert "variant int8 reaches accuracy" in run.stderr
    assert "gate.budget is 0.05" in run.stderr
    assert _contents(bundle) == before
    assert sorted(path.name for path in site.glob(".*")) == []


def test_skip_failed_leaves_the_variant_out(site: Path, bundle: Path) -> None:
    """With --skip-failed the bundle holds the variants that passed, and the card says so."""
    out = site / "skipped"
    arguments = ("convert", "tint/recipe.toml", "--data", "data", "--out", out, "--skip-failed")
    run = _python("-c", SPOILED, *arguments, cwd=site)
    assert run.returncode == 0, run.stderr
    assert list(load_bundle(out).manifest.variants) == ["float32", "float16", "dynamic"]
    assert not (out / "model.int8.tflite").exists()
    assert "Left out: tint: variant int8" in (out / "CARD.md").read_text()


def test_other_split_is_refused(site: Path, bundle: Path) -> None:
    """A model trained with another split than the recipe's is refused: it has seen the pictures."""
    recipe = site / "seed.toml"
    recipe.write_text(RECIPE.replace("threads = 1", "threads = 1\nseed = 8"))
    run = _convert("convert", recipe, "--data", "data", "--out", site / "other", cwd=site)
    assert run.returncode == 78
    assert "training.seed 7, the recipe says 8" in run.stderr
    assert not (site / "other").exists()


def test_detector_converts(site: Path) -> None:
    """A network with three outputs keeps their names and gets a scale for each."""
    (site / "blobs.toml").write_text(DETECTOR)
    build = (
        "from converter.training.architectures import build_face_detector;"
        "build_face_detector(64, 96, batch=1).save('blobs.keras')"
    )
    assert _python("-c", build, cwd=site).returncode == 0
    arguments = ("--keras", "blobs.keras", "--data", "data", "--out", "blobs")
    run = _convert("convert", "blobs.toml", *arguments, cwd=site)
    assert run.returncode == 0, run.stderr
    assert "warning: 34 items are few to calibrate with" in run.stdout
    loaded = load_bundle(site / "blobs")
    outputs = loaded.manifest.variants["int8"].outputs
    assert {name: spec.shape for name, spec in outputs.items()} == {
        "score": (1, 16, 24, 1),
        "offset": (1, 16, 24, 2),
        "size": (1, 16, 24, 2),
    }
    assert len({spec.scale for spec in outputs.values()}) == 3
    engine = open_engine(loaded, "int8")
    check_golden(loaded, "int8", engine.infer)
    engine.close()


def test_bad_keras_files_have_their_own_text(site: Path) -> None:
    """Missing, folder, empty, junk, truncated, renamed, weights alone and code are told apart."""
    script = """
import json, sys, zipfile
from pathlib import Path
import h5py, keras
from converter.keras_model import KerasModelError, load_keras
from converter.recipe import load_recipe
recipe = load_recipe(Path("tint/recipe.toml")).recipe
good = Path("build/tint/model.keras").read_bytes()
def write(name, content):
    Path(name).write_bytes(content)
    return name
files = {
    "missing": "none.keras",
    "folder": "data",
    "empty": write("empty.keras", b""),
    "junk": write("junk.keras", b"<html>not found</html>"),
    "truncated": write("short.keras", good[: len(good) // 2]),
    "renamed": write("model.h5", good),
}
with zipfile.ZipFile("other.keras", "w") as archive:
    archive.writestr("readme.txt", "hello")
files["zip"] = "other.keras"
model = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
model.save_weights("some.weights.h5")
Path("some.weights.h5").rename("weights.h5")
files["weights"] = "weights.h5"
model.save("whole.h5")
whole = Path("whole.h5").read_bytes()
files["short h5"] = write("short.h5", whole[: len(whole) // 2])
code = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Lambda(lambda x: x),
                         keras.layers.Flatten(), keras.layers.Dense(2)])
code.save("code.keras")
files["code"] = "code.keras"
other = keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
other.save("other_size.keras")
files["size"] = "other_size.keras"
said = {}
for kind, name in files.items():
    try:
        load_keras(Path(name), recipe.input_spec, ["probability"])
    except KerasModelError as error:
        said[kind] = error.message
load_keras(Path("whole.h5"), recipe.input_spec, ["probability"])
sys.stdout.write(json.dumps(said))
"""
    run = _python("-c", script, cwd=site)
    assert run.returncode == 0, run.stderr
    said = json.loads(run.stdout.splitlines()[-1])
    expected = {
        "missing": "none.keras: no such file",
        "folder": "data: is a folder",
        "empty": "empty.keras: is empty",
        "junk": "junk.keras: is neither a .keras archive nor an HDF5 file",
        "truncated": "short.keras: is a damaged or truncated .keras archive",
        "renamed": "model.h5: is a .keras archive, but its name does not say so",
        "zip": "other.keras: is a zip archive without config.json and model.weights.h5",
        "weights": "weights.h5: holds weights but no network",
        "short h5": "short.h5: is a damaged or truncated HDF5 file",
        "size": "other_size.keras: takes an input of shape (None, 16, 16, 3), "
        "the recipe says (1, 32, 32, 3)",
    }
    code = said.pop("code")
    assert said == expected
    assert "refuses it" in code
    assert "\n" not in code
