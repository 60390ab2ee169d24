"""What ``inspect`` says about a file: facts that the file and the runtime themselves give."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from converter.inspection import InspectionError, inspect
from converter.inspection.keras_file import KerasInspection
from converter.inspection.model_file import ModelFileInspection
from converter.inspection.text import name, shape, share, size
from converter.keras_model import LayerFacts, ModelFacts, TensorFacts
from converter.limits import Limits
from edge.contract.bundle import load_bundle
from edge.errors import ManifestError
from tests.helpers.bundles import BLOB_DETECTOR, FIXTURES, TINT_CLASSIFIER, copy_bundle

ROOT = Path(__file__).resolve().parents[3]
MODELS = ROOT / "models"
SHIPPED = sorted(MODELS.glob("*/model.*.tflite"))
ALL = [*SHIPPED, *sorted(FIXTURES.glob("**/*.tflite"))]


LIMITS = Limits()


def _inspect(path: Path, limits: Limits = LIMITS) -> ModelFileInspection:
    found = inspect(path, weights=None, limits=limits)
    assert isinstance(found, ModelFileInspection)
    return found


def _nulls(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_nulls, value.values()))
    if isinstance(value, list):
        return any(map(_nulls, value))
    return value is None


def _altered(path: Path, change: Callable[[Any], None]) -> bytes:
    """The file with another content, packed again."""
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    change(model)
    builder = schema.flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


@pytest.mark.parametrize("path", ALL, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_file_is_explained(path: Path) -> None:
    """Each shipped file gives lines of text, and JSON that holds no null and no NaN."""
    found = _inspect(path)
    lines = list(found.lines())
    assert lines[0].startswith(f"{path}: TensorFlow Lite model, ")
    assert all(line == line.rstrip() and line.isprintable() for line in lines)
    facts = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert not _nulls(facts)
    assert sum(facts["operator_counts"].values()) == len(facts["operators"])


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_ends_are_those_of_the_manifest(path: Path) -> None:
    """Names, shapes, types, scales and zero points of the ends are what the manifest says."""
    variant = path.suffixes[0].removeprefix(".")
    facts, promised = _inspect(path), load_bundle(path.parent).variant(variant)
    assert facts.variant == variant
    for ends, specs in ((facts.inputs, promised.inputs), (facts.outputs, promised.outputs)):
        assert set(ends) == set(specs)
        for end, spec in specs.items():
            assert ends[end].shape == spec.shape
            assert ends[end].type.lower() == spec.dtype
            assert ends[end].scales == (() if spec.scale is None else (spec.scale,))
            assert ends[end].zero_points == (() if spec.zero_point is None else (spec.zero_point,))


def test_variants_of_one_network_have_its_parameters_and_multiplications() -> None:
    """Quantization changes bytes, never the number of weights or multiply-accumulates."""
    found = [_inspect(path) for path in SHIPPED if path.parent.name == "mask_classifier"]
    assert {each.parameters for each in found} == {201_938}
    assert {each.macs for each in found} == {16_735_136}
    assert len({each.size for each in found}) == len(found) == 3


def test_stored_bytes_are_those_of_the_file() -> None:
    """Weights, bias and the rest add up; int8 stores a byte for a weight, float32 four."""
    whole, integer = (
        _inspect(MODELS / "mask_classifier" / f"model.{variant}.tflite")
        for variant in ("float32", "int8")
    )
    assert whole.stored["FLOAT32"] == 4 * whole.parameters
    assert integer.stored["INT8"] + integer.stored["INT32"] // 4 >= integer.parameters
    for found in (whole, integer):
        assert sum(found.stored.values()) < found.size == found.path.stat().st_size


def test_scales_per_channel_are_told_from_one_for_all() -> None:
    """Weights of a convolution have a scale for each channel, activations one."""
    found = _inspect(MODELS / "mask_classifier" / "model.int8.tflite")
    counts = {len(tensor.scales) for tensor in found.tensors if tensor.stored}
    assert 16 in counts
    assert {len(t.scales) for t in found.tensors if not t.stored} == {1}
    text = "\n".join(found.lines())
    assert "per channel: 16 scales, " in text
    assert "along axis 0" in text


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ("mask_classifier/model.float32.tflite", {}),
        ("mask_classifier/model.int8.tflite", {"SOFTMAX": 1}),
        ("face_detector/model.int8.tflite", {"RESIZE_NEAREST_NEIGHBOR": 3}),
        ("face_detector/model.float16.tflite", {"RESIZE_NEAREST_NEIGHBOR": 3}),
    ],
)
def test_xnnpack_is_measured(path: str, left: dict[str, int]) -> None:
    """The runtime tells which operators XNNPACK takes: all that multiplies in the shipped files."""
    found = _inspect(MODELS / path)
    assert {kind: sum(o.name == kind for o in found.left) for kind in left} == left
    assert len(found.left) == sum(left.values())
    assert found.to_json()["xnnpack"] == {
        "operators": len(found.operators) - len(found.left),
        "of": len(found.operators),
        "macs": 1.0,
    }


def test_what_xnnpack_takes_is_between_its_delegates_and_the_rest() -> None:
    """What it leaves is what a runtime without XNNPACK has and the delegates' nodes do not hold."""
    path = MODELS / "face_detector" / "model.int8.tflite"
    found = _inspect(path)
    bare = Interpreter(
        model_path=str(path),
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    bare.allocate_tensors()
    nodes = bare._get_ops_details()
    assert not any(node["op_name"] == "DELEGATE" for node in nodes)
    assert [node["op_name"] for node in nodes] == [o.name for o in found.operators]
    # A delegate's node hands a tensor over where, and only where, another kernel reads it or it is
    # an output.
    interpreter = Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    names = {t["index"]: t["name"] for t in interpreter.get_tensor_details()}
    given = {
        names[tensor]
        for node in interpreter._get_ops_details()
        if node["op_name"] == "DELEGATE"
        for tensor in node["outputs"]
    }
    read = {tensor for operator in found.left for tensor in operator.inputs}
    assert read | {tensor.name for tensor in found.outputs.values()} <= given
    assert len(found.left) == 3


def _to_log_softmax(model: Any, kept: int) -> None:
    """Each ADD becomes a logarithm of a softmax of one of its two inputs."""
    code = next(c for c in model.operatorCodes if c.builtinCode == schema.BuiltinOperator.ADD)
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.LOG_SOFTMAX
    at = model.operatorCodes.index(code)
    for operator in model.subgraphs[0].operators:
        if operator.opcodeIndex == at:
            operator.inputs = [operator.inputs[kept]]
            operator.builtinOptionsType, operator.builtinOptions = 0, None


def test_operator_that_xnnpack_does_not_take(tmp_path: Path) -> None:
    """A LOG_SOFTMAX goes to the slow kernels, all that multiplies stays with XNNPACK."""
    path = tmp_path / "m.tflite"
    float32 = MODELS / "mask_classifier" / "model.float32.tflite"
    path.write_bytes(_altered(float32, lambda model: _to_log_softmax(model, 1)))
    found = _inspect(path)
    assert [operator.name for operator in found.left] == ["LOG_SOFTMAX"] * 5
    text = "\n".join(found.lines())
    assert "XNNPACK takes         28 of 33 operators, 100 % of" in text
    assert "leaves these to the runtime's own, slower kernels: 5 × LOG_SOFTMAX" in text


def test_nothing_is_said_of_operators_whose_results_nobody_uses(tmp_path: Path) -> None:
    """A branch that leads nowhere is neither taken nor left."""
    path = tmp_path / "m.tflite"
    float32 = MODELS / "mask_classifier" / "model.float32.tflite"
    path.write_bytes(_altered(float32, lambda model: _to_log_softmax(model, 0)))
    found = _inspect(path)
    assert [operator.name for operator in found.left] == ["LOG_SOFTMAX"] * 5
    assert found.xnnpack.taken.count(None) > 0
    assert len(found.taken) + len(found.left) + found.xnnpack.taken.count(None) == 33


def test_custom_operator_is_named_though_the_runtime_refuses(tmp_path: Path) -> None:
    """A file with an operator that the runtime lacks is explained, with its name and the reason."""
    path = tmp_path / "m.tflite"

    def to_custom(model: Any) -> None:
        code = model.operatorCodes[-1]
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
        code.customCode = "FlexErf"
        for operator in model.subgraphs[0].operators:
            if operator.opcodeIndex == len(model.operatorCodes) - 1:
                operator.builtinOptionsType, operator.builtinOptions = 0, None

    path.write_bytes(_altered(TINT_CLASSIFIER / "model.float32.tflite", to_custom))
    found = _inspect(path)
    assert found.custom == ("FlexErf",)
    text = "\n".join(found.lines())
    assert "custom operators      FlexErf" in text
    assert "XNNPACK takes         no answer: " in text
    assert "FlexErf" in found.to_json()["xnnpack"]["refused"]
    assert not any("xnnpack" in operator for operator in found.to_json()["operators"])


def test_runtime_that_dies_is_an_answer_too() -> None:
    """Limits that the runtime cannot live in end the trial, never the explanation."""
    path = MODELS / "face_detector" / "model.float32.tflite"
    for limits in (Limits(memory_bytes=2**20), Limits(seconds=0.001)):
        found = _inspect(path, limits)
        assert found.xnnpack.refused.startswith("the runtime ")
        assert found.macs == _inspect(path).macs
        assert any("no answer" in line for line in found.lines())


def test_file_without_a_signature_has_the_tensors_names(tmp_path: Path) -> None:
    """Where no signature names the ends, they go by the names of their tensors."""

    def without(model: Any) -> None:
        model.signatureDefs = None

    path = tmp_path / "m.tflite"
    path.write_bytes(_altered(TINT_CLASSIFIER / "model.float32.tflite", without))
    found = _inspect(path)
    assert list(found.inputs) == ["serving_default_image:0"]
    assert len(found.outputs) == 1


def test_kinds_of_files(tmp_path: Path) -> None:
    """Integer and float operators in one file are mixed; those in float are named."""

    def unpack(model: Any) -> None:
        """Both ends of the file's softmax become float, as if it had not been quantized."""
        graph = model.subgraphs[0]
        for index in (*graph.operators[-1].inputs, *graph.operators[-1].outputs):
            graph.tensors[index].type = schema.TensorType.FLOAT32
            graph.tensors[index].quantization = None

    path = tmp_path / "m.tflite"
    path.write_bytes(_altered(MODELS / "mask_classifier" / "model.int8.tflite", unpack))
    found = _inspect(path)
    assert found.variant == "mixed"
    assert any("These stay in float: " in line and "SOFTMAX" in line for line in found.lines())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "is a Git LFS pointer"),
        (b"\n<!DOCTYPE html><html>", "is a web page, not a model"),
        (b"\x89PNG\r\n\x1a\n", "is a picture or a clip, not a model"),
        (b"\x1f\x8b\x08\x00", "is compressed"),
        (b"\x80\x02}q\x00", "is a Python pickle, which is never opened"),
        (b"\x08\x08\x12\x07pytorch\x1a\x051.2.3", "is an ONNX model"),
        (bytes(range(256)), "is neither a TensorFlow Lite model nor a Keras model"),
        (b"\x1c\x00\x00\x00TFL3", "is a damaged or truncated TensorFlow Lite model"),
    ],
)
def test_what_is_no_model_is_told_apart(content: bytes, said: str, tmp_path: Path) -> None:
    """Every kind of wrong file has a line of its own that names the file."""
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    with pytest.raises(InspectionError) as caught:
        inspect(path, weights=None, limits=Limits())
    assert caught.value.message == f"{path}: {said}" or caught.value.message.startswith(
        f"{path}: {said}, "
    )
    assert caught.value.hint
    assert caught.value.exit_code == 78


def test_wrong_places_are_told_apart(tmp_path: Path) -> None:
    """Nothing there and a folder without a model are two different lines."""
    with pytest.raises(InspectionError, match="no such file or folder"):
        inspect(tmp_path / "none", weights=None, limits=Limits())
    with pytest.raises(InspectionError, match=r"neither a manifest\.json nor a saved_model\.pb"):
        inspect(tmp_path, weights=None, limits=Limits())


def test_content_decides_not_the_name(tmp_path: Path) -> None:
    """A .tflite file under a foreign name is still one."""
    path = tmp_path / "picture.png"
    path.write_bytes((TINT_CLASSIFIER / "model.int8.tflite").read_bytes())
    assert _inspect(path).variant == "int8"


def test_damage_never_ends_in_anything_but_one_line(tmp_path: Path) -> None:
    """Truncated and altered files are explained or refused in one line, whatever the bytes are."""
    content = (TINT_CLASSIFIER / "model.int8.tflite").read_bytes()
    chance = random.Random(3)
    path = tmp_path / "m.tflite"
    refused: list[str] = []
    for round_ in range(12):
        damaged = bytearray(content)
        if round_ % 3 == 0:
            del damaged[chance.randrange(8, len(content)) :]
        else:
            for _ in range(20):
                damaged[chance.randrange(8, len(content))] = chance.randrange(256)
        path.write_bytes(damaged)
        try:
            list(_inspect(path, Limits(memory_bytes=2**30, seconds=20.0)).lines())
        except InspectionError as error:
            refused.append(str(error))
    assert all("damaged or truncated" in line and "\n" not in line for line in refused)
    assert len(refused) >= 4


def test_bundle_is_told_in_short() -> None:
    """A bundle's folder gives its variants, with bytes and gates, and the manifest as JSON."""
    found = inspect(MODELS / "mask_classifier", weights=None, limits=Limits())
    manifest = load_bundle(MODELS / "mask_classifier").manifest
    text = "\n".join(found.lines())
    assert "with_mask, without_mask" in text
    for variant, facts in manifest.variants.items():
        assert any(
            line.split()[:2] == [variant, f"{facts.bytes:,}"] for line in text.splitlines() if line
        )
    assert found.to_json()["manifest"]["variants"]["int8"]["gate"]["n"] > 0
    assert not _nulls(found.to_json())


def test_broken_bundle_is_refused(tmp_path: Path) -> None:
    """A manifest that breaks the schema is refused as the device refuses it."""
    path = copy_bundle(tmp_path, BLOB_DETECTOR)
    (path / "manifest.json").write_text("{}")
    with pytest.raises(ManifestError):
        inspect(path, weights=None, limits=Limits())


def _keras(*layers: LayerFacts, output: TensorFacts, batch: int | None = None) -> KerasInspection:
    picture = TensorFacts("input_1", (batch, 64, 64, 3), "float32")
    facts = ModelFacts("Keras 3 archive", "0" * 64, "3.15.1", 99, (picture,), (output,), layers)
    return KerasInspection(Path("m.keras"), facts)


def test_keras_layers_are_told() -> None:
    """A Keras model gives a table of its layers with parameters, multiplications and shares."""
    found = _keras(
        LayerFacts("stem", "Conv2D", (None, 32, 32, 8), 224, 3000),
        LayerFacts("head", "Dense", (None, 2), 18, 1000),
        output=TensorFacts("head", (None, 2), "float32", "softmax"),
    )
    text = "\n".join(found.lines())
    assert "Keras 3 archive, written by Keras 3.15.1" in text
    assert "multiply-accumulates  4,000 an image" in text
    stem = next(line for line in text.splitlines() if line.startswith("  stem"))
    assert stem.split() == [
        "stem",
        "Conv2D",
        *["any", "×", "32", "×", "32", "×", "8"],
        "224",
        "3,000",
        "75",
        "%",
    ]
    assert found.notes == ()
    assert "To know before converting" not in text
    assert found.to_json()["layers"][0]["output_shape"] == [-1, 32, 32, 8]
    assert not _nulls(found.to_json())


@pytest.mark.convert
def test_keras_file_and_its_variants_agree() -> None:
    """The Keras file of a shipped model has as many multiply-accumulates as its variants."""
    path = ROOT / "converter" / "weights" / "mask_classifier" / "model.keras"
    found = inspect(path, weights=None, limits=Limits())
    assert isinstance(found, KerasInspection)
    assert found.macs == _inspect(MODELS / "mask_classifier" / "model.int8.tflite").macs
    assert found.facts.format == "Keras 3 archive"
    assert not _nulls(found.to_json())
    assert "probability  any × 2" in "\n".join(found.lines())


@pytest.mark.parametrize(
    ("kind", "activation", "batch", "said"),
    [
        ("Conv2D", "linear", None, "may end in logits"),
        ("Conv2D", "softmax", 1, "fixed to one image"),
        ("Rescaling", "softmax", None, "input.normalize of the recipe must not do it again"),
        ("PReLU", "softmax", None, "int16x8: TensorFlow refuses it because of 1 × PReLU (x)"),
        ("LayerNormalization", "softmax", None, "int8: 1 × LayerNormalization (x) cannot"),
    ],
)
def test_keras_notes(kind: str, activation: str, batch: int | None, said: str) -> None:
    """What the conversion will meet is said before it starts."""
    found = _keras(
        LayerFacts("x", kind, (None, 8), 0, 0),
        output=TensorFacts("x", (None, 2), "float32", activation),
        batch=batch,
    )
    assert said in " ".join(found.notes)
    assert any(said in line for line in found.lines())
    assert any(said in note for note in found.to_json()["notes"])


def test_numbers_are_readable() -> None:
    """Open sides, scalars, shares of nearly all, long and joined names."""
    assert shape((None, 4, -1)) == "any × 4 × any"
    assert shape(()) == "one number"
    assert share(99_999, 100_000) == "99.9 %"
    assert share(1, 100_000) == "0.1 %"
    assert (share(5, 5), share(0, 5), share(1, 3)) == ("100 %", "0 %", "33.3 %")
    assert size(194_744) == "194,744 bytes (194.7 kB)"
    assert name("a/b;c/d") == "a/b"
    assert len(name("x" * 500)) == 44
    assert name("a\x1b[2J\nb") == "a?[2J?b"


def test_no_tensorflow_is_loaded() -> None:
    """Explaining a .tflite file needs neither TensorFlow nor Keras nor h5py."""
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "for name in ('tensorflow', 'keras', 'h5py'): sys.modules[name] = None\n"
        "from converter.inspection import inspect\n"
        "from converter.limits import Limits\n"
        "print(*inspect(Path(sys.argv[1]), weights=None, limits=Limits()).lines(), sep='\\n')\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, str(TINT_CLASSIFIER / "model.int8.tflite")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "XNNPACK takes" in run.stdout
    assert run.stderr == ""
