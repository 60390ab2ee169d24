"""Input specifications and tensors for tests of the preprocessing."""

from __future__ import annotations

from typing import Any

from edge.contract.manifest import InputSpec, TensorSpec


def input_spec(
    height: int = 24,
    width: int = 32,
    *,
    mode: str = "stretch",
    color: str = "RGB",
    interpolation: str = "linear",
    pad: int = 127,
    mean: float = 127.5,
    std: float = 127.5,
) -> InputSpec:
    """A model input; ``mean`` and ``std`` are the same for all channels."""
    channels = 1 if color == "GRAY" else 3
    facts: dict[str, Any] = {
        "name": "image",
        "shape": (1, height, width, channels),
        "color": color,
        "resize": {"mode": mode, "pad": pad, "interpolation": interpolation},
        "normalize": {"mean": (mean,) * channels, "std": (std,) * channels},
    }
    return InputSpec.model_validate(facts)


def tensor_spec(spec: InputSpec, dtype: str = "float32") -> TensorSpec:
    """The tensor of such an input; integers hold [-1, 1]."""
    facts: dict[str, Any] = {"dtype": dtype, "shape": spec.shape}
    if dtype != "float32":
        facts["scale"] = 1 / 32767 if dtype == "int16" else 2 / 255
        facts["zero_point"] = {"uint8": 128, "int8": 0, "int16": 0}[dtype]
    return TensorSpec.model_validate(facts)
