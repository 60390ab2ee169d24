"""Float against quantized, on pictures that neither training nor calibration has seen.

The Keras model itself is the baseline, run through the same preprocessing, decoding and metric as
the variants: what a variant loses is what the conversion cost, nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from converter.recipe import Recipe
from converter.representative import Item, Sides, read_item
from edge.contract.manifest import Gate, Manifest, TensorSpec
from edge.contract.preprocess import Preprocessor
from edge.contract.quantize import dequantize
from edge.errors import LineSightError
from edge.evaluation import evaluate
from edge.records import ModelRef, Outputs
from edge.tasks import ClassificationTask, DetectionTask

COMPARED = 32
"""Held-back items whose raw outputs are compared number by number."""


AGREEMENT = {"accuracy": 0.003, "ap": 0.01}
"""How far the training's own figure and ours may lie apart. A training matches boxes by its own
code; of classifications only rounding remains, and letterboxed in place of stretched costs 0.005.
"""


class GateNotMet(LineSightError):
    """A model is worse on the held-back pictures than the recipe allows; nothing was written."""


class Runner(Protocol):
    """Runs one model file; ``edge.protocols.Engine`` as far as a gate needs it."""

    model: ModelRef

    def infer(self, tensor: npt.NDArray[Any]) -> Outputs:
        """(N, height, width, channels) in the model's dtype → each output by name."""

    def close(self) -> None:
        """Release the model."""


@dataclass(frozen=True, slots=True)
class Score:
    """What a model is worth on the held-back pictures.

    Parameters
    ----------
    value
        The gate's metric, in [0, 1].
    n
        How many pictures (detection) or faces (classification) it was measured on.
    sections
        All figures of the evaluation, by the source of the data.
    """

    value: float
    n: int
    sections: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class TensorError:
    """How far an output lies from Keras's, in its own unit; ``span`` is the range Keras gave."""

    largest: float
    mean: float
    span: float


@dataclass(frozen=True, slots=True)
class HeldBack:
    """The pictures that judge: those that the training held back."""

    recipe: Recipe
    data: Path
    items: tuple[Item, ...]

    @classmethod
    def of(cls, recipe: Recipe, data: Path, sides: Sides) -> HeldBack:
        """The held-back side of a split."""
        return cls(recipe, data, sides.held_back)

    def judge(self, manifest: Manifest, engine: Runner) -> Score:
        """Run the task's own metric with the engine, which stays open.

        Raises
        ------
        DataError
            No picture can be read or none is labelled.
        NonFiniteOutput, EngineError
            The model failed.
        """
        names: dict[str, set[str]] = {}
        for item in self.items:
            relative = item.path.relative_to(self.data)
            names.setdefault(relative.parts[0], set()).add(relative.as_posix())
        sections = {}
        for source, only in sorted(names.items()):
            tasks: dict[str, Any] = (
                {"detector": DetectionTask(manifest, engine)}
                if self.recipe.task == "detection"
                else {"classifier": ClassificationTask(manifest, engine)}
            )
            sections[source] = evaluate(self.data / source, only=frozenset(only), **tasks)
        return _score(self.recipe, sections)

    def errors(
        self, baseline: Runner, engine: Runner, spec: TensorSpec, outputs: Mapping[str, TensorSpec]
    ) -> dict[str, TensorError]:
        """Compare an engine's outputs with the baseline's, number by number.

        Parameters
        ----------
        baseline
            Takes and gives float32.
        engine
            The variant.
        spec, outputs
            The variant's input and output tensors.

        Returns
        -------
        dict
            By output name, over the first ``COMPARED`` items of an even spread.
        """
        pairs: dict[str, list[tuple[npt.NDArray[Any], npt.NDArray[Any]]]] = {}
        real = Preprocessor(self.recipe.input_spec, TensorSpec(dtype="float32", shape=spec.shape))
        own = Preprocessor(self.recipe.input_spec, spec)
        for item in self._spread():
            image = read_item(item, self.recipe)
            expected = baseline.infer(real.prepare([image])[0])
            got = engine.infer(own.prepare([image])[0])
            for name, tensor in outputs.items():
                pairs.setdefault(name, []).append((expected[name], _real(got[name], tensor)))
        return {name: _error(found) for name, found in pairs.items()}

    def _spread(self) -> Iterator[Item]:
        step = max(len(self.items) // COMPARED, 1)
        yield from self.items[::step][:COMPARED]


def check_baseline(recipe: Recipe, score: Score, trained: float | None) -> None:
    """The Keras model is here what it was in its training, so the recipe's input is right.

    Parameters
    ----------
    recipe
        Whose preprocessing and ``gate.least`` count.
    score
        The Keras model's, through this recipe's preprocessing.
    trained
        What the training measured on the same pictures; None when it left no figures.

    Raises
    ------
    GateNotMet
        It is below ``gate.least``, or away from what the training measured by more
        than ``AGREEMENT`` or two items.
    """
    reached = (
        f"{recipe.name}: the Keras model reaches {recipe.gate.metric} {score.value:.4f} on "
        f"{score.n} held-back items"
    )
    allowed = max(AGREEMENT[recipe.gate.metric], 2 / score.n)
    if trained is not None and abs(score.value - trained) > allowed:
        raise GateNotMet(
            f"{reached}, its training measured {trained:.4f} on the same",
            hint="the recipe's input (color, normalize, resize) is not what it was trained with, "
            "or metrics.json belongs to another model",
        )
    if score.value < recipe.gate.least:
        raise GateNotMet(
            f"{reached}, gate.least is {recipe.gate.least:g}",
            hint="either it is not trained yet, or the recipe's input (color, normalize, resize) "
            "is not what it was trained with",
        )


def check_variant(recipe: Recipe, variant: str, baseline: Score, score: Score) -> Gate:
    """The variant loses no more than ``gate.budget``; what was measured goes into the manifest.

    Raises
    ------
    GateNotMet
        It loses more.
    """
    lost = baseline.value - score.value
    if lost > recipe.gate.budget:
        raise GateNotMet(
            f"{recipe.name}: variant {variant} reaches {recipe.gate.metric} {score.value:.4f} on "
            f"{score.n} held-back items, Keras {baseline.value:.4f}: it loses {lost:.4f}, "
            f"gate.budget is {recipe.gate.budget:g}",
            hint="raise representative.count, leave the variant out of [variants], "
            "or --skip-failed",
        )
    return Gate(
        metric=recipe.gate.metric,
        float_=round(baseline.value, 6),
        value=round(score.value, 6),
        n=score.n,
    )


def _score(recipe: Recipe, sections: Mapping[str, Mapping[str, Any]]) -> Score:
    """The gate's metric over all sources together."""
    if recipe.task == "detection":
        (found,) = (section["detection"] for section in sections.values())
        return Score(float(found.get("ap", 0.0)), int(found["images"]), sections)
    right = n = 0
    for section in sections.values():
        confusion = section["classification"].get("confusion", {})
        right += sum(row[truth] for truth, row in confusion.items())
        n += sum(sum(row.values()) for row in confusion.values())
    return Score(right / n if n else 0.0, n, sections)


def _real(values: npt.NDArray[Any], spec: TensorSpec) -> npt.NDArray[np.float32]:
    if spec.scale is None or spec.zero_point is None:
        return values.astype(np.float32, copy=False)
    return dequantize(values, spec.scale, spec.zero_point)


def _error(pairs: list[tuple[npt.NDArray[Any], npt.NDArray[Any]]]) -> TensorError:
    expected = np.stack([pair[0] for pair in pairs])
    apart = np.abs(expected - np.stack([pair[1] for pair in pairs]))
    return TensorError(float(apart.max()), float(apart.mean()), float(np.ptp(expected)))
