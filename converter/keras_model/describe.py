"""What a loaded Keras model is made of, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import keras

from converter.keras_model.facts import LayerFacts, Shape, TensorFacts

_PASSING = frozenset({"Flatten", "Identity", "Permute", "Reshape", "Squeeze", "UpSampling2D"})
"""Layers behind which an activation's values are the same, only elsewhere."""


def describe_inputs(model: Any) -> tuple[TensorFacts, ...]:
    """The inputs under the names of their layers."""
    return tuple(TensorFacts(t.name, _shape(t.shape), str(t.dtype)) for t in model.inputs)


def describe_outputs(model: Any) -> tuple[TensorFacts, ...]:
    """The outputs under their keys in a dictionary, else under the names of their layers."""
    made = _graph(model).output
    named = made if isinstance(made, dict) else _by_layer(model.outputs)
    return tuple(
        TensorFacts(key, _shape(tensor.shape), str(tensor.dtype), _activation(tensor))
        for key, tensor in named.items()
    )


def describe_layers(model: Any) -> tuple[LayerFacts, ...]:
    """The layers in the model's order; those of a nested model with its name before theirs."""
    return tuple(_layers(model, "", 1))


def _by_layer(tensors: list[Any]) -> dict[str, Any]:
    """Tensors under the names of their layers; of a layer with several, the later are numbered."""
    named: dict[str, Any] = {}
    for tensor in tensors:
        name, number = tensor._keras_history.operation.name, 0
        key = name
        while key in named:
            number += 1
            key = f"{name}_{number}"
        named[key] = tensor
    return named


def _layers(model: Any, prefix: str, calls: int) -> Iterator[LayerFacts]:
    # The nodes of this model alone: a layer may also be called in another one.
    nodes = [node for depth in _graph(model)._nodes_by_depth.values() for node in depth]
    for layer in model.layers:
        uses = [node for node in nodes if node.operation is layer]
        if isinstance(layer, keras.Model):
            yield from _layers(layer, f"{prefix}{layer.name}/", calls * max(1, len(uses)))
            continue
        tensors = [tensor for node in uses for tensor in node.output_tensors]
        macs = calls * sum(_macs(layer, node) for node in uses)
        yield LayerFacts(
            f"{prefix}{layer.name}",
            type(layer).__name__,
            _shape(tensors[0].shape) if tensors else (),
            int(layer.count_params()),
            macs,
        )


def _graph(model: Any) -> Any:
    """A Sequential keeps its graph in a functional model of its own."""
    return model._functional if isinstance(model, keras.Sequential) else model


def _macs(layer: Any, node: Any) -> int:
    """Multiply-accumulates of one call on one image; 0 while height and width are open."""
    if not node.input_tensors:  # the input layer
        return 0
    given, made = _shape(node.input_tensors[0].shape), _shape(node.output_tensors[0].shape)
    sizes = [size for size in (*given[1:], *made[1:]) if size is not None]
    taken, left = sizes[: len(given) - 1], sizes[len(given) - 1 :]
    if len(sizes) < len(given) + len(made) - 2:
        return 0
    layers = keras.layers
    match layer:
        case layers.Dense():
            return math.prod(taken) * left[-1]
        case layers.SeparableConv1D() | layers.SeparableConv2D():
            return math.prod(left[:-1]) * _size(layer.depthwise_kernel, layer.pointwise_kernel)
        case layers.Conv1DTranspose() | layers.Conv2DTranspose() | layers.Conv3DTranspose():
            return math.prod(taken[:-1]) * _size(layer.kernel)
        case layers.DepthwiseConv1D() | layers.DepthwiseConv2D():
            return math.prod(left[:-1]) * _size(layer.kernel)
        case layers.Conv1D() | layers.Conv2D() | layers.Conv3D():
            return math.prod(left[:-1]) * _size(layer.kernel)
    return 0


def _size(*weights: Any) -> int:
    return sum(math.prod(int(size) for size in weight.shape) for weight in weights)


def _activation(tensor: Any) -> str:
    """Of the layer that gives the tensor, looking through those that only move values."""
    history = tensor._keras_history
    layer = history.operation
    if isinstance(layer, keras.Model):
        return _activation(layer.outputs[history.tensor_index])
    if type(layer).__name__ in _PASSING:
        return _activation(layer._inbound_nodes[history.node_index].input_tensors[0])
    if isinstance(layer, keras.layers.Softmax):
        return "softmax" if layer.axis in (-1, len(tensor.shape) - 1) else ""
    return str(getattr(getattr(layer, "activation", None), "__name__", ""))


def _shape(shape: Any) -> Shape:
    return tuple(None if size is None else int(size) for size in shape)
