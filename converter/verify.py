"""Repeat a bundle's gate on this machine, with the data it was made with or with other data."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from converter.gate import GateNotMet
from converter.parity import HeldBack, Score, agreement
from converter.recipe import Recipe, load_recipe
from converter.representative import draw, split_items
from converter.say import Say
from edge.contract.bundle import Bundle, load_bundle
from edge.contract.errors import HashMismatch
from edge.contract.golden import check_golden
from edge.engines import open_engine

REPEATED = 0.005
"""A metric measured again on the same data may differ by this, or by two items: another CPU rounds
elsewhere.
"""


@dataclass(frozen=True, slots=True)
class Verified:
    """One variant's gate, then and now.

    Parameters
    ----------
    variant
        Which one.
    value, recorded
        The gate's metric now, and as the manifest has it.
    baseline
        What it is held against: Keras as the manifest has it, or on other data the float32
        variant; None when there is neither.
    agreed, decisions
        Share of the items on which it decides as the float32 variant, None when there is none; and
        how many decisions there are.
    reasons
        Why it does not hold; empty when it does.
    """

    variant: str
    value: float
    recorded: float
    baseline: float | None
    agreed: float | None
    decisions: int
    reasons: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """For ``--json``; what is not known is absent."""
        facts = {
            "value": self.value,
            "recorded": self.recorded,
            "baseline": self.baseline,
            "agreement": self.agreed,
            "decisions": self.decisions,
            "passed": not self.reasons,
            "reasons": list(self.reasons),
        }
        return {key: value for key, value in facts.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Verification:
    """What :func:`verify` found.

    Parameters
    ----------
    bundle
        Which one.
    same_data
        Whether the pictures that calibrate are, byte by byte, those of the conversion.
    items
        How many judged.
    variants
        All of the bundle's.
    """

    bundle: Bundle
    same_data: bool
    items: int
    variants: tuple[Verified, ...]

    def to_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "bundle": self.bundle.manifest.name,
            "version": self.bundle.manifest.version,
            "same_data": self.same_data,
            "items": self.items,
            "variants": {found.variant: found.to_json() for found in self.variants},
        }


def verify(path: Path, data: Path, say: Say) -> Verification:
    """Judge every variant of a bundle as its conversion did: golden vectors, metric, agreement.

    Parameters
    ----------
    path
        The bundle's folder, with its recipe.
    data
        The folder of pictures that the recipe's sources name.
    say
        Hears how far it is.

    Raises
    ------
    ModelError
        The bundle is incomplete, a file of it is not the one that was written, or its golden
        vectors come out differently here.
    ConfigError, DataError
        The recipe or the data cannot be read.
    """
    bundle = load_bundle(path)
    file = load_recipe(path / "recipe.toml")
    if file.sha256 != bundle.manifest.provenance.recipe_sha256:
        raise HashMismatch(
            f"{file.path}: is not the recipe that the bundle was made with",
            hint="convert again, or bring the old recipe back",
        )
    recipe = file.recipe
    sides = split_items(recipe, data)
    drawn = draw(recipe, data, sides)
    same = drawn.sha256 == bundle.manifest.provenance.data_sha256
    held_back = HeldBack.of(recipe, data, sides)
    say(f"{bundle.manifest.name} {bundle.manifest.version}, {len(held_back.items)} items to judge")
    if not same:
        say("warning: this is not the data of the conversion: float32 is the baseline, not Keras")
    scores = {str(name): _score(bundle, name, held_back, say) for name in bundle.manifest.variants}
    found = tuple(_verified(bundle, recipe, name, scores, same=same) for name in scores)
    return Verification(bundle, same, len(held_back.items), found)


def check_verification(verification: Verification) -> None:
    """Every variant holds its gate.

    Raises
    ------
    GateNotMet
        One line for each that does not.
    """
    name = verification.bundle.manifest.name
    lines = [
        f"{name}: variant {found.variant} {'; it '.join(found.reasons)}"
        for found in verification.variants
        if found.reasons
    ]
    if lines:
        raise GateNotMet("\n".join(lines), hint="convert again, with data like this")


def _score(bundle: Bundle, variant: str, held_back: HeldBack, say: Say) -> Score:
    with closing(open_engine(bundle, variant)) as engine:
        check_golden(bundle, variant, engine.infer)
        told = partial(say.step, f"{variant}: judged")
        score = held_back.judge(bundle.manifest, engine, progress=told)
    say(f"{variant}: {bundle.variant(variant).gate.metric} {score.value:.4f}")
    return score


def _verified(
    bundle: Bundle, recipe: Recipe, variant: str, scores: dict[str, Score], *, same: bool
) -> Verified:
    gate, score = bundle.variant(variant).gate, scores[variant]
    reference = scores.get("float32")
    other = reference.value if reference is not None else None
    baseline = gate.float_ if same else other
    agreed = agreement(reference.decisions, score.decisions) if reference is not None else None
    reasons = []
    if same and abs(score.value - gate.value) > max(REPEATED, 2 / score.n):
        reasons.append(
            f"reaches {gate.metric} {score.value:.4f}, the manifest says {gate.value:.4f}"
        )
    if baseline is not None and baseline - score.value > recipe.gate.budget + 1e-9:
        reasons.append(
            f"loses {baseline - score.value:.4f} of {gate.metric} {baseline:.4f}, "
            f"gate.budget is {recipe.gate.budget:g}"
        )
    if baseline is None:
        reasons.append("cannot be judged on other data than its own: the bundle has no float32")
    if score.value < recipe.gate.least - recipe.gate.budget:
        reasons.append(
            f"reaches {gate.metric} {score.value:.4f}, gate.least is {recipe.gate.least:g}"
        )
    if agreed is not None and agreed < recipe.gate.agreement:
        reasons.append(
            f"decides as float32 on {100 * agreed:.2f} % of {len(score.decisions)} items, "
            f"gate.agreement is {recipe.gate.agreement:g}"
        )
    return Verified(
        variant,
        score.value,
        gate.value,
        baseline,
        agreed,
        len(score.decisions),
        tuple(reasons),
    )
