"""Write a bundle: all of it or nothing, and only when it loads as on a device."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from converter.card import Facts, render
from converter.conversion import Outcome
from converter.folder import check_target, replacing
from converter.gate import passed
from converter.measure import GOLDEN_SEED
from edge.contract.bundle import Bundle, load_bundle
from edge.contract.golden import check_golden, golden_inputs, write_golden
from edge.contract.manifest import Manifest
from edge.contract.preprocess import Preprocessor
from edge.engines import open_engine
from edge.records import Outputs


def check_outcome(outcome: Outcome, *, skip_failed: bool) -> None:
    """The model passed its gate, and every variant did, or may be left out.

    Raises
    ------
    GateNotMet, ConversionError
        It did not; of several variants each has its line.
    """
    if outcome.refused is not None:
        raise outcome.refused
    failures = list(outcome.failures.values())
    if failures and not (skip_failed and outcome.passed):
        if len(failures) == 1:
            raise failures[0]
        kind = type(failures[0])
        raise kind("\n".join(str(failure) for failure in failures))


def write_bundle(outcome: Outcome, out: Path) -> Manifest:
    """Write what passed into the folder ``out``; an old bundle there is replaced at the very end.

    Raises
    ------
    UsageError
        Something that is no part of a bundle lies in the folder now.
    FolderError
        The bundle cannot be written; the old one is intact.
    ModelError
        What was written does not load as on a device.
    """
    recipe = outcome.request.file.recipe
    made = [found.made for found in outcome.passed]
    gates = {
        str(found.made.variant): passed(recipe, outcome.baseline, found.score)
        for found in outcome.passed
    }
    manifest = outcome.draft.of(made, gates)
    check_target(out)  # again: the conversion took minutes
    with replacing(out) as folder:
        for file in made:
            (folder / f"model.{file.variant}.tflite").write_bytes(file.content)
        (folder / "recipe.toml").write_bytes(outcome.request.file.content)
        (folder / "manifest.json").write_text(manifest.to_json(), encoding="utf-8")
        _write_golden(folder, manifest)
        card = render(recipe, manifest, _facts(outcome))
        (folder / "CARD.md").write_text(card, encoding="utf-8")
        _prove(folder)
    return manifest


def _facts(outcome: Outcome) -> Facts:
    return Facts(
        model=outcome.model,
        calibration=len(outcome.calibration.items),
        held_back=len(outcome.held_back.items),
        baseline=outcome.baseline,
        variants={found.made.variant: found for found in outcome.passed},
        skipped=[failure.message for failure in outcome.failures.values()],
        training=outcome.training,
    )


def _write_golden(folder: Path, manifest: Manifest) -> None:
    bundle = Bundle(folder, manifest)
    images = golden_inputs(manifest.input.shape, GOLDEN_SEED)
    outputs: dict[str, list[Outputs]] = {}
    for name in manifest.variants:
        preprocessor = Preprocessor(manifest.input, bundle.input_tensor(name))
        with closing(open_engine(bundle, name)) as engine:
            outputs[name] = [engine.infer(preprocessor.prepare([image])[0]) for image in images]
    write_golden(bundle.golden_path, images, outputs)


def _prove(folder: Path) -> None:
    """What was written loads as on the device: manifest, hashes, tensors, golden vectors."""
    bundle = load_bundle(folder)
    for name in bundle.manifest.variants:
        with closing(open_engine(bundle, name)) as engine:
            check_golden(bundle, name, engine.infer)
