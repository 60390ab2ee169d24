"""Which variant of a bundle is fastest on this machine: each proves itself, then all take turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

import numpy.typing as npt

from edge.app import open_checked
from edge.commands.targets import cpus
from edge.contract.bundle import Bundle
from edge.contract.golden import check_golden, read_golden
from edge.contract.manifest import VariantName
from edge.contract.preprocess import Preprocessor
from edge.demo.progress import Update
from edge.engines import open_engine
from edge.errors import LineSightError, ModelError, RuntimeAbsent
from edge.protocols import Engine
from edge.records import Outputs

ROUNDS = 5
"""How often every variant has its turn with every number of threads: a busy moment hits all."""
GLANCES = 3
"""Rounds of :func:`glance`."""
FEWEST = 4
"""Runs of one turn, however slow they are."""
MOST = 5000
"""Runs of one turn, however fast they are: more say nothing new."""
WARM_UP = 0.1
"""The share of a turn that does not count, two runs at least: first runs allocate, and a CPU that
was idle needs a moment to speed up."""
NEAR = 0.05
"""A variant that is slower by less than this share is a near tie: the next day it may be faster."""

Tensor = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Measured:
    """What the variants of one bundle did on this machine.

    ``times_ms``: variant → number of threads → milliseconds of each inference; ``refused``: variant
    → why it was not timed.
    """

    bundle: Bundle
    times_ms: Mapping[VariantName, Mapping[int, Sequence[float]]]
    refused: Mapping[VariantName, str]

    def p50_ms(self, threads: int) -> dict[VariantName, float]:
        """The median of each variant that was timed with so many threads."""
        return {name: statistics.median(by[threads]) for name, by in self.times_ms.items()}

    def lost(self) -> dict[VariantName, float]:
        """What each of these variants lost at its gate, in [0, 1]; what one gained is luck."""
        gates = {name: self.bundle.variant(name).gate for name in self.times_ms}
        return {name: max(0.0, gate.float_ - gate.value) for name, gate in gates.items()}


@dataclass(frozen=True, slots=True)
class Choice:
    """The variant to run with ``threads`` threads; ``reason`` is part of a sentence.

    ``ratio``: each other variant's time ÷ that of the chosen one.
    """

    variant: VariantName
    threads: int
    p50_ms: float
    ratio: Mapping[VariantName, float]
    reason: str


def measure(
    bundle: Bundle,
    variants: Sequence[VariantName],
    threads: int,
    seconds: float,
    update: Update,
    *,
    beside: Sequence[int] = (1, 2, 4, 8),
) -> Measured:
    """Time the inference of each variant, warm, with ``threads`` threads, and with others.

    A variant whose golden vectors give other numbers here is not timed. The inputs are the golden
    pictures after the real preprocessing: some kernels are faster on zeros. In each round every
    variant is loaded anew, so only one is in memory at a time and no place there favours one.

    Parameters
    ----------
    bundle, variants
        What to measure.
    threads
        Measured even if this machine has fewer CPUs.
    seconds
        Of all turns together of one variant with one number of threads.
    update
        Told what is done.
    beside
        Other numbers of threads, measured as far as there are CPUs.

    Raises
    ------
    ModelError
        No variant can be used here; the message has a reason for each.
    RuntimeAbsent
        There is no runtime.
    """
    refused = _refused(bundle, variants, threads)
    fit = [variant for variant in variants if variant not in refused]
    if not fit:
        raise _unusable(bundle, refused)
    inputs = {variant: _inputs(bundle, variant) for variant in fit}
    counts = sorted({threads, *(count for count in beside if count <= cpus())})
    steps = [(variant, count) for variant in fit for count in counts]
    times: dict[VariantName, dict[int, list[float]]] = {
        variant: {count: [] for count in counts} for variant in fit
    }
    done = 0
    for turn in range(ROUNDS):
        # There and back, so that none always runs behind the same neighbour.
        for variant, count in steps if turn % 2 == 0 else reversed(steps):
            update(done, ROUNDS * len(steps))
            with closing(open_engine(bundle, variant, threads=count)) as engine:
                _runs(engine, inputs[variant], 2, WARM_UP * seconds / ROUNDS)
                times[variant][count] += _runs(engine, inputs[variant], FEWEST, seconds / ROUNDS)
            done += 1
    update(done, done)
    return Measured(bundle, times, refused)


def glance(bundle: Bundle, threads: int, until: float) -> Measured | None:
    """Time each variant with the very runs that prove its golden vectors: quick, and in turns.

    The first picture warms up and does not count. Of the rounds only the first must be over in
    time.

    Parameters
    ----------
    bundle
        What to measure: all its variants.
    threads
        Of each interpreter.
    until
        Monotonic seconds at which the last turn begins.

    Returns
    -------
    Measured or None
        None when there was no time for a first turn of each variant.

    Raises
    ------
    ModelError
        No variant can be used here.
    RuntimeAbsent
        There is no runtime.
    """
    times: dict[VariantName, dict[int, list[float]]] = {}
    refused: dict[VariantName, str] = {}
    for turn in range(GLANCES):
        for variant in bundle.manifest.variants:
            if time.monotonic() >= until:
                return Measured(bundle, times, refused) if turn else None
            if variant in refused:
                continue
            try:
                found = _proving_ms(bundle, variant, threads)
            except RuntimeAbsent:
                raise
            except LineSightError as error:
                refused[variant] = " ".join(error.message.split())
                continue
            times.setdefault(variant, {threads: []})[threads] += found
        if not times:
            raise _unusable(bundle, refused)
    return Measured(bundle, times, refused)


def choose(measured: Measured, threads: int) -> Choice:
    """The fastest variant with so many threads; of near ties the one that lost least at its gate.

    Parameters
    ----------
    measured
        Must have times for ``threads``.
    threads
        Of the station's interpreters.
    """
    p50, lost = measured.p50_ms(threads), measured.lost()
    variant = preferred(p50, lost)
    fastest = min(p50, key=p50.__getitem__)
    near = [name for name in p50 if name != variant and p50[name] < (1 + NEAR) * p50[fastest]]
    metric = measured.bundle.variant(variant).gate.metric
    if len(p50) == 1:
        reason = "the only one that can be used here"
    elif variant != fastest:
        reason = (
            f"a near tie (under {NEAR:.0%}) with {fastest}, and it lost less at its gate: "
            f"{lost[variant]:.4f} against {lost[fastest]:.4f} {metric}"
        )
    elif near:
        reason = f"the fastest; near tie (under {NEAR:.0%}): {', '.join(near)}, which lost no less"
    else:
        reason = "the fastest"
    ratio = {name: value / p50[variant] for name, value in p50.items() if name != variant}
    return Choice(variant, threads, p50[variant], ratio, reason)


def preferred(
    p50_ms: Mapping[VariantName, float], lost: Mapping[VariantName, float]
) -> VariantName:
    """The fastest, or of those within :data:`NEAR` of it the one that lost least.

    Parameters
    ----------
    p50_ms
        Of each variant; one at least.
    lost
        Of each variant, in [0, 1].
    """
    limit = (1 + NEAR) * min(p50_ms.values())
    near = [name for name, value in p50_ms.items() if value < limit]
    return min(near, key=lambda name: (lost[name], p50_ms[name]))


def _refused(
    bundle: Bundle, variants: Sequence[VariantName], threads: int
) -> dict[VariantName, str]:
    """Those that do not compute here what they did where the bundle was made, and why."""
    refused: dict[VariantName, str] = {}
    for variant in variants:
        try:
            open_checked(bundle, variant, threads=threads).close()
        except RuntimeAbsent:
            raise
        except LineSightError as error:
            refused[variant] = " ".join(error.message.split())
    return refused


def _unusable(bundle: Bundle, refused: Mapping[VariantName, str]) -> ModelError:
    reasons = "; ".join(f"{variant}: {reason}" for variant, reason in refused.items())
    return ModelError(f"{bundle.path}: no variant can be used here: {reasons}")


def _proving_ms(bundle: Bundle, variant: VariantName, threads: int) -> list[float]:
    """Milliseconds of the golden runs but the first, of a variant that passes them."""
    times: list[float] = []
    with closing(open_engine(bundle, variant, threads=threads)) as engine:

        def timed(tensor: Tensor) -> Outputs:
            began = time.perf_counter()
            outputs = engine.infer(tensor)
            times.append(1000 * (time.perf_counter() - began))
            return outputs

        check_golden(bundle, variant, timed)
    return times[1:] or times


def _inputs(bundle: Bundle, variant: VariantName) -> list[Tensor]:
    """The golden pictures as this variant takes them, each (1, height, width, channels)."""
    preprocessor = Preprocessor(bundle.manifest.input, bundle.input_tensor(variant))
    return [preprocessor.prepare([image])[0] for image in read_golden(bundle.golden_path).images]


def _runs(engine: Engine, tensors: Sequence[Tensor], fewest: int, seconds: float) -> list[float]:
    """Milliseconds of each inference, the tensors in turns."""
    times: list[float] = []
    end = time.perf_counter() + seconds
    for tensor in islice(cycle(tensors), MOST):
        began = time.perf_counter()
        if len(times) >= fewest and began >= end:
            break
        engine.infer(tensor)
        times.append(1000 * (time.perf_counter() - began))
    return times
