"""The child of :mod:`converter.inspection.xnnpack`: lets the runtime load one model file.

The runtime is native code, and the file may be anybody's: what crashes it ends this process only.
Reads the file from stdin and writes one JSON object to stdout.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from converter.limits import allow_seconds, confine

_DELEGATE = "DELEGATE"


def main(arguments: Sequence[str]) -> int:
    """Answer for one file.

    Parameters
    ----------
    arguments
        Process id of the parent, limit of memory in bytes, and of time in seconds.
    """
    parent, memory_bytes, seconds = arguments
    confine(int(parent), int(memory_bytes))
    allow_seconds(float(seconds))
    content, answer = sys.stdin.buffer.read(), os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what native code prints is no answer
    try:
        nodes = _nodes(content)
        if not any(node["taken"] for node in nodes) and not _has_xnnpack():
            found: dict[str, Any] = {"refused": "this runtime has no XNNPACK on this machine"}
        else:
            found = {"nodes": nodes}
    except (RuntimeError, ValueError) as error:
        found = {"refused": " ".join(str(error).split())}
    with answer:
        json.dump(found, answer)
    return 0


def _nodes(content: bytes) -> list[dict[str, Any]]:
    """The file's operators in its order, each with whether XNNPACK has taken it.

    What it takes, the runtime puts behind a node DELEGATE; the node's inputs are all that enters
    from outside, so the operators between them and its outputs are the taken ones. Of operators
    whose results nobody uses, that tells nothing.
    """
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    names = {int(t["index"]): str(t["name"]) for t in interpreter.get_tensor_details()}
    nodes = interpreter._get_ops_details()
    own = [node for node in nodes if node["op_name"] != _DELEGATE]
    made_by = {int(tensor): at for at, node in enumerate(own) for tensor in node["outputs"]}
    taken: set[int] = set()
    for delegate in nodes:
        if delegate["op_name"] == _DELEGATE:
            taken |= _between(delegate["inputs"], delegate["outputs"], own, made_by)
    results = [tensor["index"] for tensor in interpreter.get_output_details()]
    used = _between((), results, own, made_by)
    return [
        {
            "name": node["op_name"],
            "outputs": [names.get(int(tensor), "") for tensor in node["outputs"]],
            "taken": at in taken if at in used else None,
        }
        for at, node in enumerate(own)
    ]


def _between(
    start: Iterable[Any], end: Iterable[Any], own: Sequence[Any], made_by: dict[int, int]
) -> set[int]:
    """Places of the operators on the way from the tensors ``end`` back to those of ``start``."""
    ends = {int(tensor) for tensor in start}
    found: set[int] = set()
    ahead = [int(tensor) for tensor in end]
    while ahead:
        tensor = ahead.pop()
        at = made_by.get(tensor)
        if tensor in ends or at is None or at in found:
            continue
        found.add(at)
        ahead.extend(int(before) for before in own[at]["inputs"])
    return found


def _has_xnnpack() -> bool:
    """A float ADD, which every XNNPACK takes, is taken."""
    return any(node["taken"] for node in _nodes(_addition()))


def _addition() -> bytes:
    """A model file of one operator: x + x."""
    code, operator, graph, model = (
        schema.OperatorCodeT(),
        schema.OperatorT(),
        schema.SubGraphT(),
        schema.ModelT(),
    )
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.ADD
    operator.inputs, operator.outputs = [0, 0], [1]
    operator.builtinOptionsType = schema.BuiltinOptions.AddOptions
    operator.builtinOptions = schema.AddOptionsT()
    for name in ("x", "sum"):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = name, [1, 4], schema.TensorType.FLOAT32
        graph.tensors = [*(graph.tensors or []), tensor]
    graph.inputs, graph.outputs, graph.operators = [0], [1], [operator]
    model.version, model.buffers, model.operatorCodes = 3, [schema.BufferT()], [code]
    model.subgraphs = [graph]
    builder = schema.flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
