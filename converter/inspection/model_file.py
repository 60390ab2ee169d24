"""What stands in a ``.tflite`` file, and what the runtime makes of it."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from converter.inspection.errors import InspectionError
from converter.inspection.model_file_text import lines
from converter.inspection.xnnpack import Answer, ask
from converter.limits import Limits
from converter.tflite import ConversionError, Operator, Tensor, read_operators, read_tensors
from converter.tflite.operators import parse

_BETWEEN = frozenset({"QUANTIZE", "DEQUANTIZE"})
_FLOATS = frozenset({"FLOAT32", "FLOAT16"})
_BUILTIN = frozenset(name for name in vars(schema.BuiltinOperator) if name.isupper())
# Whatever bytes of somebody else can make the schema's reader stumble over.
_BROKEN = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class ModelFileInspection:
    """All that is known about a ``.tflite`` file.

    Parameters
    ----------
    path, size, sha256
        The file, its bytes and their hash in hex.
    description, runtime
        As the file says; ``runtime`` is the oldest version that runs it. Empty when it does not.
    inputs, outputs
        Of its first signature, or of its main graph: name and tensor.
    operators
        In running order; those that only unpack stored weights are not among them.
    tensors
        In the order in which they stand.
    parameters
        Numbers of its weights, each once.
    stored
        Type → bytes that tensors of it fill in the file.
    xnnpack
        What the runtime says about each operator.
    """

    path: Path
    size: int
    sha256: str
    description: str
    runtime: str
    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]
    operators: tuple[Operator, ...]
    tensors: tuple[Tensor, ...]
    parameters: int
    stored: Mapping[str, int]
    xnnpack: Answer

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one run."""
        return sum(operator.macs for operator in self.operators)

    @property
    def variant(self) -> str:
        """float32, float16, dynamic, int8, int16x8; uint8 of TensorFlow 1, mixed or other."""
        types = {kind for operator in self._integers for kind in operator.types}
        if self.in_float:
            weights = {operator.weight_type for operator in self.in_float}
            if types:
                return "mixed"
            if {"INT8", "UINT8"} & weights:
                return "dynamic"
            return "float16" if "FLOAT16" in weights else "float32"
        for kind, variant in (("INT16", "int16x8"), ("UINT8", "uint8"), ("INT8", "int8")):
            if kind in types:
                return variant
        return "other"

    @property
    def in_float(self) -> tuple[Operator, ...]:
        """Operators that work in float."""
        return tuple(operator for operator in self._working if operator.floats)

    @property
    def custom(self) -> tuple[str, ...]:
        """Names of operators that are none of TensorFlow Lite's own."""
        return tuple(sorted({operator.name for operator in self.operators} - _BUILTIN))

    @property
    def counts(self) -> dict[str, int]:
        """Operator → how many, the most frequent first."""
        return dict(Counter(operator.name for operator in self.operators).most_common())

    def lines(self) -> Iterator[str]:
        """For a terminal."""
        return lines(self)

    def to_json(self) -> dict[str, Any]:
        """Nested; what does not apply is absent; an open side of a shape is -1."""
        taken = self.xnnpack.taken or (None,) * len(self.operators)
        pairs = zip(self.operators, taken, strict=True)
        said = {"description": self.description, "min_runtime_version": self.runtime}
        return {
            "file": str(self.path),
            "format": "TensorFlow Lite",
            "bytes": self.size,
            "sha256": self.sha256,
            "variant": self.variant,
            **{key: value for key, value in said.items() if value},
            "parameters": self.parameters,
            "macs": self.macs,
            "inputs": {name: _tensor(tensor) for name, tensor in self.inputs.items()},
            "outputs": {name: _tensor(tensor) for name, tensor in self.outputs.items()},
            "operator_counts": self.counts,
            "custom_operators": list(self.custom),
            "stored_bytes": dict(self.stored),
            "xnnpack": self._xnnpack(),
            "operators": [_operator(operator, taken) for operator, taken in pairs],
            "tensors": [_tensor(tensor) for tensor in self.tensors],
        }

    @property
    def taken(self) -> tuple[Operator, ...]:
        """Operators that XNNPACK takes."""
        return self._answered(True)

    @property
    def left(self) -> tuple[Operator, ...]:
        """Operators that XNNPACK leaves to the runtime."""
        return self._answered(False)

    def _answered(self, answer: bool) -> tuple[Operator, ...]:
        pairs = zip(self.operators, self.xnnpack.taken, strict=False)  # no answers, no pairs
        return tuple(operator for operator, taken in pairs if taken is answer)

    @property
    def _working(self) -> tuple[Operator, ...]:
        return tuple(operator for operator in self.operators if operator.name not in _BETWEEN)

    @property
    def _integers(self) -> tuple[Operator, ...]:
        """Operators on quantized numbers; integers without a scale are indices and shapes."""
        scaled = {t.name for t in self.tensors if t.scales}
        return tuple(
            operator
            for operator in self._working
            if not operator.floats and scaled & {*operator.inputs, *operator.outputs}
        )

    def _xnnpack(self) -> dict[str, Any]:
        if self.xnnpack.refused:
            return {"refused": self.xnnpack.refused}
        taken, left = self.taken, self.left
        found: dict[str, Any] = {"operators": len(taken), "of": len(taken) + len(left)}
        if self.macs:
            found["macs"] = sum(operator.macs for operator in taken) / self.macs
        return found


def inspect_model_file(path: Path, content: bytes, limits: Limits) -> ModelFileInspection:
    """Explain the bytes of a ``.tflite`` file.

    Parameters
    ----------
    path, content
        The file.
    limits
        Of the process in which the runtime loads it.

    Raises
    ------
    InspectionError
        It is damaged.
    """
    try:
        model = parse(content)
        operators, tensors = read_operators(content), read_tensors(content)
        inputs, outputs = _ends(model, tensors)
        runtime = _runtime(model)
        parameters, stored = _stored(model, tensors)
        description = _text(model.description)
        if not all(math.isfinite(scale) for tensor in tensors for scale in tensor.scales):
            raise ValueError("a scale is no number")
    except (ConversionError, *_BROKEN) as error:
        raise InspectionError(
            f"{path}: is a damaged or truncated TensorFlow Lite model", hint="copy it again"
        ) from error
    return ModelFileInspection(
        path=path,
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        description=description,
        runtime=runtime,
        inputs=inputs,
        outputs=outputs,
        operators=tuple(operators),
        tensors=tuple(tensors),
        parameters=parameters,
        stored=stored,
        xnnpack=ask(content, operators, limits),
    )


def _ends(model: Any, tensors: Sequence[Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Inputs and outputs by the names that a user of the file has to take."""
    by_place = {(tensor.subgraph, tensor.index): tensor for tensor in tensors}
    if model.signatureDefs:
        signature = model.signatureDefs[0]
        graph = int(signature.subgraphIndex)
        found = (signature.inputs or (), signature.outputs or ())
        inputs, outputs = (
            {_text(end.name): by_place[graph, int(end.tensorIndex)] for end in ends}
            for ends in found
        )
        return inputs, outputs
    main = model.subgraphs[0]
    inputs, outputs = (
        {tensor.name: tensor for tensor in (by_place[0, int(index)] for index in ends)}
        for ends in (main.inputs, main.outputs)
    )
    return inputs, outputs


def _runtime(model: Any) -> str:
    """The oldest version that runs the file, as its metadata says; empty when they do not."""
    for entry in model.metadata or ():
        data = model.buffers[entry.buffer].data
        if _text(entry.name) == "min_runtime_version" and data is not None:
            return _text(bytes(data)).strip("\0")
    return ""


def _stored(model: Any, tensors: Sequence[Tensor]) -> tuple[int, dict[str, int]]:
    """Parameters, and bytes by type; tensors that share a buffer count once."""
    seen: set[int] = set()
    parameters = 0
    stored: Counter[str] = Counter()
    for tensor in tensors:
        buffer = int(model.subgraphs[tensor.subgraph].tensors[tensor.index].buffer)
        if not tensor.stored or buffer in seen:
            continue
        seen.add(buffer)
        stored[tensor.type] += tensor.stored
        if tensor.scales or tensor.type in _FLOATS:
            parameters += math.prod(tensor.shape)
    return parameters, dict(stored.most_common())


def _text(name: bytes | str | None) -> str:
    return name if isinstance(name, str) else (name or b"").decode(errors="replace")


def _operator(operator: Operator, taken: bool | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": operator.name,
        "inputs": list(operator.inputs),
        "outputs": list(operator.outputs),
        "types": list(operator.types),
        "parameters": operator.parameters,
        "macs": operator.macs,
    }
    if operator.subgraph:
        found["subgraph"] = operator.subgraph
    if operator.activation:
        found["activation"] = operator.activation
    if operator.weight_type:
        found["weight_type"] = operator.weight_type
    if taken is not None:
        found["xnnpack"] = taken
    return found


def _tensor(tensor: Tensor) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": tensor.name,
        "index": tensor.index,
        "shape": list(tensor.shape),
        "type": tensor.type,
    }
    if tensor.subgraph:
        found["subgraph"] = tensor.subgraph
    if tensor.stored:
        found["stored_bytes"] = tensor.stored
    if tensor.scales:
        found["quantization"] = {
            "scales": list(tensor.scales),
            "zero_points": list(tensor.zero_points),
            "axis": tensor.axis,
        }
    return found
