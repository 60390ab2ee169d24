"""One operator of a model file as a model file of its own."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from converter.tflite.rewrite import pack

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Single:
    """One operator, ready to be run alone.

    Parameters
    ----------
    content
        A model file of this operator and its weights.
    inputs
        Names of the tensors that it takes, in the order of the file's inputs.
    """

    content: bytes
    inputs: tuple[str, ...]

    def run(self, floats: Callable[[str], Floats]) -> Floats:
        """Feed the operator with float tensors, each rounded to the scale that it has here.

        Parameters
        ----------
        floats
            Gives a tensor by its name.

        Returns
        -------
        ndarray
            Its first output, as float32.
        """
        interpreter = plain_interpreter(self.content)
        interpreter.allocate_tensors()
        for name, details in zip(self.inputs, interpreter.get_input_details(), strict=True):
            interpreter.set_tensor(details["index"], to_quanta(floats(name), details))
        interpreter.invoke()
        details = interpreter.get_output_details()[0]
        return to_floats(interpreter.get_tensor(details["index"]), details)


def plain_interpreter(content: bytes, **options: Any) -> Interpreter:
    """An interpreter that runs operator by operator: a delegate would hide what lies between."""
    return Interpreter(
        model_content=content,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        num_threads=2,
        **options,
    )


def to_quanta(floats: Floats, details: Mapping[str, Any]) -> npt.NDArray[Any]:
    """Round to a tensor's scale; what is no quantized tensor is left as it is.

    In float32 and half to even, unlike :mod:`edge.contract.quantize`: tensors inside of a network
    are large, and half a step either way is no matter where errors are measured.
    """
    scale, zero_point = details["quantization"]
    dtype = np.dtype(details["dtype"])
    if not scale:
        return floats.astype(dtype, copy=False)
    limits = np.iinfo(dtype)
    steps = np.rint(floats / np.float32(scale)) + np.float32(zero_point)
    quanta: npt.NDArray[Any] = np.clip(steps, limits.min, limits.max).astype(dtype)
    return quanta


def to_floats(tensor: npt.NDArray[Any], details: Mapping[str, Any]) -> Floats:
    """The real numbers that a tensor stands for."""
    scale, zero_point = details["quantization"]
    if not scale:
        return tensor.astype(np.float32, copy=False)
    return (tensor.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)


def cut_out(model: Any, operator: Any, flowing: list[int], names: tuple[str, ...]) -> Single:
    """Make a model file of one operator of the main graph.

    Parameters
    ----------
    model
        As :func:`converter.tflite.operators.parse` gives it.
    operator
        Of its main graph.
    flowing
        Indexes of the tensors that flow into the operator.
    names
        What they are called, in the same order.
    """
    tensors = model.subgraphs[0].tensors
    used = [int(i) for i in (*operator.inputs, *operator.outputs) if i >= 0]
    places = {index: place for place, index in enumerate(dict.fromkeys(used))}
    graph = schema.SubGraphT()
    buffers = [schema.BufferT()]
    graph.tensors = []
    for index in places:
        tensor = copy.copy(tensors[index])
        buffers.append(model.buffers[tensor.buffer])
        tensor.buffer = len(buffers) - 1
        graph.tensors.append(tensor)
    alone = copy.copy(operator)
    alone.inputs = [places.get(int(i), -1) for i in operator.inputs]
    alone.outputs = [places[int(i)] for i in operator.outputs]
    alone.opcodeIndex = 0
    graph.operators = [alone]
    graph.inputs = [places[i] for i in flowing]
    graph.outputs = alone.outputs
    small = schema.ModelT()
    small.version = model.version
    small.operatorCodes = [model.operatorCodes[operator.opcodeIndex]]
    small.subgraphs = [graph]
    small.buffers = buffers
    return Single(pack(small), names)
