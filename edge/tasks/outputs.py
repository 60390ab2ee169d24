"""Reads a model's raw outputs by the role that the manifest gives them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.contract.manifest import Manifest, Role, TensorSpec
from edge.contract.quantize import dequantize
from edge.errors import EngineError, ModelError, NonFiniteOutput
from edge.records import Floats, Outputs


@dataclass(frozen=True, slots=True)
class OutputReader:
    """One output of one variant.

    Parameters
    ----------
    model
        The bundle's name, for messages.
    name
        The output's.
    spec
        Its tensor.
    """

    model: str
    name: str
    spec: TensorSpec

    def raw(self, outputs: Outputs) -> npt.NDArray[Any]:
        """The output as the model gave it, (N, ...).

        Raises
        ------
        EngineError
            It is not there or has another dtype or shape than the manifest says.
        NonFiniteOutput
            It holds NaN or infinity.
        """
        array = outputs.get(self.name)
        if array is None:
            raise EngineError(f"model {self.model}: the engine gave no output {self.name!r}")
        if array.dtype != self.spec.dtype or array.shape[1:] != self.spec.shape[1:]:
            raise EngineError(
                f"model {self.model}: output {self.name!r} is {array.dtype.name} {array.shape}, "
                f"the manifest says {self.spec.dtype} {self.spec.shape}"
            )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise NonFiniteOutput(
                f"model {self.model}: output {self.name!r} holds NaN or infinity",
                hint="the model file or the machine's memory is damaged: run `linesight check`",
            )
        return array

    def real(self, values: npt.NDArray[Any]) -> Floats:
        """Any part of the raw output as real numbers."""
        spec = self.spec
        if spec.scale is None or spec.zero_point is None:
            return values.astype(np.float32, copy=False)
        if values.dtype.itemsize == 1:
            return _table(spec.dtype, spec.scale, spec.zero_point)[values.view(np.uint8)]
        return dequantize(values, spec.scale, spec.zero_point)


@lru_cache
def _table(dtype: str, scale: float, zero_point: int) -> Floats:
    """What each of the 256 bytes means, (256,): looking up costs a third of computing anew."""
    return dequantize(np.arange(256, dtype=np.uint8).view(dtype), scale, zero_point)


def output_reader(manifest: Manifest, variant: str, role: Role) -> OutputReader:
    """The reader of the output that has this role in one variant of a bundle.

    Raises
    ------
    ModelError
        The manifest has no such variant or no such role.
    """
    for key, facts in manifest.variants.items():
        for name, found in manifest.outputs.items():
            if key == variant and found == role:
                return OutputReader(manifest.name, name, facts.outputs[name])
    raise ModelError(f"model {manifest.name}: no output with role {role} in variant {variant!r}")
