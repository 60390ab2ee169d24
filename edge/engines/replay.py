"""Plays a bundle's golden outputs; needs no inference runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edge.contract.bundle import Bundle
from edge.contract.golden import read_golden
from edge.contract.preprocess import Preprocessor
from edge.engines.spec import check_tensor
from edge.errors import EngineError, ModelError
from edge.records import ModelRef, Outputs


class ReplayEngine:
    """Gives for the tensor of a golden image what the model gave when the bundle was written.

    It knows no other tensor and says so: a guess, such as the nearest golden image, would hide the
    very mistakes in preprocessing that a replay can show. With it a decode runs on a machine
    without a runtime, and any golden image goes through a whole task.

    Parameters
    ----------
    bundle, variant
        Whose outputs to play.

    Raises
    ------
    ModelError
        There is no such variant, or nothing stored for it.
    """

    def __init__(self, bundle: Bundle, variant: str) -> None:
        manifest, facts = bundle.manifest, bundle.variant(variant)
        self.model = ModelRef(manifest.name, manifest.version, variant, facts.sha256)
        self._path = bundle.golden_path
        self._spec = bundle.input_tensor(variant)
        golden = read_golden(bundle.golden_path)
        if variant not in golden.outputs:
            raise ModelError(f"{self._path}: nothing for variant {variant}")
        preprocessor = Preprocessor(manifest.input, self._spec)
        self._known = {
            preprocessor.prepare([image])[0].tobytes(): outputs
            for image, outputs in zip(golden.images, golden.outputs[variant], strict=True)
        }
        self._names = tuple(manifest.outputs)

    def infer(self, tensor: npt.NDArray[Any]) -> Outputs:
        """Look up what the model gave, see :class:`edge.protocols.Engine`."""
        check_tensor(self._path, tensor, self._spec)
        parts = []
        for index, image in enumerate(tensor):
            outputs = self._known.get(image.tobytes())
            if outputs is None:
                raise EngineError(f"{self._path}: image {index} of the batch is no golden image")
            parts.append(outputs)
        return {name: np.concatenate([part[name] for part in parts]) for name in self._names}

    def close(self) -> None:
        """Forget the outputs."""
        self._known = {}
