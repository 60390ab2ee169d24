"""The float constants of a TensorFlow Lite file, for a graph that is built anew around them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from edge.errors import ModelError


def read_convolutions(path: Path) -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Kernels [rows, columns, in, out], as Keras has them, and biases [out] by layer name.

    The layer's name is what stands before ``/kernel``, less a trailing ``_1`` that an export adds.

    Raises
    ------
    ModelError
        The file is not there, or no TensorFlow Lite model.
    """
    try:
        interpreter = Interpreter(model_path=str(path))
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError, OSError) as error:
        raise ModelError(
            f"{path}: not a readable TensorFlow Lite file ({error})",
            hint="name the file of the trained detector in [training].labeller, or leave it out",
        ) from error
    details = {entry["name"]: entry["index"] for entry in interpreter.get_tensor_details()}
    found = {}
    for name, index in details.items():
        layer, _, part = name.rpartition("/")
        bias = details.get(f"{layer}/convolution_bias")
        if part == "kernel" and bias is not None:
            kernel = interpreter.get_tensor(index)
            found[layer.removesuffix("_1")] = (
                np.ascontiguousarray(kernel.transpose(1, 2, 3, 0)),
                interpreter.get_tensor(bias),
            )
    return found
