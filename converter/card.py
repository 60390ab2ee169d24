"""``CARD.md``: what is known about a bundle, every figure with where it comes from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from converter.keras_model import ModelFacts
from converter.measure import Measured
from converter.parity import Score
from converter.recipe import Recipe
from edge.contract.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Facts:
    """All that CARD.md reports.

    Parameters
    ----------
    model
        What was read of the Keras file.
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

    model: ModelFacts
    calibration: int
    held_back: int
    baseline: Score
    variants: Mapping[str, Measured]
    skipped: Sequence[str]
    training: Mapping[str, Any]


def render(recipe: Recipe, manifest: Manifest, facts: Facts) -> str:
    """The text of CARD.md."""
    parts = (
        _head(recipe, manifest, facts),
        _variants(recipe, manifest, facts),
        _figures(facts),
        _limits(recipe),
        _notice(recipe),
    )
    return "\n".join(line for part in parts for line in part) + "\n"


def signed(difference: float) -> str:
    """A difference with its sign and four digits, never ``-0.0000``."""
    return f"{round(difference, 4) + 0.0:+.4f}"


def _head(recipe: Recipe, manifest: Manifest, facts: Facts) -> Iterator[str]:
    spec = manifest.input
    yield from (f"# {recipe.name} {recipe.version}", "", recipe.card.purpose.strip(), "")
    yield f"- Task: {recipe.task}; labels: {', '.join(recipe.labels)}."
    yield (
        f"- Input: {spec.height} × {spec.width} px (height × width), {spec.color}, "
        f"{spec.resize.mode}; {facts.model.parameters:,} parameters."
    )
    trained = "; trained by `linesight-convert train recipe.toml --data DIR`"
    yield (
        f"- Made by `linesight-convert convert recipe.toml --keras FILE --data DIR` on "
        f"{manifest.provenance.created}{trained if recipe.training else ''}."
    )
    yield f"- {facts.model.format}, sha256 `{manifest.provenance.keras_sha256}`."
    yield from ("", "## Data", "", recipe.card.data.strip(), "")
    split = (
        "Calibration and judgement take their pictures from different folders."
        if recipe.gate.sources
        else "The split is by whole groups of near-twin pictures."
    )
    yield (
        f"{split} The integer variants are calibrated with {facts.calibration} items (sha256 "
        f"`{manifest.provenance.data_sha256}`); every figure below is measured on the "
        f"{facts.held_back} items that are held back, of which the calibration has seen none"
        f"{', nor the training' if recipe.training else ''}."
    )
    if facts.training:
        yield "The training chose its best epoch on this side, which flatters the figures a little."
    yield ""


def _variants(recipe: Recipe, manifest: Manifest, facts: Facts) -> Iterator[str]:
    metric = recipe.gate.metric
    details = list(_details(facts.baseline))
    head = ["variant", "bytes", metric, "against Keras", "alike", *details, "largest error"]
    yield from ("## Variants", "", _row(head), "|---|" + "---:|" * (len(head) - 2) + "---|")
    values = _details(facts.baseline).values()
    yield _row(["Keras", "", f"{facts.baseline.value:.4f}", "", "", *values, ""])
    for name, variant in manifest.variants.items():
        found = facts.variants[name]
        errors = (
            f"{output} {error.largest:.3g} of {error.span:.3g}"
            for output, error in sorted(found.errors.items())
        )
        lost = signed(found.score.value - facts.baseline.value)
        values = _details(found.score).values()
        alike = f"{100 * found.agreed:.2f} %"
        cells = [name, f"{variant.bytes:,}", f"{found.score.value:.4f}", lost, alike, *values]
        yield _row([*cells, ", ".join(errors)])
    yield ""
    yield (
        f"{metric} over {facts.baseline.n} held-back "
        f"{'items' if recipe.task == 'classification' else 'pictures'}, by the same code as "
        f"`linesight eval`; a variant may lose {recipe.gate.budget:g}. Alike: the share of "
        f"{len(facts.baseline.decisions)} items on which it decides as Keras does. The largest "
        f"error is that of one output value, beside the span of values that Keras gives."
    )
    for found in facts.variants.values():
        if found.float_layers:
            layers = ", ".join(name.partition(";")[0] for name in found.float_layers)
            yield f"In {found.made.variant} these layers stay in float: {layers}."
    yield from (f"Left out: {line}." for line in facts.skipped)


def _figures(facts: Facts) -> Iterator[str]:
    name = "float32" if "float32" in facts.variants else "Keras"
    score = facts.variants["float32"].score if name == "float32" else facts.baseline
    yield from ("", f"## All figures of {name}", "")
    yield (
        "In brackets: 95 % intervals, by drawing the pictures again; `docs/evaluation.md` explains "
        "every figure."
    )
    yield from ("", "| figure | value |", "|---|---:|")
    for source, section in score.sections.items():
        yield from (_row([f"{source}: {key}", value]) for key, value in _flat(section))
    if facts.training:
        yield from ("", "## What the training measured (`metrics.json`)", "")
        yield from ("| figure | value |", "|---|---:|")
        # A whole curve of thresholds, beside the one that was read off.
        shown = {key: value for key, value in facts.training.items() if key != "at_precision"}
        yield from (_row(pair) for pair in _flat(shown))


def _limits(recipe: Recipe) -> Iterator[str]:
    yield from ("", "## Limits", "")
    yield from (f"- {limit}" for limit in recipe.card.limits)


def _notice(recipe: Recipe) -> Iterator[str]:
    if recipe.card.notice:
        yield from ("", "## Notice", "", recipe.card.notice.strip())


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _details(score: Score) -> dict[str, str]:
    """The figures beside the gate's metric that a reader compares between variants."""
    return {
        f"{source}: {key}": f"{section[name][key]:.4f}"
        for source, section in score.sections.items()
        for name, key in (
            ("detection", "recall"),
            ("detection", "precision"),
            ("classification", "accuracy"),
        )
        if key in section.get(name, {})
    }


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested figures as ``a.b.c`` → text, each with its interval, a section's own ones first."""
    ranges = table.get("interval", {})
    for key, value in table.items():
        if isinstance(value, float):
            low, high = ranges.get(key, (None, None))
            beside = "" if low is None else f" ({low:.2f}-{high:.2f})"
            yield prefix + str(key), f"{value:.4f}{beside}"
        elif not isinstance(value, Mapping):
            yield prefix + str(key), str(value)
    for key, value in table.items():
        if isinstance(value, Mapping) and key != "interval":
            yield from _flat(value, f"{prefix}{key}.")
