"""The tables that decide: variants against Keras, and their outputs' errors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from converter.report.bars import budget_bar
from converter.report.facts import ReportFacts, VariantRow
from converter.report.markup import Markup, element, escape, join, table
from converter.report.numbers import NONE, decibel, fixed, given, percent, short, signed, whole


def variants_table(facts: ReportFacts) -> Markup:
    """One row for Keras, one for each variant."""
    counts = sorted({count for variant in facts.variants for count in variant.latency_ms})
    heads = [
        "variant",
        "gate",
        facts.gate.metric,
        "against Keras",
        f"loss of {given(facts.gate.budget)} allowed",
        "decides as Keras, %",
        "otherwise, items",
        "size, kB",
        *(f"p50 / p95 on {count} {'thread' if count == 1 else 'threads'}, ms" for count in counts),
    ]
    blank = [""] * (len(heads) - 3)
    rows: list[Sequence[str]] = [["Keras", "", fixed(facts.keras.value), *blank]]
    rows += [_variant_row(facts, variant, counts) for variant in facts.variants]
    return table(heads, rows, words=2)


def errors_table(variants: Iterable[VariantRow]) -> Markup:
    """How far each output of each variant lies from Keras's; empty when none was compared."""
    rows = [
        (
            variant.name,
            output,
            short(error.largest),
            short(error.mean),
            short(error.span),
            decibel(error.snr_db),
            fixed(error.cosine, 6),
        )
        for variant in variants
        for output, error in sorted(variant.errors.items())
    ]
    if not rows:
        return Markup()
    heads = (
        "variant",
        "output",
        "largest error",
        "mean error",
        "span of Keras's values",
        "SNR, dB",
        "cosine",
    )
    return join((element("h3", "Outputs against Keras's"), table(heads, rows, words=2)))


def figures_list(figures: Iterable[tuple[str, str]]) -> Markup:
    """Names and what stands for them; empty text when there are none."""
    parts = [part for what, text in figures for part in (element("dt", what), element("dd", text))]
    return element("dl", *parts) if parts else Markup()


def _variant_row(facts: ReportFacts, variant: VariantRow, counts: Sequence[int]) -> list[str]:
    lost = variant.lost
    passed = element("span", "✓ passed", class_="good")
    failed = element("span", "✗ failed", class_="bad", title=variant.reason)
    otherwise = whole(variant.disagreeing)
    if variant.disagreeing is not None and variant.n is not None:
        otherwise += f" of {whole(variant.n)}"
    return [
        element("strong", variant.name),
        passed if variant.passed else failed,
        fixed(variant.value),
        signed(None if lost is None else -lost),
        escape(NONE) if lost is None else budget_bar(lost, facts.gate.budget),
        percent(variant.agreement),
        otherwise,
        fixed(None if variant.bytes is None else variant.bytes / 1000, 1),
        *(_latency(variant, count) for count in counts),
    ]


def _latency(variant: VariantRow, count: int) -> str:
    found = variant.latency_ms.get(count, {})
    return f"{fixed(found.get('p50'), 2)} / {fixed(found.get('p95'), 2)}" if found else NONE
