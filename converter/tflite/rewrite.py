"""Mends in a finished model file what TensorFlow's quantizer offers no option for."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence
from typing import Any

import flatbuffers  # type: ignore[import-untyped]  # has no stubs; comes with ai-edge-litert
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from converter.tflite.operators import parse

_QUANTIZE = schema.BuiltinOperator.QUANTIZE
_BETWEEN = (_QUANTIZE, schema.BuiltinOperator.DEQUANTIZE)
_ELU = schema.BuiltinOperator.ELU
_CONCATENATION = schema.BuiltinOperator.CONCATENATION

_NARROW = 2.0
"""A tensor with a range this many times narrower than its join's is worth a scale of its own."""


def free_float_outputs(content: bytes) -> bytes:
    """Give out in float what an operator in float has made.

    The quantizer ends an integer model in integers, also behind operators that stay in float: it
    puts a ``QUANTIZE`` there, and with it the one scale that the operators were to be kept from.
    """
    model = parse(content)
    graph = model.subgraphs[0]
    for output in [int(i) for i in graph.outputs]:
        for operator in graph.operators:
            made = _kind_of(model, operator) == _QUANTIZE and operator.outputs[0] == output
            if made and graph.tensors[operator.inputs[0]].type == schema.TensorType.FLOAT32:
                _bypass(model, graph, operator, output)
                break
    return pack(model)


def disguise(content: bytes) -> bytes:
    """Show the quantizer an operator that it quantizes in place of one that it does not.

    LiteRT looks an int8 ELU up in a table, with a scale of its own at either end. The quantizer
    knows nothing of it and leaves it in float, and all that only moves values around it. A leaky
    ReLU has the same rules and nothing else of the file tells what a tensor was made by.
    """
    model = parse(content)
    operators = _inner(model)
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.LEAKY_RELU
    code.version = 1
    model.operatorCodes.append(code)
    for operator in operators:
        if _kind_of(model, operator) == _ELU:
            operator.opcodeIndex = len(model.operatorCodes) - 1
            operator.builtinOptionsType = schema.BuiltinOptions.LeakyReluOptions
            operator.builtinOptions = schema.LeakyReluOptionsT()
    return pack(model)


def split_scales(content: bytes) -> bytes:
    """Let a tensor that is joined to others keep its own scale for whoever else takes it.

    A join wants one scale for all that it takes, and the quantizer gives it to these tensors
    themselves: the encoder of a U-Net would work with the scale of its decoder, which may be a
    hundred times as coarse. So what goes into the join is made a tensor of its own, here by a leaky
    ReLU of slope 1, which changes nothing; :func:`join_scales` makes a ``QUANTIZE`` of it.
    """
    model = parse(content)
    graph = model.subgraphs[0]
    users = Counter(int(i) for operator in graph.operators for i in operator.inputs)
    joins = [o for o in graph.operators if _kind_of(model, o) == _CONCATENATION]
    code = len(model.operatorCodes)
    for join in joins:
        join.inputs = np.array(join.inputs)  # what was read is read-only
        wide = max(_extent(graph.tensors[int(i)]) for i in join.inputs)
        for place, index in enumerate(join.inputs):
            tensor = graph.tensors[int(index)]
            if users[int(index)] > 1 and 0 < _extent(tensor) < wide / _NARROW:
                own = copy.deepcopy(tensor)
                own.name = tensor.name + b"/joined"
                graph.tensors.append(own)
                copied = schema.OperatorT()
                copied.opcodeIndex = code
                copied.inputs = np.array([index], np.int32)
                copied.outputs = np.array([len(graph.tensors) - 1], np.int32)
                copied.builtinOptionsType = schema.BuiltinOptions.LeakyReluOptions
                copied.builtinOptions = schema.LeakyReluOptionsT()
                copied.builtinOptions.alpha = 1.0
                join.inputs[place] = len(graph.tensors) - 1
                graph.operators.insert(graph.operators.index(join), copied)
    if code == len(model.operatorCodes):
        model.operatorCodes.append(_code(schema.BuiltinOperator.LEAKY_RELU))
    return pack(model)


def join_scales(content: bytes) -> bytes:
    """Undo what :func:`split_scales` did for the quantizer's eyes: a copy becomes ``QUANTIZE``."""
    model = parse(content)
    code = len(model.operatorCodes)
    for operator in model.subgraphs[0].operators:
        options = operator.builtinOptions
        if _kind_of(model, operator) == schema.BuiltinOperator.LEAKY_RELU and options.alpha == 1.0:
            operator.opcodeIndex = code
            operator.builtinOptionsType = schema.BuiltinOptions.QuantizeOptions
            operator.builtinOptions = schema.QuantizeOptionsT()
    model.operatorCodes.append(_code(_QUANTIZE))
    return pack(model)


def reveal(content: bytes, names: Sequence[str]) -> bytes:
    """Undo :func:`disguise` in the file that the quantizer made.

    Parameters
    ----------
    content
        The model file.
    names
        Of the outputs of the operators that were disguised.
    """
    model = parse(content)
    tensors = model.subgraphs[0].tensors
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = _ELU
    code.version = 1
    model.operatorCodes.append(code)
    for operator in _inner(model):
        if tensors[operator.outputs[0]].name.decode() in names:
            operator.opcodeIndex = len(model.operatorCodes) - 1
            operator.builtinOptionsType = schema.BuiltinOptions.NONE
            operator.builtinOptions = None
    return pack(model)


def name_as(content: bytes, names: Sequence[Sequence[str]]) -> bytes:
    """Call the outputs of operators what another file calls them.

    The quantizer changes some names where it leaves an operator in float; tensors of both files
    could then no longer be told to be the same. A file of other operators is left as it is.

    Parameters
    ----------
    content
        The model file.
    names
        Of the outputs of each operator but ``QUANTIZE`` and ``DEQUANTIZE``, in running order.
    """
    model = parse(content)
    graph = model.subgraphs[0]
    inner = _inner(model)
    if [len(operator.outputs) for operator in inner] != [len(given) for given in names]:
        return content
    places = {tensor.name: index for index, tensor in enumerate(graph.tensors)}
    for operator, given in zip(inner, names, strict=True):
        for index, name in zip(operator.outputs, (name.encode() for name in given), strict=True):
            if places.setdefault(name, int(index)) == int(index):
                graph.tensors[index].name = name
    return pack(model)


def pack(model: Any) -> bytes:
    """The bytes of a model file; undoes :func:`converter.tflite.operators.parse`."""
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _inner(model: Any) -> list[Any]:
    """The operators of the main graph that do more than lead from one type to another."""
    return [o for o in model.subgraphs[0].operators if _kind_of(model, o) not in _BETWEEN]


def _code(kind: int) -> Any:
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = kind
    code.version = 1
    return code


def _extent(tensor: Any) -> float:
    """Width of the range that the calibration saw; 0 when it saw none."""
    seen = tensor.quantization
    if seen is None or seen.min is None or seen.max is None or not len(seen.min):
        return 0.0
    return float(seen.max[0]) - float(seen.min[0])


def _kind_of(model: Any, operator: Any) -> int:
    code = model.operatorCodes[operator.opcodeIndex]
    return int(max(code.builtinCode, code.deprecatedBuiltinCode))


def _bypass(model: Any, graph: Any, operator: Any, output: int) -> None:
    """Let the graph end before an operator, under the name that it had behind it."""
    source = int(operator.inputs[0])
    tensors = graph.tensors
    tensors[source].name, tensors[output].name = tensors[output].name, tensors[source].name
    graph.outputs = [source if i == output else int(i) for i in graph.outputs]
    for signature in model.signatureDefs:
        for end in signature.outputs:
            if end.tensorIndex == output:
                end.tensorIndex = source
    graph.operators.remove(operator)
