"""What a model file holds is read back from its bytes, and asked for int8, it is int8."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from converter.recipe import Recipe, load_recipe
from converter.tflite import (
    ConversionError,
    ModelFile,
    read_back,
    read_operators,
    read_tensors,
    verify,
)
from edge.contract.bundle import load_bundle
from edge.contract.manifest import VariantName
from tests.helpers.bundles import TINT_CLASSIFIER

ROOT = Path(__file__).resolve().parents[3]


def _recipe() -> Recipe:
    recipe = load_recipe(ROOT / "models" / "mask_classifier" / "recipe.toml").recipe
    small = recipe.input.model_copy(update={"size": (32, 32)})
    return recipe.model_copy(update={"input": small, "outputs": {"scores": "class_scores"}})


def _file(variant: VariantName) -> ModelFile:
    return read_back((TINT_CLASSIFIER / f"model.{variant}.tflite").read_bytes(), variant)


@pytest.mark.parametrize("variant", ["float32", "int8"])
def test_tensors_are_those_of_the_manifest(variant: VariantName) -> None:
    """Names, shapes, types, scales and zero points are what the device's manifest promises."""
    facts = load_bundle(TINT_CLASSIFIER).variant(variant)
    file = _file(variant)
    assert (file.inputs, file.outputs) == (facts.inputs, facts.outputs)


@pytest.mark.parametrize("variant", ["float32", "int8"])
def test_right_file_passes(variant: VariantName) -> None:
    """A file of the kind that was asked for passes."""
    verify(_file(variant), _recipe())


def test_float_file_is_not_int8() -> None:
    """A float file under the name int8 is refused, and the tensor is named."""
    with pytest.raises(ConversionError, match="variant int8: tensor image is float32, not int8"):
        verify(replace(_file("float32"), variant="int8"), _recipe())


def test_int8_file_is_not_float() -> None:
    """An int8 file under the name float32 is refused."""
    with pytest.raises(ConversionError, match="tensor image is int8, not float32"):
        verify(replace(_file("int8"), variant="float32"), _recipe())


def test_float_inside_of_int8_is_found() -> None:
    """int8 at the ends does not hide an operator that works in float."""
    ends = _file("int8")
    file = replace(_file("float32"), variant="int8", inputs=ends.inputs, outputs=ends.outputs)
    with pytest.raises(ConversionError, match=r"still in float: 1 × MEAN \(\w+\), 1 × FULLY_CONN"):
        verify(file, _recipe())


def test_other_names_are_refused() -> None:
    """A signature with other names than the recipe's is refused, both are shown."""
    recipe = _recipe().model_copy(update={"outputs": {"probability": "class_scores"}})
    with pytest.raises(ConversionError, match=r"\['scores'\], the recipe's .*\['probability'\]"):
        verify(_file("float32"), recipe)


def test_operators_are_listed_in_order() -> None:
    """The operators of the file, with types: the last one is the softmax."""
    for variant, kind in (("float32", "FLOAT32"), ("int8", "INT8")):
        operators = read_operators((TINT_CLASSIFIER / f"model.{variant}.tflite").read_bytes())
        assert operators[-1].name == "SOFTMAX"
        assert set(operators[-1].types) == {kind}
        (dense,) = [operator for operator in operators if operator.channels]
        assert (dense.weight_type, dense.weights, dense.channels) == (kind, 6, 2)
        assert (dense.macs, dense.parameters, dense.subgraph) == (6, 6, 0)
        for before, after in pairwise(operators):
            assert before.outputs == after.inputs


def test_tensors_carry_their_quantization() -> None:
    """Every tensor has a shape and a type; of int8 also one scale, of its weights one a channel."""
    tensors = read_tensors((TINT_CLASSIFIER / "model.int8.tflite").read_bytes())
    (image,) = [tensor for tensor in tensors if tensor.shape == (-1, 32, 32, 3)]
    spec = _file("int8").inputs["image"]
    assert spec.scale is not None
    assert (image.type, image.scales, image.zero_points) == (
        "INT8",
        (spec.scale,),
        (spec.zero_point,),
    )
    assert image.stored == 0
    (weights,) = [tensor for tensor in tensors if tensor.shape == (2, 3)]
    assert (weights.type, len(weights.scales), weights.axis, weights.stored) == ("INT8", 2, 0, 6)


@pytest.mark.parametrize(
    "content", [b"", b"junk" * 9, b"\0\0\0\0TFL3", b"\xff" * 4 + b"TFL3" + b"\1" * 99]
)
def test_what_is_no_model_file_is_refused(content: bytes) -> None:
    """Empty, foreign, truncated and damaged bytes are one line, not a crash."""
    with pytest.raises(ConversionError, match=r"no TensorFlow Lite model|damaged or truncated"):
        read_operators(content)


def test_damage_is_refused_or_harmless() -> None:
    """Bytes that are overwritten or cut off anywhere end in nothing but a ConversionError."""
    whole = (TINT_CLASSIFIER / "model.int8.tflite").read_bytes()
    random = np.random.default_rng(4)
    refused = 0
    for _ in range(200):
        place = int(random.integers(8, len(whole)))
        damaged = whole[:place] + random.bytes(8) + whole[place + 8 :]
        for content in (damaged, whole[:place]):
            try:
                read_operators(content)
                read_tensors(content)
            except ConversionError:
                refused += 1
    assert refused > 100


def test_reading_back_needs_no_tensorflow() -> None:
    """The package is imported without TensorFlow and Keras, in the process that holds no model."""
    code = "import converter.tflite, sys; print({'tensorflow', 'keras'} & set(sys.modules))"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "set()"
