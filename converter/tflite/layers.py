"""Where between input and output a quantized model loses what the float model knows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from converter.tflite.operators import (
    BETWEEN,
    Operator,
    Tensor,
    parse,
    read_operators,
    read_tensors,
)
from converter.tflite.runs import Run
from converter.tflite.single import Floats, Single, cut_out

BINS = 64
"""Of a layer's histogram."""

PERFECT_DB = 200.0
"""Signal-to-noise ratio of a layer without any error."""

_SAMPLED = 1 << 16  # values of one tensor of one image that its histogram counts
_NOT_ALONE = ("IF", "WHILE", "CALL", "CALL_ONCE", "STABLEHLO_COMPOSITE")  # run another graph


@dataclass(frozen=True, slots=True)
class LayerError:
    """How far one layer of a quantized model is from the float model.

    Parameters
    ----------
    name
        Of the tensor that it gives, as the float file calls it.
    operator
        As TensorFlow Lite calls it: ``CONV_2D``.
    quantized
        It works in integers; else it was left in float.
    largest, mean
        Absolute error, in the tensor's own unit.
    snr_db
        Energy of the signal over that of the error, at most :data:`PERFECT_DB`.
    cosine
        Of the angle between both tensors.
    added
        What this layer would lose if it got what the float model gets: the mean over its channels
        of error energy over signal energy, where a channel is lost at 1. Between 0 and 1.
    saturated
        Share of the float values that lie outside of ``low`` … ``high`` by more than half a step.
    low, high
        What the quantized tensor can represent; what was seen, where the layer is in float.
    histogram, histogram_range
        Float values in :data:`BINS` bins of equal width; the outer ones count what lies beyond.
    """

    name: str
    operator: str
    quantized: bool
    largest: float
    mean: float
    snr_db: float
    cosine: float
    added: float
    saturated: float
    low: float
    high: float
    histogram: tuple[int, ...]
    histogram_range: tuple[float, float]


def compare_layers(
    float_content: bytes, quantized_content: bytes, tensors: Iterable[Floats]
) -> tuple[LayerError, ...]:
    """Hold a quantized model against its float model, layer by layer, in running order.

    Both files must come from one SavedModel: layers are matched by the names of their tensors. One
    image is in memory at a time.

    Parameters
    ----------
    float_content, quantized_content
        The model files.
    tensors
        Inputs, each (1, height, width, channels) float32.

    Raises
    ------
    ConversionError
        The bytes are no model files.
    """
    float_run = Run(float_content)
    quantized_run = Run(quantized_content)
    layers = list(_layers(float_content, quantized_content, float_run, quantized_run))
    for tensor in tensors:
        float_run.invoke(tensor)
        quantized_run.invoke(tensor)
        for layer in layers:
            layer.add(float_run, quantized_run)
    return tuple(layer.result() for layer in layers if layer.seen)


def worst_layers(errors: Iterable[LayerError], count: int) -> tuple[str, ...]:
    """Names of the layers that lose the most by being quantized, the worst first.

    Parameters
    ----------
    errors
        What :func:`compare_layers` found.
    count
        So many names; fewer when fewer layers are quantized.
    """
    quantized = [error for error in errors if error.quantized]
    ranked = sorted(quantized, key=lambda error: error.added, reverse=True)  # stable: running order
    return tuple(error.name for error in ranked[:count])


class _Layer:
    """Gathers one layer's error over the images."""

    def __init__(
        self, name: str, operator: Operator, tensor: Tensor, given: dict[str, str], alone: Single
    ) -> None:
        self._name = name
        self._operator = operator
        self._own_name = tensor.name
        self._given = given
        self._alone = alone
        self._quantized = len(tensor.scales) == 1
        self.seen = 0
        self._largest = 0.0
        self._sums = np.zeros(4)  # |error|, float², quantized², float·quantized
        self._noise = 0.0
        self._channels: npt.NDArray[np.float64] | None = None  # signal and lost energy
        self._outside = 0
        self._low, self._high = math.inf, -math.inf
        self._step = 0.0
        self._histogram = np.zeros(BINS, dtype=np.int64)
        self._range = (0.0, 0.0)
        if self._quantized:
            limits = np.iinfo(tensor.type.lower())
            self._step, point = tensor.scales[0], tensor.zero_points[0]
            self._low = (limits.min - point) * self._step
            self._high = (limits.max - point) * self._step

    def add(self, float_run: Run, quantized_run: Run) -> None:
        signal = float_run.floats(self._name)
        found = quantized_run.floats(self._own_name)
        alone = self._alone.run(lambda name: float_run.floats(self._given[name]))
        error = found - signal
        size = np.abs(error)
        self._largest = max(self._largest, float(size.max(initial=0.0)))
        flat, other = signal.ravel(), found.ravel()
        self._sums += (size.sum(dtype=np.float64), flat @ flat, other @ other, flat @ other)
        self._noise += float(error.ravel() @ error.ravel())
        lost = alone - signal
        channels = np.array([_energies(signal), _energies(lost)])
        self._channels = channels if self._channels is None else self._channels + channels
        if self._quantized:
            half = self._step / 2
            self._outside += int(((signal < self._low - half) | (signal > self._high + half)).sum())
        else:
            self._low = min(self._low, float(signal.min()))
            self._high = max(self._high, float(signal.max()))
        self._count(flat)
        self.seen += signal.size

    def _count(self, values: Floats) -> None:
        if not self.seen:
            margin = (self._high - self._low) / 4 or 1.0
            self._range = (self._low - margin, self._high + margin)
        low, high = self._range
        # An odd step, so that it does not meet the same channels each time.
        sample = values[:: (len(values) // _SAMPLED) | 1]
        bins = ((sample - low) * (BINS / (high - low))).astype(np.int64).clip(0, BINS - 1)
        self._histogram += np.bincount(bins, minlength=BINS)

    def result(self) -> LayerError:
        size, signal, other, product = (float(value) for value in self._sums)
        assert self._channels is not None
        present = self._channels[:, self._channels[0] > 0]
        shares = np.minimum(present[1] / present[0], 1.0)
        cosine = product / math.sqrt(signal * other) if signal and other else float(signal == other)
        return LayerError(
            name=self._name,
            operator=self._operator.name,
            quantized=self._quantized,
            largest=self._largest,
            mean=size / self.seen,
            snr_db=_decibels(signal, self._noise),
            cosine=cosine,
            added=float(shares.mean()) if shares.size else 0.0,
            saturated=self._outside / self.seen,
            low=self._low,
            high=self._high,
            histogram=tuple(int(count) for count in self._histogram),
            histogram_range=self._range,
        )


def _layers(
    float_content: bytes, quantized_content: bytes, float_run: Run, quantized_run: Run
) -> Iterator[_Layer]:
    """The layers that both files have."""
    floats = {
        tensor.name
        for tensor in read_tensors(float_content)
        if tensor.type == "FLOAT32" and not tensor.subgraph
    }
    operators = [o for o in read_operators(quantized_content) if not o.subgraph]
    known = _counterparts(floats, operators, float_run, quantized_run)
    tensors = {t.name: t for t in read_tensors(quantized_content) if not t.subgraph}
    model = parse(quantized_content)
    graph = model.subgraphs[0]
    by_output = {graph.tensors[int(o.outputs[0])].name.decode(): o for o in graph.operators}
    places = {tensor.name.decode(): index for index, tensor in enumerate(graph.tensors)}
    for operator in operators:
        own = operator.outputs[0]
        given = {name: known[name] for name in operator.inputs if name in known}
        whole = len(given) == len(set(operator.inputs)) and operator.name not in _NOT_ALONE
        if own in known and operator.name not in BETWEEN and whole:
            flowing = [places[name] for name in operator.inputs]
            alone = cut_out(model, by_output[own], flowing, operator.inputs)
            yield _Layer(known[own], operator, tensors[own], given, alone)


def _counterparts(
    floats: set[str], operators: Sequence[Operator], float_run: Run, quantized_run: Run
) -> dict[str, str]:
    """Tensors of the quantized file, and what the float file calls them.

    The quantizer keeps the names, but for those on the far side of a ``QUANTIZE`` or
    ``DEQUANTIZE``, and at the ends for int16x8.
    """
    known = {name: name for operator in operators for name in operator.outputs if name in floats}
    for own, other in (
        (quantized_run.inputs, float_run.inputs),
        (quantized_run.outputs, float_run.outputs),
    ):
        known |= {own[end]: other[end] for end in own if end in other}
    between = [operator for operator in operators if operator.name in BETWEEN]
    for operator in reversed(between):
        if operator.outputs[0] in known:
            known.setdefault(operator.inputs[0], known[operator.outputs[0]])
    for operator in between:
        if operator.inputs[0] in known:
            known.setdefault(operator.outputs[0], known[operator.inputs[0]])
    return known


def _energies(values: Floats) -> npt.NDArray[np.float64]:
    """Of each channel, the last axis."""
    table = values.reshape(-1, values.shape[-1] if values.ndim else 1)
    energies: npt.NDArray[np.float64] = np.einsum("nc,nc->c", table, table).astype(np.float64)
    return energies


def _decibels(signal: float, noise: float) -> float:
    if not noise:
        return PERFECT_DB
    return min(PERFECT_DB, 10 * math.log10(signal / noise)) if signal else -PERFECT_DB
