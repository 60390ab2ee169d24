"""A SavedModel folder: one signature of its graph, frozen."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tensorflow.python.framework import convert_to_constants

from converter.keras_model.errors import KerasModelError
from converter.keras_model.facts import LayerFacts, ModelFacts, Shape, TensorFacts
from converter.keras_model.source import KerasSource

_DEFAULT = "serving_default"
_ACTIVATIONS = {"Softmax": "softmax", "Sigmoid": "sigmoid"}
_LINEAR = frozenset({"Add", "AddV2", "BiasAdd", "Conv2D", "MatMul"})
_PASSING = frozenset({"Identity", "Reshape", "Squeeze", "Transpose"})
_WEIGHTED = frozenset({"Conv2D", "Conv2DBackpropInput", "DepthwiseConv2dNative", "MatMul"})


def load_saved_model(
    source: KerasSource,
) -> tuple[ModelFacts, Callable[[Any], dict[str, Any]]]:
    """The facts of a SavedModel, and its signature to call.

    Raises
    ------
    KerasModelError
        TensorFlow cannot load it, or it has no signature that is the obvious one.
    """
    try:
        loaded = tf.saved_model.load(str(source.path))
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise KerasModelError(
            f"{source.path}: TensorFlow {tf.__version__} cannot load it: {reason}"
        ) from error
    signatures = dict(loaded.signatures)
    name = _DEFAULT if len(signatures) != 1 else next(iter(signatures))
    if name not in signatures:
        raise KerasModelError(
            f"{source.path}: has the signatures {', '.join(sorted(signatures)) or '(none)'}, "
            f"not {_DEFAULT}",
            hint="save it with model.export(…)",
        )
    signature = signatures[name]
    frozen = convert_to_constants.convert_variables_to_constants_v2(signature)
    # Freezing flattens the dictionary of outputs, in the order of its sorted keys.
    names = sorted(signature.structured_outputs)
    _, keywords = signature.structured_input_signature
    facts = ModelFacts(
        source.format,
        source.sha256,
        source.keras_version,
        sum(math.prod(v.shape) for v in signature.variables),
        tuple(
            TensorFacts(key, _shape(spec.shape), spec.dtype.name)
            for key, spec in sorted(keywords.items())
        ),
        tuple(
            TensorFacts(key, _shape(tensor.shape), tensor.dtype.name, _activation(tensor.op))
            for key, tensor in zip(names, frozen.outputs, strict=True)
        ),
        tuple(_layers(frozen.graph)),
    )

    def call(images: Any) -> dict[str, Any]:
        image, *_ = facts.inputs
        # `loaded` owns the variables of its signature: it must live as long as this.
        taken = dict(loaded.signatures)[name](
            **{image.name: tf.cast(images, keywords[image.name].dtype)}
        )
        return {key: tf.cast(taken[key], tf.float32) for key in names}

    return facts, call


def _layers(graph: Any) -> list[LayerFacts]:
    """The operations that have weights; a graph no longer knows its layers."""
    found = []
    for op in graph.get_operations():
        if op.type not in _WEIGHTED:
            continue
        kernel = next((t for t in op.inputs if _constant(t.op) and len(t.shape) > 1), None)
        if kernel is None:
            continue
        given, made = _shape(op.inputs[-1].shape), _shape(op.outputs[0].shape)
        weights = math.prod(_shape(kernel.shape))  # type: ignore[arg-type]  # a constant has no open axis
        # A transposed convolution applies its kernel to every input pixel, others to output ones.
        shape = given if op.type == "Conv2DBackpropInput" else made
        sizes = shape[1:-1]
        macs = 0 if None in sizes else weights * math.prod(n for n in sizes if n is not None)
        found.append(LayerFacts(op.name, op.type, made, weights, macs))
    return found


def _constant(op: Any) -> bool:
    while op.type in ("Identity", "Reshape"):
        op = op.inputs[0].op
    return bool(op.type == "Const")


def _activation(op: Any) -> str:
    while op.type in _PASSING and op.inputs:
        op = op.inputs[0].op
    return "linear" if op.type in _LINEAR else _ACTIVATIONS.get(op.type, "")


def _shape(shape: Any) -> Shape:
    return () if shape.rank is None else tuple(shape.as_list())
