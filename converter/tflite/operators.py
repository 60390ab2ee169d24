"""What stands in a model file: its operators and tensors."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from converter.tflite.errors import ConversionError

_IDENTIFIER = b"TFL3"
_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED")
BETWEEN = ("QUANTIZE", "DEQUANTIZE")
"""Operators that only lead from one type to another."""

BY_KIND = ("TRANSPOSE_CONV",)
"""Operators that TensorFlow's quantizer leaves in float all or none."""
_FLOATS = frozenset({"FLOAT32", "FLOAT16"})


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator of a model file.

    Parameters
    ----------
    name
        As TensorFlow Lite calls it: ``CONV_2D``; an operator that is none of its own has the name
        that it is registered by.
    types
        Of the tensors that flow in and out; weights are not among them.
    weight_type, weights, weight_scales
        Type and number of its weights, and how many quantization scales they have; empty and 0
        when it has none.
    channels
        Output channels of an operator with weights, else 0.
    inputs, outputs
        Names of the tensors that flow in and out.
    activation
        Fused into the operator: ``RELU6``; empty when there is none.
    macs
        Multiply-accumulates of one run; 0 for an operator without weights.
    parameters
        Numbers that the file stores for it: weights and bias.
    subgraph
        Index of the graph that it stands in; the main graph is 0.
    """

    name: str
    types: tuple[str, ...]
    weight_type: str = ""
    weights: int = 0
    weight_scales: int = 0
    channels: int = 0
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    activation: str = ""
    macs: int = 0
    parameters: int = 0
    subgraph: int = 0

    @property
    def floats(self) -> tuple[str, ...]:
        """The float types that it works in, sorted; none where it works in integers only."""
        return tuple(sorted(_FLOATS & {*self.types, self.weight_type}))


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of a model file.

    Parameters
    ----------
    name
        Empty for what an operator leaves out.
    shape
        As stored; a side that is not known beforehand is -1.
    type
        As TensorFlow Lite calls it: ``INT8``.
    scales, zero_points
        Of its quantization; more than one where it is per channel, none in float.
    axis
        That the scales run along; 0 where there is at most one.
    stored
        Bytes that the file holds of it: 0 for a tensor that is computed.
    index, subgraph
        Where it stands.
    """

    name: str
    shape: tuple[int, ...]
    type: str
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int
    stored: int
    index: int
    subgraph: int


def read_operators(content: bytes) -> list[Operator]:
    """The operators of a model file, in the order they run.

    Raises
    ------
    ConversionError
        The bytes are no model file.
    """
    model = parse(content)
    with _reading():
        return [
            operator
            for index, graph in enumerate(model.subgraphs)
            for operator in _operators(model, graph, index)
        ]


def read_tensors(content: bytes) -> list[Tensor]:
    """The tensors of a model file, in the order in which they stand.

    Raises
    ------
    ConversionError
        The bytes are no model file.
    """
    model = parse(content)
    with _reading():
        return [
            _tensor(model, tensor, index, subgraph)
            for subgraph, graph in enumerate(model.subgraphs)
            for index, tensor in enumerate(graph.tensors)
        ]


def left_in_float(operators: Iterable[Operator], float_layers: Iterable[str]) -> list[Operator]:
    """The operators that stay in float when these layers are to.

    They are those that give the named tensors; with one transposed convolution, all of them:
    TensorFlow's quantizer knows them by their kind only.
    """
    inner = [operator for operator in operators if operator.name not in BETWEEN]
    chosen = [operator for operator in inner if set(operator.outputs) & set(float_layers)]
    kinds = {operator.name for operator in chosen} & set(BY_KIND)
    return [operator for operator in inner if operator in chosen or operator.name in kinds]


def parse(content: bytes) -> Any:
    """The file as objects of TensorFlow Lite's schema.

    Raises
    ------
    ConversionError
        The bytes are no model file.
    """
    if content[4:8] != _IDENTIFIER:
        raise ConversionError("these bytes are no TensorFlow Lite model")
    with _reading():
        return schema.ModelT.InitFromPackedBuf(content, 0)


@contextmanager
def _reading() -> Iterator[None]:
    """Damage shows as whatever an index or length that points nowhere happens to raise."""
    try:
        yield
    except (
        struct.error,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
        OverflowError,
    ) as error:
        if isinstance(error, ConversionError):
            raise
        raise ConversionError(
            "the TensorFlow Lite model is damaged or truncated", hint="copy it again"
        ) from error


def _operators(model: Any, graph: Any, subgraph: int) -> list[Operator]:
    types, tensors = _names(schema.TensorType), graph.tensors
    # float16 weights pass through a DEQUANTIZE; what counts is what is stored.
    stored = {i: t for i, t in enumerate(tensors) if _stored(model, t)}
    found = []
    for operator in graph.operators or ():
        name = _name(model.operatorCodes[operator.opcodeIndex])
        given = [int(i) for i in operator.inputs]
        inputs = [i for i in given if i >= 0]
        outputs = [int(i) for i in operator.outputs]
        if name == "DEQUANTIZE" and inputs[0] in stored:
            stored[outputs[0]] = stored[inputs[0]]
            continue
        constants = [stored[i] for i in inputs if i in stored]
        weight = stored.get(given[1]) if name in _WEIGHTED else None
        flowing_in = [i for i in inputs if i not in stored]
        found.append(
            Operator(
                name,
                tuple(types[tensors[i].type] for i in (*flowing_in, *outputs)),
                *_weight(name, weight),
                inputs=tuple(_text(tensors[i].name) for i in flowing_in),
                outputs=tuple(_text(tensors[i].name) for i in outputs),
                activation=_activation(operator),
                macs=_macs(name, weight, tensors, given, outputs),
                parameters=sum(_count(t) for t in constants if _is_parameter(t, name, types)),
                subgraph=subgraph,
            )
        )
    return found


def _tensor(model: Any, tensor: Any, index: int, subgraph: int) -> Tensor:
    quantization = tensor.quantization
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    axis = 0
    if quantization is not None and quantization.scale is not None:
        scales = tuple(float(scale) for scale in quantization.scale)
        points = quantization.zeroPoint
        zero_points = () if points is None else tuple(int(point) for point in points)
        axis = int(quantization.quantizedDimension)
    return Tensor(
        name=_text(tensor.name),
        shape=_shape(tensor),
        type=_names(schema.TensorType)[tensor.type],
        scales=scales,
        zero_points=zero_points,
        axis=axis,
        stored=_stored(model, tensor),
        index=index,
        subgraph=subgraph,
    )


@cache
def _names(enumeration: Any) -> dict[int, str]:
    return {value: name for name, value in vars(enumeration).items() if name.isupper()}


def _name(code: Any) -> str:
    if code.customCode:
        return _text(code.customCode)
    return _names(schema.BuiltinOperator)[max(code.builtinCode, code.deprecatedBuiltinCode)]


def _text(name: bytes | None) -> str:
    return (name or b"").decode(errors="replace")


def _shape(tensor: Any) -> tuple[int, ...]:
    signature = tensor.shapeSignature
    shape = tensor.shape if signature is None or not len(signature) else signature
    return () if shape is None else tuple(int(side) for side in shape)


def _count(tensor: Any) -> int:
    return math.prod(() if tensor.shape is None else (int(side) for side in tensor.shape))


def _stored(model: Any, tensor: Any) -> int:
    data = model.buffers[tensor.buffer].data
    return 0 if data is None else len(data)


def _activation(operator: Any) -> str:
    fused = getattr(operator.builtinOptions, "fusedActivationFunction", 0)
    return _names(schema.ActivationFunctionType)[fused] if fused else ""


def _weight(operator: str, tensor: Any) -> tuple[str, int, int, int]:
    """Type, number, scales and output channels of an operator's weights."""
    if tensor is None:
        return "", 0, 0, 0
    scale = tensor.quantization.scale if tensor.quantization is not None else None
    channels = tensor.shape[3 if operator == "DEPTHWISE_CONV_2D" else 0]
    scales = 0 if scale is None else len(scale)
    return _names(schema.TensorType)[tensor.type], _count(tensor), scales, int(channels)


def _macs(
    operator: str, weight: Any, tensors: list[Any], inputs: list[int], outputs: list[int]
) -> int:
    """Each number of the output takes the weights of its channel once."""
    if weight is None:
        return 0
    if operator == "TRANSPOSE_CONV":  # each number of the input meets all weights of its channel
        return _count(tensors[inputs[2]]) * _count(weight) // int(weight.shape[3])
    channels = int(weight.shape[3 if operator == "DEPTHWISE_CONV_2D" else 0])
    return _count(tensors[outputs[0]]) * _count(weight) // channels


def _is_parameter(tensor: Any, operator: str, types: dict[int, str]) -> bool:
    """Shapes, axes and paddings are integers without a scale, and no parameters."""
    scaled = tensor.quantization is not None and tensor.quantization.scale is not None
    return scaled or types[tensor.type] in _FLOATS
