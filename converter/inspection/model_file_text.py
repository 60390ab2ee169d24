"""A ``.tflite`` file, told to a person who has never looked into one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from converter.inspection.text import count, facts, name, number, shape, share, size, table
from converter.tflite import Operator, Tensor

if TYPE_CHECKING:
    from converter.inspection.model_file import ModelFileInspection

_MEANS = {
    "float32": "weights and all that is computed are float32",
    "float16": "weights are stored as float16; it is computed in float32",
    "dynamic": "dynamic range: weights are stored as int8; what flows between operators is float32",
    "int8": "every operator works in 8-bit integers",
    "int16x8": "what flows between operators are 16-bit integers, weights are 8-bit",
    "uint8": "every operator works in unsigned 8-bit integers, as TensorFlow 1 quantized",
    "mixed": "some operators work in integers, others in float",
    "other": "it works neither in float nor in quantized integers",
}
_ANSWER = {True: "yes", False: "no", None: "?"}


def lines(found: ModelFileInspection) -> Iterator[str]:
    """The summary first, then the tables, the longest last."""
    yield f"{found.path}: TensorFlow Lite model, {found.variant}"
    yield f"  {_MEANS[found.variant]}"
    yield ""
    yield from facts(
        {
            "file": size(found.size),
            "sha256": found.sha256,
            "description": found.description,
            "oldest runtime": found.runtime,
            "parameters": number(found.parameters),
            "multiply-accumulates": f"{number(found.macs)} a run",
            "custom operators": ", ".join(found.custom),
            "XNNPACK takes": _xnnpack(found),
        }
    )
    yield from _left_out(found)
    yield from _in_float(found)
    yield ""
    yield "Inputs and outputs (real value = scale × (number - zero point))"
    ends = [("input", *end) for end in found.inputs.items()]
    ends += [("output", *end) for end in found.outputs.items()]
    yield from table(
        ("", "name", "shape", "type", "quantization"),
        ((what, name(end), *_kind(tensor)) for what, end, tensor in ends),
    )
    yield ""
    yield "Operators by kind"
    yield from _by_kind(found)
    yield ""
    yield "Bytes of the file by kind"
    yield from table(
        ("bytes", "what"), ((number(count), what) for what, count in _bytes(found)), right="bytes"
    )
    yield ""
    yield "Operators in running order (XNNPACK: the runtime's fast kernels)"
    yield from _operators(found)
    yield ""
    yield "Tensors (stored: bytes in the file; what is computed has none)"
    rows = (
        (str(each.index), name(each.name), *_kind(each)[:2], _stored(each), _scales(each))
        for each in found.tensors
    )
    head = ("#", "name", "shape", "type", "stored", "quantization")
    yield from table(head, rows, right="# stored")


def _xnnpack(found: ModelFileInspection) -> str:
    if found.xnnpack.refused:
        return f"no answer: {found.xnnpack.refused}"
    asked = len(found.taken) + len(found.left)
    said = f"{number(len(found.taken))} of {count(asked, 'operator')}"
    if found.macs:
        macs = sum(operator.macs for operator in found.taken)
        said += f", {share(macs, found.macs)} of the multiply-accumulates"
    return said


def _left_out(found: ModelFileInspection) -> Iterator[str]:
    """The kinds of operators that run on slow kernels."""
    if found.left:
        yield f"  XNNPACK leaves these to the runtime's own, slower kernels: {_kinds(found.left)}"


def _in_float(found: ModelFileInspection) -> Iterator[str]:
    if found.variant == "mixed":
        yield f"  These stay in float: {_kinds(found.in_float)}"


def _kinds(operators: tuple[Operator, ...]) -> str:
    counts: dict[str, int] = {}
    for operator in operators:
        counts[operator.name] = counts.get(operator.name, 0) + 1
    return ", ".join(f"{number} × {kind}" for kind, number in counts.items())


def _by_kind(found: ModelFileInspection) -> Iterator[str]:
    rows = []
    for kind, amount in found.counts.items():
        same = [operator for operator in found.operators if operator.name == kind]
        rows.append(
            (
                kind,
                number(amount),
                number(sum(operator.parameters for operator in same)),
                number(sum(operator.macs for operator in same)),
            )
        )
    head = ("operator", "count", "parameters", "multiply-accumulates")
    return table(head, rows, right="count parameters multiply-accumulates")


def _bytes(found: ModelFileInspection) -> Iterator[tuple[str, int]]:
    for kind, stored in found.stored.items():
        yield f"{kind} constants", stored
    yield "structure and names", found.size - sum(found.stored.values())


def _operators(found: ModelFileInspection) -> Iterator[str]:
    shapes = {(tensor.subgraph, tensor.name): tensor.shape for tensor in found.tensors}
    taken = found.xnnpack.taken or (None,) * len(found.operators)
    rows = [
        (
            str(at),
            operator.name + (f" + {operator.activation}" if operator.activation else ""),
            name(operator.outputs[0]) if operator.outputs else "",
            shape(shapes.get((operator.subgraph, operator.outputs[0]), ()))
            if operator.outputs
            else "",
            " ".join(dict.fromkeys((*operator.types, operator.weight_type))).strip(),
            number(operator.parameters),
            number(operator.macs),
            _ANSWER[answer],
        )
        for at, (operator, answer) in enumerate(zip(found.operators, taken, strict=True), 1)
    ]
    head = ("#", "operator", "output", "shape", "types", "parameters", "macs", "XNNPACK")
    return table(head, rows, right="# parameters macs")


def _kind(tensor: Tensor) -> tuple[str, str, str]:
    return shape(tensor.shape), tensor.type.lower(), _scales(tensor)


def _stored(tensor: Tensor) -> str:
    return number(tensor.stored) if tensor.stored else ""


def _scales(tensor: Tensor) -> str:
    """One scale, or the range of those of the channels."""
    if not tensor.scales:
        return ""
    if len(tensor.scales) == 1:
        points = "".join(f", zero point {point}" for point in tensor.zero_points[:1])
        return f"scale {tensor.scales[0]:.6g}{points}"
    low, high = min(tensor.scales), max(tensor.scales)
    channels = f"{len(tensor.scales)} scales, {low:.3g} to {high:.3g}"
    return f"per channel: {channels}, along axis {tensor.axis}"
