"""What a model file holds is read back from its bytes, and asked for int8, it is int8."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from converter.recipe import Recipe, VariantName, load_recipe
from converter.tflite import ConversionError, ModelFile, read_back, read_operators, verify
from edge.contract.bundle import load_bundle
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
    with pytest.raises(ConversionError, match=r"operator \w+ still works in FLOAT32"):
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
