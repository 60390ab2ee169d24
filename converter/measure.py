"""What one variant is worth, measured as the device will run it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converter.draft import Draft
from converter.gate import shortfalls
from converter.parity import HeldBack, Runner, Score, TensorError, agreement
from converter.say import Say
from converter.tflite import ConversionError, LayerError, ModelFile, compare_layers
from edge.contract.bundle import Bundle
from edge.contract.golden import golden_inputs
from edge.contract.preprocess import Preprocessor
from edge.engines import open_engine
from edge.errors import ModelError

GOLDEN_SEED = 2024

LAYERS_COMPARED = 16
"""Held-back items over which layers are compared one by one."""

SATURATED = 0.01
"""Share of a layer's values outside of its calibrated range from which on that is said."""

_RUNS, _SECONDS = 10, 0.4


@dataclass(frozen=True, slots=True)
class Measured:
    """All that is known about one variant.

    Parameters
    ----------
    made
        Its file.
    score
        On the held-back pictures.
    agreed
        Share of the items on which it decides as Keras does.
    errors
        Against Keras, by output.
    layers
        Against the float32 file, in running order; empty for float variants.
    latency_ms
        CPU threads → ``p50`` and ``p95`` of one inference on this machine, in milliseconds.
    reasons
        Why it may not be bundled; empty when it may.
    warnings
        What a person should know about it all the same.
    float_layers
        Those left in float to hold the budget.
    """

    made: ModelFile
    score: Score
    agreed: float
    errors: Mapping[str, TensorError]
    layers: tuple[LayerError, ...]
    latency_ms: Mapping[int, Mapping[str, float]]
    reasons: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    float_layers: tuple[str, ...] = field(default=())

    @property
    def passed(self) -> bool:
        """It may become part of the bundle."""
        return not self.reasons


class Bench:
    """Measures variants of one model against the Keras model.

    Parameters
    ----------
    draft
        Makes the manifest that a variant is run under.
    held_back
        The items that judge.
    keras, baseline
        The Keras model and its score.
    folder
        Scratch: model files are written there and loaded as on the device.
    say
        Hears how far it is.
    """

    def __init__(
        self,
        draft: Draft,
        held_back: HeldBack,
        keras: Runner,
        baseline: Score,
        folder: Path,
        say: Say,
    ) -> None:
        self.baseline = baseline
        self.held_back = held_back
        self._draft = draft
        self._keras = keras
        self._folder = folder
        self._say = say

    def bundle(self, made: ModelFile) -> Bundle:
        """A bundle of this one variant, in the scratch folder."""
        self._folder.mkdir(exist_ok=True)
        (self._folder / f"model.{made.variant}.tflite").write_bytes(made.content)
        return Bundle(self._folder, self._draft.of([made], {}))

    def measure(
        self, made: ModelFile, reference: ModelFile, float_layers: tuple[str, ...] = ()
    ) -> Measured:
        """Run a variant on the held-back pictures and hold it against the recipe's gate.

        Parameters
        ----------
        made
            The variant.
        reference
            The float32 variant, whose layers an integer variant's are compared with.
        float_layers
            What was left in float when it was made.

        Raises
        ------
        ConversionError
            It does not run.
        """
        bundle = self.bundle(made)
        try:
            engine = open_engine(bundle, made.variant)
        except ModelError as error:
            raise ConversionError(
                f"variant {made.variant}: was made, but does not run: {error.message}",
                hint="leave it out of [variants] of the recipe",
            ) from error
        with closing(engine):
            told = partial(self._say.step, f"{made.variant}: judged")
            score = self.held_back.judge(bundle.manifest, engine, progress=told)
            spec = bundle.input_tensor(made.variant)
            errors = self.held_back.errors(self._keras, engine, spec, made.outputs)
        agreed = agreement(self.baseline.decisions, score.decisions)
        recipe = self.held_back.recipe
        layers = self._layers(made, reference)
        return Measured(
            made,
            score,
            agreed,
            errors,
            layers,
            latency(bundle, made.variant),
            tuple(shortfalls(recipe, made.variant, self.baseline, score, agreed, errors)),
            tuple(_saturated(layers)),
            float_layers,
        )

    def _layers(self, made: ModelFile, reference: ModelFile) -> tuple[LayerError, ...]:
        if made.variant not in ("int8", "int16x8"):
            return ()
        tensors = self.held_back.tensors(LAYERS_COMPARED)
        return compare_layers(reference.content, made.content, tensors)


def latency(bundle: Bundle, variant: str) -> dict[int, dict[str, float]]:
    """Milliseconds of one inference, warm, on one and on two threads of this machine."""
    spec = bundle.input_tensor(variant)
    preprocessor = Preprocessor(bundle.manifest.input, spec)
    images = golden_inputs(bundle.manifest.input.shape, GOLDEN_SEED)
    tensors = [preprocessor.prepare([image])[0].copy() for image in images]
    found = {}
    for threads in (1, 2):
        with closing(open_engine(bundle, variant, threads=threads)) as engine:
            times = _times(engine, tensors)
        p50, p95 = np.percentile(times, (50, 95))
        found[threads] = {"p50": round(float(p50), 3), "p95": round(float(p95), 3)}
    return found


def _times(engine: Runner, tensors: list[npt.NDArray[Any]]) -> list[float]:
    engine.infer(tensors[0])
    times: list[float] = []
    end = time.perf_counter() + _SECONDS
    while len(times) < _RUNS or time.perf_counter() < end:
        began = time.perf_counter()
        engine.infer(tensors[len(times) % len(tensors)])
        times.append(1000 * (time.perf_counter() - began))
    return times


def _saturated(layers: tuple[LayerError, ...]) -> list[str]:
    return [
        f"{layer.operator} {layer.name}: {100 * layer.saturated:.1f} % of its values on held-back "
        f"items lie outside of the calibrated range [{layer.low:.3g}, {layer.high:.3g}]"
        for layer in layers
        if layer.saturated >= SATURATED
    ]
