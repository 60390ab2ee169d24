"""From a recipe, a Keras file and pictures to measured variants: everything but writing them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from converter.baseline import KerasEngine
from converter.draft import Draft
from converter.gate import GateNotMet, check_baseline, refusal
from converter.keras_model import ModelFacts
from converter.measure import Bench, Measured
from converter.parity import HeldBack, Score
from converter.probe import Probe, check_probe, probe
from converter.process import KerasProcess, Limits
from converter.recipe import RecipeFile
from converter.representative import RepresentativeData, check_data, draw, split_items
from converter.say import Say
from converter.tflite import ConversionError, ModelFile, worst_layers
from converter.trained import read_training, threshold_warning, trained_score
from converter.variants import INTEGER, VariantMaker
from edge.engines import open_engine
from edge.errors import LineSightError

DEFAULT_LIMITS = Limits()

NAMED = 3
"""So many of the worst layers are named when a variant misses its gate."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to convert.

    Parameters
    ----------
    file
        The recipe.
    keras
        The trained model; ``metrics.json`` beside it, if there is one, goes into the card.
    data
        The folder of pictures that the recipe's sources name.
    weights
        Those of a network that is a JSON file; None looks beside it.
    limits
        Of the process that loads the model.
    """

    file: RecipeFile
    keras: Path
    data: Path
    weights: Path | None = None
    limits: Limits = DEFAULT_LIMITS


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that was measured.

    Parameters
    ----------
    request
        What was asked for.
    draft
        Makes the manifest.
    model
        What was read of the Keras file.
    calibration, held_back
        The items that calibrate, and those that judge.
    baseline
        The Keras model's score.
    probe
        How the model does with other preprocessings.
    training
        ``metrics.json`` of the training, empty when there is none.
    variants
        Those that could be made, in the recipe's order, also if they missed their gate.
    failures
        Variant → why it may not be bundled.
    refused
        Why the Keras model itself is refused; then there are no variants.
    """

    request: Request
    draft: Draft
    model: ModelFacts
    calibration: RepresentativeData
    held_back: HeldBack
    baseline: Score
    probe: Probe
    training: Mapping[str, Any]
    variants: Mapping[str, Measured] = field(default_factory=dict)
    failures: Mapping[str, LineSightError] = field(default_factory=dict)
    refused: GateNotMet | None = None

    @property
    def passed(self) -> tuple[Measured, ...]:
        """The variants that may be bundled."""
        return tuple(found for found in self.variants.values() if found.passed)


def run(request: Request, say: Say) -> Outcome:
    """Load the model, make every variant of the recipe and measure it.

    A gate that is not met is no error here but stands in the outcome: people want to see most of
    all what failed.

    Raises
    ------
    KerasModelError, ConversionError, DataError, ConfigError
        The model, its float32 variant, the data, or what the training says of the split is wrong.
    """
    recipe = request.file.recipe
    check_data(recipe, request.data)
    training = read_training(request.keras, recipe)
    if warning := threshold_warning(recipe, training):
        say(f"warning: {warning}")
    with closing(
        KerasProcess(request.keras, weights=request.weights, limits=request.limits)
    ) as process:
        facts = process.facts
        say(f"{request.keras.name}: {facts.format}, {facts.parameters:,} parameters")
        outputs = process.export(recipe.input_spec, sorted(recipe.outputs), recipe.activations)
        calibration, held_back = _items(request, say)
        keras = KerasEngine(process, recipe, outputs)
        draft = Draft(request.file, facts.sha256, calibration.sha256)
        baseline = held_back.judge(
            draft.of_keras(keras), keras, progress=partial(say.step, "keras: judged")
        )
        say(f"keras: {recipe.gate.metric} {baseline.value:.4f} on {baseline.n}")
        bench = Bench(draft, held_back, keras, baseline, process.folder / "bench", say)
        maker = VariantMaker(process, recipe, process.folder / "calibration.npy", say)
        reference = maker.make("float32")
        outcome = Outcome(
            request,
            draft,
            facts,
            calibration,
            held_back,
            baseline,
            _probed(bench, reference),
            training,
        )
        try:
            check_probe(recipe, outcome.probe)
            check_baseline(recipe, baseline, trained_score(recipe, training))
        except GateNotMet as error:
            return replace(outcome, refused=error)
        if set(recipe.variants) & set(INTEGER):
            calibration.save(
                process.folder / "calibration.npy", partial(say.step, "calibration: prepared")
            )
        return _variants(outcome, maker, bench, reference, say)


def _items(request: Request, say: Say) -> tuple[RepresentativeData, HeldBack]:
    """What calibrates and what judges, with what there is to say about it."""
    recipe = request.file.recipe
    sides = split_items(recipe, request.data)
    calibration = draw(recipe, request.data, sides)
    say(f"{len(calibration.items)} items to calibrate with, {len(sides.held_back)} to judge with")
    for warning in calibration.warnings():
        say(f"warning: {warning}")
    return calibration, HeldBack.of(recipe, request.data, sides)


def _probed(bench: Bench, reference: ModelFile) -> Probe:
    bundle = bench.bundle(reference)
    with closing(open_engine(bundle, "float32")) as engine:
        return probe(bench.held_back.recipe, bundle.manifest, engine, bench.held_back)


def _variants(
    outcome: Outcome, maker: VariantMaker, bench: Bench, reference: ModelFile, say: Say
) -> Outcome:
    recipe = outcome.request.file.recipe
    variants: dict[str, Measured] = {}
    failures: dict[str, LineSightError] = {}
    for variant in recipe.variants:
        try:
            found = maker.proven(variant, bench, reference)
        except ConversionError as error:
            failures[variant] = error
            continue
        variants[variant] = found
        for warning in found.warnings:
            say(f"warning: {variant}: {warning}")
        if not found.passed:
            worst = _worst(found)
            failures[variant] = refusal(recipe, variant, found.reasons, worst)
    return replace(outcome, variants=variants, failures=failures)


def _worst(found: Measured) -> list[str]:
    """The layers that cost the most, with what they leave of the signal."""
    errors = {layer.name: layer for layer in found.layers}
    return [
        f"{errors[name].operator} {name.partition(';')[0]} ({errors[name].snr_db:.0f} dB)"
        for name in worst_layers(found.layers, NAMED)
    ]
