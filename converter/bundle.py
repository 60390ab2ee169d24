"""From a recipe, a Keras file and labelled pictures to a bundle: nothing is written unless all of
it is proven.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from converter.card import Facts, VariantFacts, render, signed
from converter.draft import Draft
from converter.folder import check_target, replacing
from converter.keras_model import KerasEngine, KerasModel, export, load_keras
from converter.parity import GateNotMet, HeldBack, check_baseline, check_variant
from converter.recipe import Recipe, RecipeFile
from converter.representative import ENOUGH, RepresentativeData, check_data, draw, split_items
from converter.tflite import ConversionError, ModelFile, convert, read_operators
from converter.trained import read_training, threshold_warning, trained_score
from edge.contract.bundle import Bundle, load_bundle
from edge.contract.golden import check_golden, golden_inputs, write_golden
from edge.contract.manifest import Gate, Manifest
from edge.contract.preprocess import Preprocessor
from edge.engines import open_engine
from edge.errors import ModelError
from edge.records import Outputs

GOLDEN_SEED = 2024

Say = Callable[[str], None]
"""Takes one line for the person who waits."""


def make_bundle(
    file: RecipeFile, keras_file: Path, data: Path, out: Path, *, skip_failed: bool, say: Say
) -> Manifest:
    """Convert a Keras model and write the bundle, all of it or nothing.

    Parameters
    ----------
    file
        The recipe.
    keras_file
        The trained model; ``metrics.json`` beside it, if there is one, goes into the card.
    data
        The folder of labelled pictures that the recipe's sources name.
    out
        The bundle's folder; an old bundle there is replaced at the very end.
    skip_failed
        Leave out a variant that misses its gate instead of giving up.
    say
        Hears how far it is.

    Raises
    ------
    UsageError
        ``out`` is something else than a bundle's folder.
    KerasModelError, ConversionError, DataError, ConfigError
        The model, a variant, the data, or what the training says of the split is wrong.
    GateNotMet
        A model is worse on the held-back pictures than the recipe allows.
    FolderError
        The bundle cannot be written; the old one is intact.
    """
    recipe = file.recipe
    check_target(out)
    check_data(recipe, data)
    model = load_keras(keras_file, recipe.input_spec, sorted(recipe.outputs))
    training = read_training(keras_file, recipe)
    say(f"{keras_file.name}: {model.parameters:,} parameters")
    if warning := threshold_warning(recipe, training):
        say(f"warning: {warning}")
    sides = split_items(recipe, data)
    calibration = draw(recipe, data, sides)
    say(f"{len(calibration.items)} items to calibrate with, {len(sides.held_back)} to judge with")
    if len(calibration.items) < ENOUGH:
        say(
            f"warning: {len(calibration.items)} items are few to calibrate with; "
            f"int8 wants {ENOUGH} and more"
        )
    held_back = HeldBack.of(recipe, data, sides)
    engine = KerasEngine(model, recipe.name, recipe.version)
    draft = Draft(file, model.sha256, calibration.sha256)
    baseline = held_back.judge(draft.of_keras(engine), engine)
    say(f"keras: {recipe.gate.metric} {baseline.value:.4f} on {baseline.n}")
    check_baseline(recipe, baseline, trained_score(recipe, training))

    files = _convert(model, recipe, calibration, say)
    with replacing(out) as folder:
        for made in files:
            (folder / f"model.{made.variant}.tflite").write_bytes(made.content)
        gates: dict[str, Gate] = {}
        facts: dict[str, VariantFacts] = {}
        failures: list[GateNotMet] = []
        bundle = Bundle(folder, draft.of(files, {}))
        for made in files:
            found = _measure(bundle, made, held_back, engine)
            say(
                f"{made.variant}: {recipe.gate.metric} {found.score.value:.4f}, "
                f"{signed(found.score.value - baseline.value)} against Keras"
            )
            try:
                gates[made.variant] = check_variant(recipe, made.variant, baseline, found.score)
                facts[made.variant] = found
            except GateNotMet as error:
                failures.append(error)
                (folder / f"model.{made.variant}.tflite").unlink()
        if failures and not (skip_failed and gates):
            raise GateNotMet("\n".join(str(error) for error in failures))
        for failure in failures:
            say(f"warning: left out: {failure.message}")
        passed = [made for made in files if made.variant in gates]
        manifest = draft.of(passed, gates)
        _write(folder, manifest, file)
        card = Facts(
            parameters=model.parameters,
            calibration=len(calibration.items),
            held_back=len(sides.held_back),
            baseline=baseline,
            variants=facts,
            skipped=[failure.message for failure in failures],
            training=training,
        )
        (folder / "CARD.md").write_text(render(recipe, manifest, card), encoding="utf-8")
        _prove(folder)
    return manifest


def _convert(
    model: KerasModel, recipe: Recipe, calibration: RepresentativeData, say: Say
) -> list[ModelFile]:
    with tempfile.TemporaryDirectory(prefix="linesight-convert-") as folder:
        export(model, Path(folder))
        files = []
        for variant in recipe.variants:
            made = convert(Path(folder), variant, recipe, calibration.tensors)
            operators = len(read_operators(made.content))
            say(f"{variant}: {len(made.content):,} bytes, {operators} operators")
            files.append(made)
    return files


def _measure(
    bundle: Bundle, made: ModelFile, held_back: HeldBack, baseline: KerasEngine
) -> VariantFacts:
    """Run one variant, as the device will, on the held-back pictures."""
    try:
        engine = open_engine(bundle, made.variant)
    except ModelError as error:
        raise ConversionError(
            f"variant {made.variant}: was made, but does not run: {error.message}",
            hint="leave it out of [variants] of the recipe",
        ) from error
    try:
        score = held_back.judge(bundle.manifest, engine)
        spec = bundle.input_tensor(made.variant)
        return VariantFacts(score, held_back.errors(baseline, engine, spec, made.outputs))
    finally:
        engine.close()


def _write(folder: Path, manifest: Manifest, file: RecipeFile) -> None:
    """Recipe, manifest and golden vectors."""
    (folder / "recipe.toml").write_bytes(file.content)
    (folder / "manifest.json").write_text(manifest.to_json(), encoding="utf-8")
    bundle = Bundle(folder, manifest)
    images = golden_inputs(manifest.input.shape, GOLDEN_SEED)
    outputs: dict[str, list[Outputs]] = {}
    for name in manifest.variants:
        engine = open_engine(bundle, name)
        try:
            preprocessor = Preprocessor(manifest.input, bundle.input_tensor(name))
            outputs[name] = [engine.infer(preprocessor.prepare([image])[0]) for image in images]
        finally:
            engine.close()
    write_golden(bundle.golden_path, images, outputs)


def _prove(folder: Path) -> None:
    """What was written loads as on the device: manifest, hashes, tensors, golden vectors."""
    bundle = load_bundle(folder)
    for name in bundle.manifest.variants:
        engine = open_engine(bundle, name)
        try:
            check_golden(bundle, name, engine.infer)
        finally:
            engine.close()
