"""The Keras model behind the seam that LiteRT stands behind: the baseline of every gate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from converter.process import KerasProcess
from converter.recipe import Recipe
from edge.contract.manifest import TensorSpec
from edge.records import ModelRef, Outputs


class KerasEngine:
    """Runs the model that a :class:`KerasProcess` has loaded and exported.

    Parameters
    ----------
    process
        Stays open; whoever started it closes it.
    recipe
        Gives name and version.
    outputs
        As the export found them: (1, ...) float32.

    Attributes
    ----------
    model
        Passes for the variant float32.
    """

    def __init__(
        self, process: KerasProcess, recipe: Recipe, outputs: Mapping[str, TensorSpec]
    ) -> None:
        self.model = ModelRef(recipe.name, recipe.version, "float32", process.facts.sha256)
        self.outputs = dict(outputs)
        self._process = process

    def infer(self, tensor: npt.NDArray[Any]) -> Outputs:
        """(N, height, width, channels) float32 → each output by name, (N, ...) float32."""
        return self._process.infer(tensor)

    def close(self) -> None:
        """Nothing to release: the process is another's."""
