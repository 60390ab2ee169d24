"""From a SavedModel to the model files of a bundle, and what is really in them."""

from __future__ import annotations

from converter.tflite.convert import VariantJob, convert
from converter.tflite.errors import ConversionError
from converter.tflite.layers import LayerError, compare_layers, worst_layers
from converter.tflite.operators import Operator, Tensor, read_operators, read_tensors
from converter.tflite.ranges import unlike_channels, unlike_layers
from converter.tflite.readback import ModelFile, read_back, verify

__all__ = [
    "ConversionError",
    "LayerError",
    "ModelFile",
    "Operator",
    "Tensor",
    "VariantJob",
    "compare_layers",
    "convert",
    "read_back",
    "read_operators",
    "read_tensors",
    "unlike_channels",
    "unlike_layers",
    "verify",
    "worst_layers",
]
