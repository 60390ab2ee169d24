"""What the kinds of a network's layers tell about converting it."""

from __future__ import annotations

from collections.abc import Iterable

from converter.keras_model import LayerFacts, TensorFacts

_NORMALIZING = frozenset({"Rescaling", "Normalization"})
# Tried with TensorFlow 2.21, layer by layer. When a variant is made, what is refused is named
# again, with the operator: activations inside of other layers do not show here.
_FLOAT_IN_INT8 = frozenset(
    {"ELU", "GroupNormalization", "LayerNormalization", "RMSNormalization", "UnitNormalization"}
)
_NO_INT16X8 = _FLOAT_IN_INT8 | {"PReLU"}


def normalizing(layers: Iterable[LayerFacts]) -> list[LayerFacts]:
    """Those that bring pixels into the network's own range."""
    return [layer for layer in layers if layer.kind in _NORMALIZING]


def float_in_int8(layers: Iterable[LayerFacts]) -> list[LayerFacts]:
    """Those of which an operator stays in float when the rest is int8."""
    return [layer for layer in layers if layer.kind in _FLOAT_IN_INT8]


def no_int16x8(layers: Iterable[LayerFacts]) -> list[LayerFacts]:
    """Those for which TensorFlow refuses int16x8."""
    return [layer for layer in layers if layer.kind in _NO_INT16X8]


def is_logits(output: TensorFacts) -> bool:
    """A vector without an activation: scores before their softmax or sigmoid, most likely."""
    return output.activation == "linear" and len(output.shape) == 2
