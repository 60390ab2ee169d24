"""Is the recipe's preprocessing the one the model was trained with? Try the usual other ones.

Nothing in a Keras file says how its training prepared pictures, and a wrong preprocessing raises no
error: it costs accuracy in silence. But the model tells: it is most often right, and surest of what
is true, when it sees pictures as it learned them. So it runs on the same held-back pictures with
one thing changed at a time, and is refused when a change makes it better in both, beyond chance.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from converter.gate import GateNotMet
from converter.parity import HeldBack, Runner, Score
from converter.recipe import Recipe
from edge.contract.manifest import InputSpec, Manifest, Normalize, TaskName
from edge.evaluation import Decision

SAMPLE: Mapping[TaskName, int] = {"classification": 1000, "detection": 400, "segmentation": 40}
"""Items that are tried with every preprocessing."""

SURE = 3.0
"""Standard errors by which another preprocessing must be better: chance gives that once in a
thousand tries, and the metric has to be better as well.
"""

WORTH = 0.005
"""Mean gain in the score of what is true below which another preprocessing does not matter."""

MARGIN = 0.005
"""Gain in AP or Dice that counts; a gain in accuracy counts by the items that changed sides."""

_RANGES: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "[0, 255]": ((0.0,) * 3, (1.0,) * 3),
    "[0, 1]": ((0.0,) * 3, (255.0,) * 3),
    "[-1, 1]": ((127.5,) * 3, (127.5,) * 3),
    "ImageNet mean and deviation": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "ImageNet mean": ((123.68, 116.779, 103.939), (1.0,) * 3),
}
"""Name → mean and std in RGB order."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """What the model makes of the same pictures when one thing is prepared differently.

    Parameters
    ----------
    change
        In the words of the recipe, such as ``input.color = "BGR"``.
    value, lead
        The gate's metric, and what that is more than with the recipe's own, in units of what
        could be chance.
    gain
        Mean over the pictures of the score of what is true, minus that with the recipe's own.
    sigma
        The gain in its standard errors.
    """

    change: str
    value: float
    lead: float
    gain: float
    sigma: float

    @property
    def better(self) -> bool:
        """More often right, and surer of what is true: more contrast alone makes surer only."""
        return self.lead >= 1.0 and self.gain >= WORTH and self.sigma >= SURE


@dataclass(frozen=True, slots=True)
class Probe:
    """The recipe's own metric on the tried items, and what the alternatives gave."""

    value: float
    n: int
    alternatives: tuple[Alternative, ...]

    @property
    def best(self) -> Alternative | None:
        """The one that gains the most among those that are better; None when none is."""
        better = [alternative for alternative in self.alternatives if alternative.better]
        return max(better, key=lambda alternative: alternative.gain, default=None)


def probe(recipe: Recipe, manifest: Manifest, engine: Runner, held_back: HeldBack) -> Probe:
    """Run the float model with the recipe's preprocessing and with each usual other one.

    Parameters
    ----------
    recipe
        Its input is tried.
    manifest, engine
        Of the float32 variant, which has been compared with Keras.
    held_back
        Gives the items: an even spread of ``SAMPLE`` of them.
    """
    items = held_back.spread(SAMPLE[recipe.task])
    own = held_back.judge(manifest, engine, items)
    found = []
    for change, spec in alternatives(recipe.input_spec):
        other = held_back.judge(manifest.model_copy(update={"input": spec}), engine, items)
        gain, sigma = _gain(own, other)
        lead = _lead(recipe, own, other)
        found.append(Alternative(change, other.value, lead, gain, sigma))
    return Probe(own.value, own.n, tuple(found))


def check_probe(recipe: Recipe, probe: Probe) -> None:
    """The recipe's own preprocessing is the best of those that were tried.

    Raises
    ------
    GateNotMet
        It is not, and ``gate.trust_input`` does not say otherwise.
    """
    best = probe.best
    if best is None or recipe.gate.trust_input:
        return
    raise GateNotMet(
        f"{recipe.name}: wrong preprocessing: the Keras model does better with {best.change}: "
        f"{recipe.gate.metric} {best.value:.4f} against {probe.value:.4f} on {probe.n} held-back "
        f"items, and it is surer of what is true by {best.gain:.3f}",
        hint="set the recipe's [input] to that of the training, or gate.trust_input = true",
    )


def alternatives(spec: InputSpec) -> Iterator[tuple[str, InputSpec]]:
    """Inputs that differ from ``spec`` in one thing, with that thing in the recipe's words."""
    if spec.color != "GRAY":
        swapped = "BGR" if spec.color == "RGB" else "RGB"
        yield f'input.color = "{swapped}"', spec.model_copy(update={"color": swapped})
    for name, (mean, std) in _RANGES.items():
        normalize = _normalize(spec.color, mean, std)
        if not _same(normalize, spec.normalize):
            values = f"mean = {_list(normalize.mean)}, std = {_list(normalize.std)}"
            yield (
                f"input.normalize = {{ {values} }}, the range {name}",
                spec.model_copy(update={"normalize": normalize}),
            )
    mode = "letterbox" if spec.resize.mode == "stretch" else "stretch"
    resize = spec.resize.model_copy(update={"mode": mode})
    yield f'input.resize.mode = "{mode}"', spec.model_copy(update={"resize": resize})


def _normalize(color: str, mean: tuple[float, ...], std: tuple[float, ...]) -> Normalize:
    if color == "GRAY":
        return Normalize(mean=(sum(mean) / 3,), std=(sum(std) / 3,))
    order = slice(None, None, -1) if color == "BGR" else slice(None)
    return Normalize(mean=mean[order], std=std[order])


def _same(a: Normalize, b: Normalize) -> bool:
    """Both map black and white within a hundredth of the range to the same values."""
    for x, y in zip(_ends(a), _ends(b), strict=True):
        if abs(x - y) > 0.01 * max(1.0, abs(x)):
            return False
    return True


def _ends(normalize: Normalize) -> list[float]:
    pairs = list(zip(normalize.mean, normalize.std, strict=True))
    return [(grey - mean) / std for grey in (0.0, 255.0) for mean, std in pairs]


def _list(values: Sequence[float]) -> str:
    return f"[{', '.join(f'{value:g}' for value in values)}]"


def _lead(recipe: Recipe, own: Score, other: Score) -> float:
    """By how much the metric is better, 1 being the least that is no chance.

    For accuracy that is two standard deviations of the items that changed sides (McNemar 1947).
    """
    if recipe.task != "classification":
        return (other.value - own.value) / MARGIN
    pairs = zip(own.decisions, other.decisions, strict=True)
    turns = [(b.said == b.truth) - (a.said == a.truth) for a, b in pairs]
    changed = sum(turn != 0 for turn in turns)
    return sum(turns) / (2.0 * math.sqrt(changed)) if changed else 0.0


def _gain(own: Score, other: Score) -> tuple[float, float]:
    """Mean gain of the score of what is true, picture by picture, and its standard errors.

    The items of one picture are not independent, so each picture counts once.
    """
    before, after = _by_picture(own.decisions), _by_picture(other.decisions)
    gains = np.array([after[name] - before[name] for name in before], np.float64)
    if len(gains) < 2:
        return 0.0, 0.0
    mean = float(gains.mean())
    error = float(gains.std(ddof=1)) / math.sqrt(len(gains))
    return mean, mean / max(error, 1e-12)


def _by_picture(decisions: Sequence[Decision]) -> dict[str, float]:
    scores: dict[str, list[float]] = {}
    for decision in decisions:
        scores.setdefault(decision.picture, []).append(decision.score)
    return {name: sum(values) / len(values) for name, values in scores.items()}
