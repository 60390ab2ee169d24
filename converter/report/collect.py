"""From what a conversion measured to what its report shows."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from pathlib import Path

import numpy as np

from converter.conversion import Outcome
from converter.draft import versions
from converter.report.facts import (
    Calibration,
    ChannelHistogram,
    Figure,
    KerasRow,
    LayerRow,
    ReportFacts,
    VariantRow,
)
from converter.report.page import render
from converter.report.samples import worst_samples
from converter.representative import RepresentativeData
from converter.tflite import LayerError
from edge.contract.manifest import InputSpec
from edge.errors import LineSightError

BINS = 64
"""Of the histograms of the input."""

COUNTED = 100
"""Items of the calibration whose pixels are counted."""


def write_report(outcome: Outcome, path: Path) -> None:
    """Write ``report.html``, whole or not at all.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    text = render(facts_of(outcome))
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    try:
        new.write_text(text, encoding="utf-8")
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def facts_of(outcome: Outcome) -> ReportFacts:
    """Everything the page shows."""
    recipe = outcome.request.file.recipe
    rows = [_row(outcome, name) for name in recipe.variants] if outcome.refused is None else []
    return ReportFacts(
        name=recipe.name,
        version=recipe.version,
        task=recipe.task,
        created=outcome.draft.created,
        passed=outcome.refused is None and not outcome.failures,
        verdict=_verdict(outcome),
        machine=_machine(),
        gate=recipe.gate,
        keras=KerasRow(
            outcome.model.format,
            outcome.model.sha256,
            outcome.model.parameters,
            outcome.baseline.value,
            outcome.baseline.n,
        ),
        input=tuple(_input(recipe.input_spec)),
        probe=outcome.probe,
        calibration=_calibration(outcome.calibration, recipe.input.color),
        variants=tuple(rows),
        samples={
            str(found.made.variant): worst_samples(outcome, found)
            for found in outcome.variants.values()
            if found.made.variant != "float32"
        },
        versions=versions(),
        commands=tuple(_commands(outcome)),
    )


def _verdict(outcome: Outcome) -> str:
    if outcome.refused is not None:
        return outcome.refused.message
    if not outcome.failures:
        return f"All {len(outcome.variants)} variants hold their gate."
    failed = ", ".join(outcome.failures)
    if not outcome.passed:
        return f"No variant holds its gate: {failed}."
    passed = ", ".join(found.made.variant for found in outcome.passed)
    return f"{passed} hold their gate; {failed} may not be bundled."


def _row(outcome: Outcome, name: str) -> VariantRow:
    found = outcome.variants.get(name)
    failure = outcome.failures.get(name)
    if found is None:
        return VariantRow(name, passed=False, reason=_reason(failure))
    decisions = len(found.score.decisions)
    return VariantRow(
        name=name,
        passed=found.passed,
        reason=_reason(failure),
        bytes=len(found.made.content),
        value=found.score.value,
        lost=outcome.baseline.value - found.score.value,
        agreement=found.agreed,
        disagreeing=round((1 - found.agreed) * decisions),
        n=decisions,
        errors=found.errors,
        latency_ms=found.latency_ms,
        layers=tuple(_layer(layer) for layer in found.layers),
        float_layers=found.float_layers,
        warnings=found.warnings,
    )


def _reason(failure: LineSightError | None) -> str:
    return "" if failure is None else failure.message


def _layer(error: LayerError) -> LayerRow:
    return LayerRow(
        name=error.name,
        operator=error.operator,
        snr_db=error.snr_db,
        cosine=error.cosine,
        largest=error.largest,
        added=error.added,
        saturated=error.saturated,
        low=error.low,
        high=error.high,
        histogram=error.histogram,
        histogram_range=error.histogram_range,
        in_float=not error.quantized,
    )


def _input(spec: InputSpec) -> list[Figure]:
    def numbers(values: tuple[float, ...]) -> str:
        return ", ".join(f"{value:g}" for value in values)

    return [
        Figure("size", f"{spec.height} × {spec.width} px (height × width)"),
        Figure("color", spec.color),
        Figure("resize", f"{spec.resize.mode}, {spec.resize.interpolation}"),
        Figure("mean", numbers(spec.normalize.mean)),
        Figure("std", numbers(spec.normalize.std)),
    ]


def _calibration(data: RepresentativeData, color: str) -> Calibration:
    return Calibration(
        items=len(data.items),
        sha256=data.sha256,
        per_label=data.per_label(),
        histograms=_histograms(data, color),
        warnings=tuple(data.warnings()),
    )


def _histograms(data: RepresentativeData, color: str) -> tuple[ChannelHistogram, ...]:
    """Values of the input tensors, channel by channel, over an even spread of the items."""
    channels = ("grey",) if color == "GRAY" else tuple(color)
    low, high = data.input_range()
    counts = np.zeros((len(channels), BINS), np.int64)
    for tensor in data.tensors(COUNTED):
        for k in range(len(channels)):
            counts[k] += np.histogram(tensor[..., k], BINS, (low, high))[0]
    return tuple(
        ChannelHistogram(name, tuple(row.tolist()), low, high)
        for name, row in zip(channels, counts, strict=True)
    )


def _machine() -> str:
    model = platform.machine()
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() in ("model name", "Model"):
                model = value.strip()
    return f"{model}, {len(os.sched_getaffinity(0))} CPUs"


def _commands(outcome: Outcome) -> list[str]:
    name = outcome.request.file.recipe.name
    return [
        f"linesight-convert convert recipe.toml --keras {outcome.request.keras.name} --data DIR",
        f"linesight-convert verify {name} --data DIR",
        f"linesight bench {name}",
    ]
