"""Every variant is what was asked for, the same twice, or refused in one line that says where."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from converter.recipe import Quantize, Recipe, load_recipe
from converter.tflite import (
    ConversionError,
    ModelFile,
    compare_layers,
    read_back,
    read_operators,
    verify,
)
from converter.tflite.operators import left_in_float, parse
from converter.tflite.rewrite import name_as, pack
from edge.contract.manifest import VariantName
from tests.helpers.converted import SIZE, make, pictures

pytestmark = [pytest.mark.convert, pytest.mark.timeout(180)]

ROOT = Path(__file__).resolve().parents[3]
ENDS = {"int8": "int8", "int16x8": "int16"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every variant of one network."""
    return make(tmp_path_factory.mktemp("made"), "variants", hash_seed=1)


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What could be made of networks that TensorFlow cannot convert to everything."""
    return make(tmp_path_factory.mktemp("refused"), "refused")


def _recipe(ends: str = "integer") -> Recipe:
    recipe = load_recipe(ROOT / "models" / "mask_classifier" / "recipe.toml").recipe
    return recipe.model_copy(
        update={
            "input": recipe.input.model_copy(update={"size": (SIZE, SIZE)}),
            "outputs": {"scores": "class_scores"},
            "quantize": Quantize.model_validate({"input_output": ends}),
        }
    )


def _file(folder: Path, name: str) -> ModelFile:
    variant: VariantName = name.split(".")[0]  # type: ignore[assignment]  # the helper names them so
    return read_back((folder / f"network.{name}.tflite").read_bytes(), variant)


def _layer(folder: Path, part: str) -> str:
    operators = read_operators((folder / "network.float32.tflite").read_bytes())
    return next(o.outputs[0] for o in operators if part in o.outputs[0])


@pytest.mark.parametrize("variant", ["float32", "float16", "dynamic"])
def test_float_variants_pass(made: Path, variant: str) -> None:
    """Float at both ends, and the weights stored as the variant's name says."""
    file = _file(made, variant)
    verify(file, _recipe())
    assert {spec.dtype for spec in (file.inputs | file.outputs).values()} == {"float32"}


@pytest.mark.parametrize("variant", ["int8", "int16x8"])
@pytest.mark.parametrize("ends", ["integer", "float32"])
def test_integer_variants_pass(made: Path, variant: str, ends: str) -> None:
    """Integers inside, and at the ends what the recipe asks for; the other ends are refused."""
    file = _file(made, f"{variant}.{ends}")
    verify(file, _recipe(ends))
    expected = ENDS[variant] if ends == "integer" else "float32"
    assert {spec.dtype for spec in (file.inputs | file.outputs).values()} == {expected}
    other = "float32" if ends == "integer" else "integer"
    with pytest.raises(
        ConversionError, match=f"variant {variant}: tensor image is {expected}, not"
    ):
        verify(file, _recipe(other))


@pytest.mark.parametrize(
    ("asked", "given", "message"),
    [
        ("int8", "float32", "still in float: 2 × CONV_2D"),
        ("int8", "int16x8.float32", "activations are INT16, not INT8: 2 × CONV_2D"),
        ("int16x8", "int8.float32", "activations are INT8, not INT16: 2 × CONV_2D"),
        ("int8", "dynamic", "still in float"),
        ("float16", "float32", "weights of CONV_2D are FLOAT32, not FLOAT16"),
        ("float32", "float16", "weights of CONV_2D are FLOAT16, not FLOAT32"),
        ("dynamic", "float32", "weights of CONV_2D are FLOAT32, not INT8"),
        ("float32", "dynamic", "weights of CONV_2D are INT8, not FLOAT32"),
    ],
)
def test_one_variant_is_not_another(made: Path, asked: str, given: str, message: str) -> None:
    """A file under another variant's name is refused by what is inside, though the ends agree."""
    file = replace(_file(made, given), variant=asked)  # type: ignore[arg-type]  # any of the five
    with pytest.raises(ConversionError, match=message):
        verify(file, _recipe("float32"))


def test_one_scale_for_all_channels_is_refused(made: Path) -> None:
    """A convolution whose weights share one scale is not what the converter makes."""
    file = _file(made, "int8.integer")
    model = parse(file.content)
    graph = model.subgraphs[0]
    weights = graph.tensors[int(graph.operators[0].inputs[1])].quantization
    weights.scale, weights.zeroPoint = weights.scale[:1], weights.zeroPoint[:1]
    operators = [o.weight_scales for o in read_operators(pack(model))]
    assert operators[:4] == [1, 8, 32, 8]
    with pytest.raises(ConversionError, match="CONV_2D has 1 scales for 8 channels"):
        verify(replace(file, content=pack(model)), _recipe())


@pytest.mark.parametrize("ends", ["integer", "float32"])
def test_chosen_layer_stays_in_float(made: Path, ends: str) -> None:
    """Only the layer that was asked for works in float; a file with another one is refused."""
    file = _file(made, f"int8.{ends}.wide")
    wide, deep = _layer(made, "wide"), _layer(made, "deep")
    verify(file, _recipe(ends), (wide,))
    with pytest.raises(ConversionError, match=r"still in float: 1 × CONV_2D \(\S*wide"):
        verify(file, _recipe(ends))
    with pytest.raises(ConversionError, match=r"not left in float: 1 × DEPTHWISE_CONV_2D"):
        verify(file, _recipe(ends), (wide, deep))


@pytest.mark.parametrize("ends", ["integer", "float32"])
def test_output_of_a_float_layer_is_float(made: Path, ends: str) -> None:
    """An output whose operator stays in float is given out in float32, without a scale."""
    file = _file(made, f"int8.{ends}.last")
    last = read_operators((made / "network.float32.tflite").read_bytes())[-1].outputs[0]
    verify(file, _recipe(ends), (last,))
    assert file.outputs["scores"].dtype == "float32"
    assert file.inputs["image"].dtype == ("int8" if ends == "integer" else "float32")
    end = read_operators(file.content)[-1]
    assert (end.name, end.types, end.outputs) == ("SOFTMAX", ("FLOAT32", "FLOAT32"), (last,))
    plain = _file(made, f"int8.{ends}.wide")
    if ends == "integer":
        assert plain.outputs["scores"].dtype == "int8"


@pytest.mark.parametrize("ends", ["integer", "float32"])
def test_transposed_convolution_stays_in_float(made: Path, ends: str) -> None:
    """TensorFlow knows transposed convolutions by kind only; asked for one, it is in float."""
    file = _file(made, f"int8.{ends}.up")
    verify(file, _recipe(ends), (_layer(made, "up"),))
    (up,) = left_in_float(read_operators(file.content), (_layer(made, "up"),))
    assert (up.name, up.floats) == ("TRANSPOSE_CONV", ("FLOAT32",))


def test_names_are_those_of_the_float_file(made: Path) -> None:
    """Layers of every int8 file, mended or not, are called what the float32 file calls them."""
    floats = read_operators((made / "network.float32.tflite").read_bytes())
    names = [operator.outputs for operator in floats]
    for kept in ("", ".wide", ".last", ".up"):
        operators = read_operators(_file(made, f"int8.integer{kept}").content)
        assert [o.outputs for o in operators if not o.name.endswith("QUANTIZE")] == names
    other = (made / "network.int8.integer.tflite").read_bytes()
    assert name_as(other, names[:-1]) == other


def test_impossible_jobs_are_refused(made: Path) -> None:
    """Layers that are not there, all layers, int16x8 in part, unfit calibration: each its line."""
    refused = json.loads((made / "refused.json").read_text())
    expected = {
        "network.int8.nothing": "nothing is left in integers",
        "network.int8.unknown": "no operator gives nowhere",
        "network.int16x8.wide": "cannot leave single layers of it in float",
        "network.nan": "calibration tensor 3 holds a number that is not finite",
        "network.flat": r"float32 of shape (32, 32, 3), not",
        "network.none": r"float32 of shape (0, 32, 32, 3), not",
        "network.missing": "missing.npy: [Errno 2] No such file",
    }
    assert set(refused) == set(expected)
    for name, message in expected.items():
        assert message in refused[name]
        assert "\n" not in refused[name]


def test_same_job_gives_the_same_bytes(made: Path, tmp_path: Path) -> None:
    """Two fresh processes with other hash seeds make byte-identical files, all variants."""
    again = make(tmp_path, "variants", hash_seed=2)
    files = sorted(path.name for path in made.glob("*.tflite"))
    assert len(files) == 13
    assert [n for n in files if (made / n).read_bytes() != (again / n).read_bytes()] == []


def test_unknown_operators_are_named(refused: Path) -> None:
    """Operators that TensorFlow Lite lacks: each kind once, how many, and in which layers."""
    messages = json.loads((refused / "refused.json").read_text())
    for variant in ("float32", "int8", "int16x8"):
        message = messages[f"unknown.{variant}"]
        assert "\n" not in message
        assert f"variant {variant}: TensorFlow " in message
        for part in ("2 × Erfinv (", "/odd_a", "/odd_b", "1 × Igamma (", "/odd_c"):
            assert message.count(part) == 1
        assert message.index("Erfinv") < message.index("Igamma")


def test_operators_without_integers_are_named(refused: Path) -> None:
    """What int16x8 has no kernel for is refused with its layers; int8 makes the same network."""
    messages = json.loads((refused / "refused.json").read_text())
    assert "elu.int8" not in messages
    message = messages["elu.int16x8"]
    assert "cannot quantize to it 2 × ELU (" in message
    assert "elu_a" in message
    assert "elu_b" in message
    assert message.endswith("(leave int16x8 out of [variants] of the recipe)")


def test_float_operator_in_int8_is_found(refused: Path) -> None:
    """Where TensorFlow leaves an operator in float without a word, reading back finds it."""
    file = read_back((refused / "sum.int8.tflite").read_bytes(), "int8")
    with pytest.raises(ConversionError, match=r"still in float: 1 × CUMSUM \(\S*sum_a"):
        verify(file, _recipe())
    found = [o for o in read_operators(file.content) if o.floats and o.name != "DEQUANTIZE"]
    verify(file, _recipe(), [o.outputs[0] for o in found if o.name != "QUANTIZE"])


def test_elu_is_looked_up_in_int8(refused: Path) -> None:
    """TensorFlow leaves ELU in float and what is around it; ours is int8 and hardly errs."""
    file = read_back((refused / "elu.int8.tflite").read_bytes(), "int8")
    verify(file, _recipe())
    floats = (refused / "elu.float32.tflite").read_bytes()
    layers = compare_layers(floats, file.content, pictures(seed=9, count=4))
    assert [layer.operator for layer in layers].count("ELU") == 2
    assert min(layer.snr_db for layer in layers) > 20
    assert all(layer.quantized for layer in layers)


def test_elu_that_was_chosen_stays_in_float(refused: Path) -> None:
    """Asked to leave one ELU in float, it is, and the other is not; both give what they gave."""
    file = read_back((refused / "elu.first.tflite").read_bytes(), "int8")
    first, second = (o for o in read_operators(file.content) if o.name == "ELU")
    assert (first.floats, second.floats) == (("FLOAT32",), ())
    verify(file, _recipe(), first.outputs)
    with pytest.raises(ConversionError, match=r"still in float: 1 × ELU \(\S*elu_a"):
        verify(file, _recipe())
    floats = (refused / "elu.float32.tflite").read_bytes()
    mended, plain = (
        compare_layers(floats, (refused / f"elu.{name}.tflite").read_bytes(), pictures(9, 4))
        for name in ("first", "int8")
    )
    assert [layer.name for layer in mended] == [layer.name for layer in plain]
    assert mended[1].snr_db >= plain[1].snr_db


def test_elu_behind_a_float_layer_is_int8(refused: Path) -> None:
    """A convolution that is left in float takes neither its ELU nor the pool behind it along."""
    file = read_back((refused / "elu.conv.tflite").read_bytes(), "int8")
    operators = read_operators(file.content)
    floats = [o for o in operators if o.floats and not o.name.endswith("QUANTIZE")]
    assert [operator.name for operator in floats] == ["CONV_2D"]
    verify(file, _recipe(), floats[0].outputs)
