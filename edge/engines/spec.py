"""Hold a loaded model file to what its manifest promises."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.contract.manifest import TensorSpec
from edge.errors import EngineError, SpecMismatch

Details = Mapping[str, Mapping[str, Any]]
"""Tensor details as the interpreter gives them, keyed by the signature's names."""

_HINT = "the manifest does not belong to this file: convert the model again"


def check_tensors(
    path: Path, side: str, details: Details, promised: Mapping[str, TensorSpec]
) -> None:
    """Compare the names, shapes, dtypes and quantization of one side of a model.

    Parameters
    ----------
    path
        The model file, for the message.
    side
        ``input`` or ``output``, for the message.
    details
        What the file has.
    promised
        What the manifest says.

    Raises
    ------
    SpecMismatch
        They differ; the message names the tensor and both values.
    """
    if set(details) != set(promised):
        raise SpecMismatch(
            f"{path}: {side}s {', '.join(sorted(details))} in the file, "
            f"{', '.join(sorted(promised))} in the manifest",
            hint=_HINT,
        )
    for name, spec in promised.items():
        for key, found, expected in _facts(details[name], spec):
            if found != expected:
                raise SpecMismatch(
                    f"{path}: {side} {name}: {key} {found} in the file, {expected} in the manifest",
                    hint=_HINT,
                )


def _facts(detail: Mapping[str, Any], spec: TensorSpec) -> list[tuple[str, object, object]]:
    """What to compare: name, in the file, in the manifest."""
    scale, zero_point = detail["quantization"]  # (0.0, 0) for tensors that are not quantized
    # The file holds float32; a manifest may hold more digits of the same number.
    promised_scale = float(np.float32(spec.scale)) if spec.scale is not None else 0.0
    return [
        ("dtype", np.dtype(detail["dtype"]).name, spec.dtype),
        ("shape", tuple(int(size) for size in detail["shape"]), spec.shape),
        ("scale", float(np.float32(scale)), promised_scale),
        ("zero_point", int(zero_point), spec.zero_point or 0),
    ]


def check_tensor(path: Path, tensor: npt.NDArray[Any], spec: TensorSpec) -> None:
    """Refuse a batch that is not (N, ...) with N >= 1 of what the model takes.

    Raises
    ------
    EngineError
        Its shape or dtype is another; the message names both.
    """
    if tensor.dtype.name != spec.dtype or tensor.shape[1:] != spec.shape[1:] or not len(tensor):
        raise EngineError(
            f"{path}: got a tensor {tensor.dtype.name} {tensor.shape}, "
            f"expected {spec.dtype} (N, {', '.join(str(size) for size in spec.shape[1:])})"
        )
