"""What a model must reach before it may become part of a bundle, in words that say what to do."""

from __future__ import annotations

from collections.abc import Sequence

from converter.parity import Score, TensorError
from converter.recipe import Recipe
from edge.contract.manifest import Gate
from edge.errors import LineSightError

AGREEMENT = {"accuracy": 0.003, "ap": 0.01, "dice": 0.01}
"""How far the training's own figure and ours may lie apart. A training matches boxes by its own
code; of classifications only rounding remains, and letterboxed in place of stretched costs 0.005.
"""

FLOAT32_ERROR = 2e-4
"""Largest difference between Keras and the float32 variant, as a share of the output's span (of 1
when that is smaller): the order of additions differs, nothing else may.
"""

_INPUT = (
    "the recipe's input (color, normalize, resize) is not what it was trained with, "
    "or metrics.json belongs to another model"
)


class GateNotMet(LineSightError):
    """A model is worse on the held-back pictures than the recipe allows; nothing was written."""


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
        raise GateNotMet(f"{reached}, its training measured {trained:.4f} on the same", hint=_INPUT)
    if score.value < recipe.gate.least:
        raise GateNotMet(
            f"{reached}, gate.least is {recipe.gate.least:g}",
            hint="either it is not trained yet, or the recipe's input (color, normalize, resize) "
            "is not what it was trained with",
        )


def shortfalls(
    recipe: Recipe,
    variant: str,
    baseline: Score,
    score: Score,
    agreed: float,
    errors: dict[str, TensorError],
) -> list[str]:
    """Why a variant may not be bundled; empty when it may.

    Parameters
    ----------
    recipe
        Its ``gate`` says what is allowed.
    variant
        Which one.
    baseline, score
        Of the Keras model and of the variant.
    agreed
        Share of the items on which both decide the same.
    errors
        By output.
    """
    found = []
    gate = recipe.gate
    lost = baseline.value - score.value
    if lost > gate.budget + 1e-9:
        found.append(
            f"reaches {gate.metric} {score.value:.4f} on {score.n} held-back items, Keras "
            f"{baseline.value:.4f}: it loses {lost:.4f}, gate.budget is {gate.budget:g}"
        )
    if agreed < gate.agreement:
        found.append(
            f"decides as Keras on {100 * agreed:.2f} % of {len(score.decisions)} items, "
            f"gate.agreement is {gate.agreement:g}"
        )
    if variant == "float32":
        found += [
            f"output {name} is up to {error.largest:.3g} away from Keras, "
            f"allowed is {FLOAT32_ERROR * max(error.span, 1.0):.3g}"
            for name, error in errors.items()
            if error.largest > FLOAT32_ERROR * max(error.span, 1.0)
        ]
    return found


def refusal(
    recipe: Recipe, variant: str, reasons: Sequence[str], worst: Sequence[str]
) -> GateNotMet:
    """The error for a variant that may not be bundled, naming the layers that cost the most."""
    layers = f"; its worst layers: {', '.join(worst)}" if worst else ""
    return GateNotMet(
        f"{recipe.name}: variant {variant} {'; it '.join(reasons)}{layers}",
        hint="raise representative.count or quantize.float_layers, leave the variant out of "
        "[variants], or --skip-failed",
    )


def passed(recipe: Recipe, baseline: Score, score: Score) -> Gate:
    """What the manifest records of a variant that passed."""
    return Gate(
        metric=recipe.gate.metric,
        float_=round(baseline.value, 6),
        value=round(score.value, 6),
        n=score.n,
    )
