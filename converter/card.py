"""``CARD.md``: what is known about a bundle, every figure with where it comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from converter.parity import Score, TensorError
from converter.recipe import Recipe
from edge.contract.manifest import Manifest


@dataclass(frozen=True, slots=True)
class VariantFacts:
    """What was measured on one variant."""

    score: Score
    errors: Mapping[str, TensorError]


@dataclass(frozen=True, slots=True)
class Facts:
    """All that CARD.md reports.

    Parameters
    ----------
    parameters
        Weights of the network.
    calibration, held_back
        How many tensors int8 was calibrated with, and how many items the gates saw.
    baseline
        The Keras model's own score.
    variants
        By name; those in the manifest.
    skipped
        One line for each variant that missed its gate.
    training
        ``metrics.json`` of the training, empty when there is none.
    """

    parameters: int
    calibration: int
    held_back: int
    baseline: Score
    variants: Mapping[str, VariantFacts]
    skipped: Sequence[str]
    training: Mapping[str, Any]


def render(recipe: Recipe, manifest: Manifest, facts: Facts) -> str:
    """The text of CARD.md."""
    return "\n".join([*_head(recipe, manifest, facts), *_gates(recipe, manifest, facts)]) + "\n"


def _head(recipe: Recipe, manifest: Manifest, facts: Facts) -> Iterator[str]:
    spec = manifest.input
    yield from (f"# {recipe.name} {recipe.version}", "", recipe.card.purpose.strip(), "")
    yield f"- Task: {recipe.task}; labels: {', '.join(recipe.labels)}."
    yield (
        f"- Input: {spec.height} × {spec.width} px (height × width), {spec.color}, "
        f"{spec.resize.mode}; {facts.parameters:,} parameters."
    )
    yield (
        f"- Made by `linesight-convert convert recipe.toml --keras FILE --data DIR` on "
        f"{manifest.provenance.created}; "
        f"trained by `linesight-convert train recipe.toml --data DIR`."
    )
    yield f"- Keras file: sha256 `{manifest.provenance.keras_sha256}`."
    yield from ("", "## Data", "", recipe.card.data.strip(), "")
    yield (
        f"The split is by whole groups of near-twin pictures. int8 is calibrated with "
        f"{facts.calibration} items of the training side (sha256 "
        f"`{manifest.provenance.data_sha256}`); every figure below is measured on the held-back "
        f"side, {facts.held_back} items, which neither training nor calibration has seen."
    )
    yield ""


def _gates(recipe: Recipe, manifest: Manifest, facts: Facts) -> Iterator[str]:
    metric = recipe.gate.metric
    yield from (
        "## Variants",
        "",
        f"| variant | bytes | {metric} | against Keras | largest error |",
    )
    yield "|---|---:|---:|---:|---|"
    yield f"| Keras | | {facts.baseline.value:.4f} | | |"
    for name, variant in manifest.variants.items():
        found = facts.variants[name]
        errors = ", ".join(
            f"{output} {error.largest:.3g} of {error.span:.3g}"
            for output, error in sorted(found.errors.items())
        )
        lost = found.score.value - facts.baseline.value
        yield (f"| {name} | {variant.bytes:,} | {found.score.value:.4f} | {lost:+.4f} | {errors} |")
    yield ""
    yield (
        f"{metric} over n = {facts.baseline.n} held-back "
        f"{'pictures' if recipe.task == 'detection' else 'faces'}, by the same code as "
        f"`linesight eval`; a variant may lose {recipe.gate.budget:g}. The largest error is that "
        f"of one output value, beside the span of values that Keras gives."
    )
    yield from (f"Left out: {line}" for line in facts.skipped)
    yield from ("", "## Figures of the float32 variant or, without one, of Keras", "")
    shown = facts.variants.get("float32")
    sections = (shown.score if shown else facts.baseline).sections
    yield from ("| figure | value |", "|---|---:|")
    for source, section in sections.items():
        for key, value in _flat(section):
            yield f"| {source}: {key} | {value} |"
    if facts.training:
        yield from ("", "## Figures of the training (`metrics.json`)", "")
        yield from ("| figure | value |", "|---|---:|")
        yield from (f"| {key} | {value} |" for key, value in _flat(facts.training))
    yield from ("", "## Limits", "")
    yield from (f"- {limit}" for limit in recipe.card.limits)


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested figures as ``a.b.c`` → text."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif isinstance(value, float):
            yield prefix + str(key), f"{value:.4f}".rstrip("0").rstrip(".")
        else:
            yield prefix + str(key), str(value)
