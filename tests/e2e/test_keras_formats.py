"""Every kind of model file that Keras ever wrote loads, and gives what Keras gave."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from ai_edge_litert.interpreter import Interpreter

from converter.process import KerasProcess
from converter.tflite import VariantJob
from edge.contract.manifest import InputSpec
from tests.helpers.data import data_dir
from tests.helpers.keras_formats import FORMATS, SIZE, WEIGHTS
from tests.helpers.specs import input_spec

pytestmark = [pytest.mark.convert, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[2]

LOADER = """
import json, sys, tempfile
from pathlib import Path
import numpy as np
from converter.keras_model import KerasModelError
from converter.keras_model.export import export
from converter.keras_model.load import load
from converter.keras_model.source import read_source

images = np.load("expected.npz")["images"]
given, said = {}, {}
for name, weights in json.loads(sys.argv[1]).items():
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        try:
            source = read_source(Path(name), None if weights is None else Path(weights), work)
            model = load(source, work)
            names = [tensor.name for tensor in model.facts.outputs]
            shape = (1, 16, 16, 3)
            made = export(
                model, work / "s", name="image", shape=shape, outputs=names, activations={}
            )
        except KerasModelError as error:
            said[name] = {"error": str(error)}
            continue
        said[name] = {"facts": model.facts.to_json(), "batches": made.batches}
        given |= {f"{name}/{k}": v for k, v in made.infer(images).items()}
np.savez("given.npz", **given)
sys.stdout.write(json.dumps(said))
"""
"""Loads them in one process, without the limits, because TensorFlow takes seconds to import."""

OTHERS: dict[str, str | None] = {
    **dict.fromkeys(["list.keras", "dict.keras", "open.keras", "half.keras"]),
    **dict.fromkeys(["batch1.keras", "batch5.keras", "two_inputs.keras", "row.keras"]),
    "first.keras": None,
    **dict.fromkeys(["shape.json", "culprit.json", "foreign.json"], "keras2.weights.h5"),
}

THIRD_PARTY: dict[str, tuple[str, tuple[int, int], str]] = {
    "severstal_unet_keras231.json": ("severstal_unet_keras231.weights.h5", (256, 1600), "GRAY"),
    "face_mask_detector.h5": ("", (70, 70), "RGB"),
    "fer2013_mini_XCEPTION.102-0.66.hdf5": ("", (64, 64), "GRAY"),
    "gender_mini_XCEPTION.21-0.95.hdf5": ("", (64, 64), "GRAY"),
}


def _python(*arguments: str, cwd: Path) -> str:
    run = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "KERAS_BACKEND": "tensorflow"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every kind of file, and ``expected.npz``."""
    folder = tmp_path_factory.mktemp("keras")
    _python("-m", "tests.helpers.keras_formats", ".", cwd=folder)
    return folder


@pytest.fixture(scope="module")
def loaded(place: Path) -> dict[str, Any]:
    """What the loader found in every file, or why it refused it; outputs in ``given.npz``."""
    files = {name: WEIGHTS.get(name) for name in FORMATS} | OTHERS
    said: dict[str, Any] = json.loads(
        _python("-c", LOADER, json.dumps(files), cwd=place).splitlines()[-1]
    )
    return said


def _given(place: Path, name: str) -> dict[str, npt.NDArray[Any]]:
    with np.load(place / "given.npz") as arrays:
        found = {k: v for k, v in arrays.items() if k.rpartition("/")[0] == name}
    return {key.rpartition("/")[2]: value for key, value in found.items()}


def _expected(place: Path, key: str) -> npt.NDArray[Any]:
    with np.load(place / "expected.npz") as arrays:
        found: npt.NDArray[Any] = arrays[key]
    return found


@pytest.mark.parametrize("name", FORMATS)
def test_format(place: Path, loaded: dict[str, Any], name: str) -> None:
    """The same network out of every format gives what Keras gave when it was made."""
    facts = loaded[name]["facts"]
    assert (facts["format"], facts["parameters"]) == (FORMATS[name], 468)
    (scores,) = _given(place, name).values()
    assert np.abs(scores - _expected(place, "network")).max() <= 1e-5
    (output,) = facts["outputs"]
    assert output["activation"] == "softmax"
    assert sum(layer["macs"] for layer in facts["layers"]) == 25_874


def test_layers(loaded: dict[str, Any]) -> None:
    """Layers of a nested model carry its name, with the multiply-accumulates of one picture."""
    layers = {layer["name"]: layer for layer in loaded["keras2.h5"]["facts"]["layers"]}
    assert layers["stem"]["macs"] == 8 * 8 * 6 * 3 * 3 * 3
    assert layers["depthwise"]["macs"] == 8 * 8 * 6 * 3 * 3
    assert layers["inner/separable"]["macs"] == 8 * 8 * (6 * 3 * 3 + 6 * 5)
    assert layers["up"]["macs"] == 8 * 8 * 5 * 4 * 2 * 2
    assert layers["scores"]["macs"] == 6 * 3
    assert layers["inner/inner_norm"]["parameters"] == 20
    assert layers["up"]["output_shape"] == [None, SIZE, SIZE, 4]


@pytest.mark.parametrize(
    ("name", "outputs"),
    [("list", ["a", "b"]), ("dict", ["zone", "area"]), ("open", ["a", "b"])],
)
def test_several_outputs(
    place: Path, loaded: dict[str, Any], name: str, outputs: list[str]
) -> None:
    """A list goes by the names of its layers, a dictionary by its keys; open sizes are filled."""
    facts = loaded[f"{name}.keras"]["facts"]
    assert [tensor["name"] for tensor in facts["outputs"]] == outputs
    given = _given(place, f"{name}.keras")
    for output in outputs:
        assert np.abs(given[output] - _expected(place, f"{name}/{output}")).max() <= 1e-5


@pytest.mark.parametrize("name", ["batch1", "batch5", "half"])
def test_fixed_batch_and_half_precision(place: Path, loaded: dict[str, Any], name: str) -> None:
    """A fixed batch and mixed precision change nothing about the outputs."""
    (given,) = _given(place, f"{name}.keras").values()
    assert np.abs(given - _expected(place, name)).max() <= 1e-5
    assert loaded[f"{name}.keras"]["batches"] == (name != "batch1")


@pytest.mark.parametrize(
    ("name", "said"),
    {
        "two_inputs.keras": "two_inputs.keras: takes 2 inputs (one, two), a recipe describes one",
        "row.keras": "row.keras: takes an input of shape (None, 4), which is no picture",
        "first.keras": "first.keras: layer turned (Conv2D) has its channels first",
        "shape.json": "shape.json: weight scores/kernel has the shape (6, 3) in the file, "
        "the network needs (6, 4)",
        "foreign.json": "foreign.json: the network has 1 layers with weights, the file 7",
        "culprit.json": "cannot build layer skip (Conv2D): ",
    }.items(),
)
def test_refused(loaded: dict[str, Any], name: str, said: str) -> None:
    """What cannot be used is refused in one line that names the layer."""
    assert said in loaded[name]["error"]
    assert "\n" not in loaded[name]["error"]


def _float32(path: Path, weights: Path | None, spec: InputSpec, samples: int) -> tuple[str, float]:
    """Hash of the float32 file, and its largest difference from Keras."""
    images = np.random.default_rng(5).random((samples, *spec.shape[1:]), np.float32)
    with KerasProcess(path, weights=weights) as process:
        process.export(spec, ["out"], {})
        expected = process.infer(images)["out"]
        content = process.convert(VariantJob("float32", spec.name))
    run = Interpreter(model_content=content).get_signature_runner()
    given = np.concatenate([run(image=images[i : i + 1])["out"] for i in range(samples)])
    return hashlib.sha256(content).hexdigest(), float(np.abs(given - expected).max())


@pytest.mark.data
@pytest.mark.parametrize("name", THIRD_PARTY)
def test_third_party(name: str) -> None:
    """Models that others trained with Keras 2.0 to 2.4 convert, and agree with Keras."""
    weights, (height, width), color = THIRD_PARTY[name]
    path = data_dir("keras_models", name)
    spec = input_spec(height, width, color=color)
    _, difference = _float32(path, path.with_name(weights) if weights else None, spec, 2)
    assert difference <= 2e-4


def test_same_bytes_twice(place: Path) -> None:
    """Two fresh processes make the same file of the same model."""
    made = [_float32(place / "keras2.h5", None, input_spec(SIZE, SIZE), 2) for _ in range(2)]
    assert made[0] == made[1]


def test_activation_is_appended(place: Path) -> None:
    """Logits get the activation that the recipe asks for, in Keras's outputs as in the file's."""
    images = _expected(place, "images")
    with KerasProcess(place / "list.keras") as process:
        shapes = process.export(input_spec(SIZE, SIZE), ["b", "a"], {"b": "softmax"})
        given = process.infer(images)
        content = process.convert(VariantJob("float32", "image"))
    assert {name: spec.shape for name, spec in shapes.items()} == {
        "a": (1, 14, 14, 2),
        "b": (1, 14, 14, 3),
    }
    assert np.allclose(given["b"].sum(axis=-1), 1.0, atol=1e-5)
    assert np.abs(given["a"] - _expected(place, "list/a")).max() <= 1e-5
    run = Interpreter(model_content=content).get_signature_runner()
    assert np.abs(run(image=images[:1])["b"] - given["b"][:1]).max() <= 1e-5
