"""Outputs whose parts are of unlike range, and what must stay in float for each to keep its own."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from converter.tflite.operators import Operator, read_operators
from converter.tflite.runs import Run
from converter.tflite.single import Floats

FEW_STEPS = 8
"""A channel with fewer steps of the shared scale than this is as good as lost."""

MANY_STEPS = 64
"""Another channel has as many: the scale is fine for it."""

_STEPS = 255  # of int8
_JOINS = ("CONCATENATION", "PACK")
_MOVES = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE", "PAD", "PADV2")
_PASSING = (*_JOINS, *_MOVES)
_FIXED = (
    "SOFTMAX",
    "LOGISTIC",
    "TANH",
)  # TensorFlow Lite fixes their scale: all channels are alike


def unlike_channels(outputs: Iterable[Floats], scale: float) -> tuple[int, ...]:
    """Channels of an output that one shared scale leaves without values of their own.

    Parameters
    ----------
    outputs
        What the float model gives for some inputs; channels are the last axis.
    scale
        Of the quantized output.

    Returns
    -------
    tuple of int
        Channels that span fewer than :data:`FEW_STEPS` steps while another one spans
        :data:`MANY_STEPS` or more; a channel that is always 0 needs none. Empty if all are alike.
    """
    span = _Span()
    for output in outputs:
        span.add(output)
    return _lost(span.extents() / scale)


def unlike_layers(float_content: bytes, tensors: Iterable[Floats]) -> tuple[str, ...]:
    """Layers that must stay in float lest parts of one output share a scale they cannot.

    Where parts are joined, these are the join, what only moves a part on its way there and all that
    comes after: each part is then quantized by itself. Where one operator gives all channels, it is
    this operator.

    Parameters
    ----------
    float_content
        The float32 model file.
    tensors
        Inputs that calibration may see, each (1, height, width, channels) float32.

    Returns
    -------
    tuple of str
        For ``float_layers`` of a :class:`converter.tflite.VariantJob`, in running order.
    """
    operators = {o.outputs[0]: o for o in read_operators(float_content) if not o.subgraph}
    run = Run(float_content)
    ends = list(run.outputs.values())
    spans = {name: _Span() for end in ends for name in _behind(end, operators)}
    for tensor in tensors:
        run.invoke(tensor)
        for name, span in spans.items():
            span.add(run.floats(name))
    found = {layer for end in ends for layer in _unlike(end, operators, spans)}
    return tuple(name for name in operators if name in found)


@dataclass(slots=True)
class _Span:
    """Smallest and largest value of each channel."""

    low: npt.NDArray[np.float32] = field(default_factory=lambda: np.array(math.inf, np.float32))
    high: npt.NDArray[np.float32] = field(default_factory=lambda: np.array(-math.inf, np.float32))

    def add(self, values: Floats) -> None:
        table = values.reshape(-1, values.shape[-1] if values.ndim else 1)
        self.low = np.minimum(self.low, table.min(axis=0))
        self.high = np.maximum(self.high, table.max(axis=0))

    def extents(self) -> npt.NDArray[np.float32]:
        """How far each channel reaches; a constant one, how far from 0."""
        if not np.isfinite(self.low).all():  # nothing was added
            return np.zeros(1, np.float32)
        width = self.high - self.low
        extents: npt.NDArray[np.float32] = np.where(width > 0, width, np.abs(self.high))
        return extents

    def whole(self) -> float:
        """How far all channels together reach, 0 included, as quantization wants it."""
        return max(0.0, float(self.high.max())) - min(0.0, float(self.low.min()))


def _lost(steps: npt.NDArray[np.floating]) -> tuple[int, ...]:
    if not (steps >= MANY_STEPS).any():
        return ()
    return tuple(int(i) for i in np.flatnonzero((steps > 0) & (steps < FEW_STEPS)))


def _behind(name: str, operators: Mapping[str, Operator]) -> list[str]:
    """A tensor, and what was joined and moved into it."""
    operator = operators.get(name)
    if operator is None or operator.name not in _PASSING:
        return [name]
    return [name, *(other for given in operator.inputs for other in _behind(given, operators))]


def _unlike(name: str, operators: Mapping[str, Operator], spans: Mapping[str, _Span]) -> list[str]:
    """The layers up to a tensor that must stay in float, itself included if any must."""
    operator = operators.get(name)
    if operator is None or operator.name in _FIXED:
        return []
    whole = spans[name].whole()
    if operator.name not in _PASSING:
        lost = whole and _lost(spans[name].extents() * (_STEPS / whole))
        return [name] if lost else []
    before = [layer for given in operator.inputs for layer in _unlike(given, operators, spans)]
    parts = np.array([spans[given].whole() for given in operator.inputs])
    if not before and not (whole and _lost(parts * (_STEPS / whole))):
        return []
    # What only moves a part has one scale before and after: in integers it would take the join's.
    moved = [
        other
        for other in _behind(name, operators)
        if other in operators and operators[other].name in _PASSING
    ]
    return [*before, *moved]
