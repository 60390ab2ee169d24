"""From a SavedModel to the model files of a bundle, and what is really in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from converter.quiet import quiet
from converter.recipe import Recipe, VariantName
from edge.contract.errors import ModelError
from edge.contract.manifest import TensorSpec

Tensors = Callable[[], Iterator[npt.NDArray[np.float32]]]
"""Gives the representative data set anew at each call: (1, height, width, channels) float32."""

_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED")
_FLOATS = frozenset({"FLOAT32", "FLOAT16"})
_WEIGHT_TYPES = {"float32": ("FLOAT32",), "float16": ("FLOAT16",), "dynamic": ("INT8",)}
_SMALL = 1024  # dynamic-range quantization leaves fewer weights than this in float


class ConversionError(ModelError):
    """TensorFlow cannot make a variant, or the file it made is not what was asked for."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One variant's bytes, with the tensors that the interpreter finds in them."""

    variant: VariantName
    content: bytes
    inputs: dict[str, TensorSpec]
    outputs: dict[str, TensorSpec]


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator of a model file.

    Parameters
    ----------
    name
        As TensorFlow Lite calls it: ``CONV_2D``.
    types
        Of the tensors that flow in and out; weights are not among them.
    weight_type, weights, weight_scales
        Type and number of its weights, and how many quantization scales they have; empty and 0
        when it has none.
    channels
        Output channels of an operator with weights, else 0.
    """

    name: str
    types: tuple[str, ...]
    weight_type: str = ""
    weights: int = 0
    weight_scales: int = 0
    channels: int = 0


def convert(saved_model: Path, variant: VariantName, recipe: Recipe, tensors: Tensors) -> ModelFile:
    """Make one variant and verify it.

    Parameters
    ----------
    saved_model
        The folder that :func:`converter.keras_model.export` wrote.
    variant
        Which one.
    recipe
        Whose names and shapes the file must have.
    tensors
        The representative data set; only ``int8`` takes it.

    Raises
    ------
    ConversionError
        TensorFlow refuses; or the file's signature has not the recipe's names and shapes; or the
        file is not of the kind that was asked for.
    """
    import tensorflow as tf  # here, because reading a file back does not need it

    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model))
    if variant != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if variant == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if variant == "int8":
        name = recipe.input.name
        converter.representative_dataset = lambda: ({name: tensor} for tensor in tensors())
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.int8
        converter.inference_output_type = tf.int8
    try:
        with quiet():
            content = bytes(converter.convert())
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConversionError(
            f"variant {variant}: TensorFlow {tf.__version__} cannot make it: {reason}",
            hint="leave it out of [variants] of the recipe",
        ) from error
    file = read_back(content, variant)
    verify(file, recipe)
    return file


def read_back(content: bytes, variant: VariantName) -> ModelFile:
    """Ask the interpreter what a model file's signature takes and gives."""
    runner = Interpreter(model_content=content).get_signature_runner()
    return ModelFile(
        variant,
        content,
        {name: _spec(found) for name, found in runner.get_input_details().items()},
        {name: _spec(found) for name, found in sorted(runner.get_output_details().items())},
    )


def verify(file: ModelFile, recipe: Recipe) -> None:
    """The file has the recipe's names, and asked for int8, is int8.

    Raises
    ------
    ConversionError
        It is not; the message names the first tensor or operator that differs.
    """
    what = f"variant {file.variant}"
    if set(file.inputs) != {recipe.input.name} or set(file.outputs) != set(recipe.outputs):
        raise ConversionError(
            f"{what}: the file's signature is {sorted(file.inputs)} → {sorted(file.outputs)}, "
            f"the recipe's {[recipe.input.name]} → {sorted(recipe.outputs)}"
        )
    if file.inputs[recipe.input.name].shape != recipe.input_spec.shape:
        raise ConversionError(f"{what}: the file's input is {file.inputs[recipe.input.name].shape}")
    dtype = "int8" if file.variant == "int8" else "float32"
    for name, spec in (file.inputs | file.outputs).items():
        if spec.dtype != dtype:
            raise ConversionError(f"{what}: tensor {name} is {spec.dtype}, not {dtype}")
    if file.variant == "int8":
        return _verify_int8(file.content)
    for operator in read_operators(file.content):
        allowed = _WEIGHT_TYPES[file.variant]
        if operator.weights > _SMALL and operator.weight_type not in allowed:
            raise ConversionError(
                f"{what}: the weights of {operator.name} are {operator.weight_type}, "
                f"not {' or '.join(allowed)}"
            )
    return None


def _verify_int8(content: bytes) -> None:
    """No operator works in float, and every convolution has one scale for each channel."""
    for operator in read_operators(content):
        if floats := sorted(_FLOATS & {*operator.types, operator.weight_type}):
            raise ConversionError(
                f"variant int8: operator {operator.name} still works in {floats[0]}",
                hint="replace it in the network by one that TensorFlow Lite quantizes",
            )
        convolution = operator.name in ("CONV_2D", "DEPTHWISE_CONV_2D")
        if convolution and operator.weight_scales != operator.channels:
            raise ConversionError(
                f"variant int8: {operator.name} has {operator.weight_scales} scales "
                f"for {operator.channels} channels"
            )


def read_operators(content: bytes) -> list[Operator]:
    """The operators of a model file, in the order they run."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    types = {value: name for name, value in vars(schema.TensorType).items() if name.isupper()}
    codes = {value: name for name, value in vars(schema.BuiltinOperator).items() if name.isupper()}
    found = []
    for graph in model.subgraphs:
        constants = {i for i, t in enumerate(graph.tensors) if _has_data(model, t)}
        # float16 weights pass through a DEQUANTIZE; what counts is what is stored.
        stored: dict[int, Any] = {i: graph.tensors[i] for i in constants}
        for operator in graph.operators:
            code = model.operatorCodes[operator.opcodeIndex]
            name = codes[max(code.builtinCode, code.deprecatedBuiltinCode)]
            inputs = [int(i) for i in operator.inputs if i >= 0]
            outputs = [int(i) for i in operator.outputs]
            if name == "DEQUANTIZE" and inputs[0] in stored:
                stored[outputs[0]] = stored[inputs[0]]
                continue
            weight = stored.get(inputs[1]) if name in _WEIGHTED and len(inputs) > 1 else None
            flowing = [graph.tensors[i] for i in (*inputs, *outputs) if i not in stored]
            found.append(
                Operator(
                    name,
                    tuple(types[t.type] for t in flowing),
                    *_weight(name, weight, types),
                )
            )
    return found


def _has_data(model: Any, tensor: Any) -> bool:
    data = model.buffers[tensor.buffer].data
    return data is not None and len(data) > 0


def _weight(operator: str, tensor: Any, types: dict[int, str]) -> tuple[str, int, int, int]:
    """Type, number, scales and output channels of an operator's weights."""
    if tensor is None:
        return "", 0, 0, 0
    scale = tensor.quantization.scale if tensor.quantization is not None else None
    channels = tensor.shape[3 if operator == "DEPTHWISE_CONV_2D" else 0]
    scales = 0 if scale is None else len(scale)
    return types[tensor.type], int(np.prod(tensor.shape)), scales, int(channels)


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
