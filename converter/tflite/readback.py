"""What the interpreter finds in a finished model file, and whether it is what was asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from converter.recipe import Recipe
from converter.tflite.errors import ConversionError, list_operators
from converter.tflite.operators import BETWEEN, Operator, left_in_float, read_operators
from edge.contract.manifest import TensorSpec, VariantName

_ENDS = {"int8": "int8", "int16x8": "int16"}
_ACTIVATIONS = {"int8": "INT8", "int16x8": "INT16"}
_WEIGHT_TYPES = {"float32": "FLOAT32", "float16": "FLOAT16", "dynamic": "INT8"}
_SMALL = 1024  # dynamic-range quantization leaves fewer weights than this in float
# Where both ends have one scale these lose nothing, and TensorFlow may keep them in integers.
_MOVING = ("MAX_POOL_2D", "RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE", "PAD", "PADV2")
_PER_CHANNEL = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One variant's bytes, with the tensors that the interpreter finds in them."""

    variant: VariantName
    content: bytes
    inputs: dict[str, TensorSpec]
    outputs: dict[str, TensorSpec]


def read_back(content: bytes, variant: VariantName) -> ModelFile:
    """Ask the interpreter what a model file's signature takes and gives."""
    runner = Interpreter(model_content=content).get_signature_runner()
    return ModelFile(
        variant,
        content,
        {name: _spec(found) for name, found in runner.get_input_details().items()},
        {name: _spec(found) for name, found in sorted(runner.get_output_details().items())},
    )


def verify(file: ModelFile, recipe: Recipe, float_layers: Sequence[str] = ()) -> None:
    """The file has the recipe's names, and asked for int8, is int8.

    Parameters
    ----------
    file
        What was made.
    recipe
        Whose names, shape and ends it must have.
    float_layers
        Names of tensors whose operators were asked to stay in float.

    Raises
    ------
    ConversionError
        It is not; the message names the tensors or operators that differ.
    """
    what = f"variant {file.variant}"
    if set(file.inputs) != {recipe.input.name} or set(file.outputs) != set(recipe.outputs):
        raise ConversionError(
            f"{what}: the file's signature is {sorted(file.inputs)} → {sorted(file.outputs)}, "
            f"the recipe's {[recipe.input.name]} → {sorted(recipe.outputs)}"
        )
    if file.inputs[recipe.input.name].shape != recipe.input_spec.shape:
        raise ConversionError(f"{what}: the file's input is {file.inputs[recipe.input.name].shape}")
    integer = file.variant in _ENDS and recipe.quantize.input_output == "integer"
    _verify_ends(file, _ENDS[file.variant] if integer else "float32", float_layers)
    operators = read_operators(file.content)
    if file.variant in _ENDS:
        _verify_integers(what, operators, _ACTIVATIONS[file.variant], float_layers)
    else:
        _verify_weights(what, operators, _WEIGHT_TYPES[file.variant])


def _verify_ends(file: ModelFile, dtype: str, float_layers: Sequence[str]) -> None:
    """Every end is of one type, but for the outputs of operators that stay in float."""
    runner = Interpreter(model_content=file.content).get_signature_runner()
    tensors = {name: found["name"] for name, found in runner.get_output_details().items()}
    for name, spec in (file.inputs | file.outputs).items():
        expected = "float32" if tensors.get(name) in float_layers else dtype
        if spec.dtype != expected:
            raise ConversionError(
                f"variant {file.variant}: tensor {name} is {spec.dtype}, not {expected}"
            )


def _verify_weights(what: str, operators: list[Operator], kind: str) -> None:
    for operator in operators:
        if operator.weights > _SMALL and operator.weight_type != kind:
            raise ConversionError(
                f"{what}: the weights of {operator.name} are {operator.weight_type}, not {kind}"
            )


def _verify_integers(
    what: str, operators: list[Operator], kind: str, float_layers: Sequence[str]
) -> None:
    """Nothing but the chosen layers works in float; int8 weights, one scale for each channel."""
    chosen = left_in_float(operators, float_layers)
    named = [o for o in chosen if set(o.outputs) & set(float_layers) and o.name not in _MOVING]
    if quantized := _places(operator for operator in named if not operator.floats):
        raise ConversionError(f"{what}: not left in float: {quantized}")
    integers = [
        operator
        for operator in operators
        if operator.name not in BETWEEN and operator not in chosen
    ]
    if floats := _places(operator for operator in integers if operator.floats):
        raise ConversionError(
            f"{what}: still in float: {floats}",
            hint="replace them in the network by operators that TensorFlow Lite quantizes",
        )
    other = "INT16" if kind == "INT8" else "INT8"
    if wrong := _places(operator for operator in integers if other in operator.types):
        raise ConversionError(f"{what}: activations are {other}, not {kind}: {wrong}")
    weighted = [operator for operator in integers if operator.weights]
    if wrong := _places(operator for operator in weighted if operator.weight_type != "INT8"):
        raise ConversionError(f"{what}: weights are not INT8: {wrong}")
    for operator in weighted:
        if operator.name in _PER_CHANNEL and operator.weight_scales != operator.channels:
            raise ConversionError(
                f"{what}: {operator.name} has {operator.weight_scales} scales "
                f"for {operator.channels} channels"
            )


def _places(operators: Iterable[Operator]) -> str:
    return list_operators((operator.name, operator.outputs[0]) for operator in operators)


def _spec(details: dict[str, Any]) -> TensorSpec:
    """Interpreter details as the manifest has them; per-tensor quantization only, as I/O has it."""
    scale, zero_point = details["quantization"]
    dtype = np.dtype(details["dtype"]).name
    return TensorSpec(
        dtype=dtype,
        shape=tuple(int(n) for n in details["shape"]),
        scale=None if dtype == "float32" else float(scale),
        zero_point=None if dtype == "float32" else int(zero_point),
    )
