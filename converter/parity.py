"""Float against quantized, on pictures that neither training nor calibration has seen.

The Keras model itself is the baseline, run through the same preprocessing, decoding and metric as
the variants: what a variant loses is what the conversion cost, nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from converter.recipe import Recipe
from converter.representative import Item, Sides, read_item
from edge.contract.manifest import Manifest, TensorSpec
from edge.contract.preprocess import Preprocessor
from edge.contract.quantize import dequantize
from edge.errors import DataError
from edge.evaluation import Decision, evaluate
from edge.evaluation.evaluate import Progress
from edge.records import ModelRef, Outputs
from edge.tasks import ClassificationTask, DetectionTask, SegmentationTask

COMPARED = 32
"""Held-back items whose raw outputs are compared number by number."""

PERFECT_DB = 120.0
"""Signal-to-noise ratio of outputs without any error; beyond what float32 resolves."""


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
        How many pictures (detection, segmentation) or faces (classification) it was measured on.
    sections
        All figures of the evaluation, by the source of the data.
    decisions
        What it decided on each item, in an order that is the same for every model.
    """

    value: float
    n: int
    sections: Mapping[str, Mapping[str, Any]]
    decisions: tuple[Decision, ...] = ()


@dataclass(frozen=True, slots=True)
class TensorError:
    """How far an output lies from Keras's.

    Parameters
    ----------
    largest, mean
        Of the absolute differences, in the output's own unit.
    span
        The range of values that Keras gave.
    snr_db
        Power of Keras's values over that of the differences, in decibel, ``PERFECT_DB`` at most.
    cosine
        Of the angle between the two, as vectors.
    """

    largest: float
    mean: float
    span: float
    snr_db: float
    cosine: float


@dataclass(frozen=True, slots=True)
class HeldBack:
    """The pictures that judge: those that the calibration has not seen."""

    recipe: Recipe
    data: Path
    items: tuple[Item, ...]

    @classmethod
    def of(cls, recipe: Recipe, data: Path, sides: Sides) -> HeldBack:
        """The held-back side of a split."""
        return cls(recipe, data, sides.held_back)

    def judge(
        self,
        manifest: Manifest,
        engine: Runner,
        only: Sequence[Item] | None = None,
        progress: Progress | None = None,
    ) -> Score:
        """Run the task's own metric with the engine, which stays open.

        Parameters
        ----------
        manifest, engine
            What runs; the manifest's input may be another than the recipe's.
        only
            Items to take, all by default; of a picture with several all are taken.
        progress
            Hears how many pictures of how many are done, folder by folder.

        Raises
        ------
        DataError
            No picture can be read or none is labelled.
        NonFiniteOutput, EngineError
            The model failed.
        """
        names: dict[str, set[str]] = {}
        for item in self.items if only is None else only:
            names.setdefault(item.source, set()).add(self.name_of(item))
        sections = {}
        decisions: list[Decision] = []
        for source, pictures in sorted(names.items()):
            sections[source] = evaluate(
                self.data / source,
                only=frozenset(pictures),
                progress=progress,
                decided=decisions.append,
                **_tasks(self.recipe, manifest, engine),
            )
        return _score(self.recipe, sections, decisions)

    def name_of(self, item: Item) -> str:
        """The item's picture as the evaluation names it: below its source."""
        return item.path.relative_to(self.data / item.source).as_posix()

    def spread(self, count: int) -> tuple[Item, ...]:
        """Up to ``count`` items, evenly over all."""
        step = max(len(self.items) // count, 1)
        return self.items[::step][:count]

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
        sums = {name: _Sums() for name in outputs}
        real = Preprocessor(self.recipe.input_spec, TensorSpec(dtype="float32", shape=spec.shape))
        own = Preprocessor(self.recipe.input_spec, spec)
        for item in self.spread(COMPARED):
            image = read_item(item, self.recipe)
            expected = baseline.infer(real.prepare([image])[0])
            got = engine.infer(own.prepare([image])[0])
            for name, tensor in outputs.items():
                sums[name].add(expected[name], real_values(got[name], tensor))
        return {name: found.error() for name, found in sums.items()}

    def tensors(self, count: int) -> Iterator[npt.NDArray[np.float32]]:
        """Float input tensors (1, height, width, channels) of an even spread of items."""
        spec = self.recipe.input_spec
        preprocessor = Preprocessor(spec, TensorSpec(dtype="float32", shape=spec.shape))
        for item in self.spread(count):
            yield preprocessor.prepare([read_item(item, self.recipe)])[0]


def agreement(baseline: Iterable[Decision], decisions: Iterable[Decision]) -> float:
    """Share of the items on which two models decide the same; 1 when there is nothing to decide."""
    pairs = list(zip(baseline, decisions, strict=True))
    same = sum(a.said == b.said for a, b in pairs)
    return same / len(pairs) if pairs else 1.0


def real_values(values: npt.NDArray[Any], spec: TensorSpec) -> npt.NDArray[np.float32]:
    """An output in its own unit: dequantized when it is of integers."""
    if spec.scale is None or spec.zero_point is None:
        return values.astype(np.float32, copy=False)
    return dequantize(values, spec.scale, spec.zero_point)


def _tasks(recipe: Recipe, manifest: Manifest, engine: Runner) -> dict[str, Any]:
    match recipe.task:
        case "detection":
            return {"detector": DetectionTask(manifest, engine)}
        case "segmentation":
            return {"segmenter": SegmentationTask(manifest, engine)}
        case _:
            return {"classifier": ClassificationTask(manifest, engine)}


def _score(
    recipe: Recipe, sections: Mapping[str, Mapping[str, Any]], decisions: Sequence[Decision]
) -> Score:
    """The gate's metric over all sources together."""
    parts = list(sections.values())
    kept = tuple(decisions)
    if recipe.task == "detection":
        found = [part["detection"] for part in parts]
        weights = [int(part["images"]) for part in found]
        return Score(
            _mean([float(p.get("ap", 0.0)) for p in found], weights), sum(weights), sections, kept
        )
    if recipe.task == "segmentation":
        found = [part["dice"] for part in parts if "mean" in part["dice"]]
        if len(found) < len(parts):
            raise DataError(
                f"{', '.join(sections)}: no picture that judges holds a label of the recipe",
                hint="a segmentation is judged on pictures with defects",
            )
        weights = [int(part["images"]) for part in parts]
        return Score(
            _mean([float(p["mean"]) for p in found], weights), sum(weights), sections, kept
        )
    right = n = 0
    for part in parts:
        confusion = part["classification"].get("confusion", {})
        right += sum(row[truth] for truth, row in confusion.items())
        n += sum(sum(row.values()) for row in confusion.values())
    return Score(right / n if n else 0.0, n, sections, kept)


def _mean(values: Sequence[float], weights: Sequence[int]) -> float:
    return float(np.average(values, weights=weights))


@dataclass(slots=True)
class _Sums:
    """What a TensorError is made of, taken in one picture at a time."""

    largest: float = 0.0
    total: float = 0.0
    count: int = 0
    low: float = math.inf
    high: float = -math.inf
    signal: float = 0.0
    other: float = 0.0
    noise: float = 0.0
    product: float = 0.0

    def add(self, expected: npt.NDArray[Any], got: npt.NDArray[Any]) -> None:
        a, b = expected.astype(np.float64), got.astype(np.float64)
        apart = np.abs(a - b)
        self.largest = max(self.largest, float(apart.max()))
        self.total += float(apart.sum())
        self.count += a.size
        self.low, self.high = min(self.low, float(a.min())), max(self.high, float(a.max()))
        self.signal += float((a * a).sum())
        self.other += float((b * b).sum())
        self.noise += float((apart * apart).sum())
        self.product += float((a * b).sum())

    def error(self) -> TensorError:
        return TensorError(
            largest=self.largest,
            mean=self.total / self.count,
            span=self.high - self.low,
            snr_db=decibel(self.signal, self.noise),
            cosine=self.product / max(math.sqrt(self.signal * self.other), 1e-30),
        )


def decibel(signal: float, noise: float) -> float:
    """Ratio of two powers, between ``-PERFECT_DB`` and ``PERFECT_DB``."""
    if noise <= 0.0:
        return PERFECT_DB
    if signal <= 0.0:
        return -PERFECT_DB
    return max(-PERFECT_DB, min(PERFECT_DB, 10.0 * math.log10(signal / noise)))
