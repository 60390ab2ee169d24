"""``report.html``: one file that needs nothing else, in the order in which a person decides."""

from __future__ import annotations

from collections.abc import Iterator

from converter.report.facts import KerasRow, ReportFacts, VariantRow
from converter.report.layers import layers_part
from converter.report.markup import Markup, element, join, lines, section
from converter.report.numbers import fixed, given, whole
from converter.report.pictures import box_key, sample_figure
from converter.report.probed import calibration_part, probe_part
from converter.report.style import CSS
from converter.report.tables import errors_table, figures_list, variants_table

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""Told to the browser too: this page loads nothing and runs nothing."""


def render(facts: ReportFacts) -> str:
    """The page; the same facts give the same text.

    Parameters
    ----------
    facts
        All of it. What is empty or None has no section.

    Returns
    -------
    str
        HTML in UTF-8 that opens from disk, without script, and loads nothing from elsewhere.
    """
    sections = {
        "variants": ("Variants", _variants(facts)),
        "preprocessing": ("Preprocessing", probe_part(facts)),
        "calibration": ("Calibration", calibration_part(facts.calibration)),
        "layers": ("Error by layer", layers_part(facts.variants)),
        "samples": ("Worst samples", _samples(facts)),
        "provenance": ("Provenance", _provenance(facts)),
    }
    there = {ident: part for ident, part in sections.items() if part[1]}
    links = (element("a", title, href=f"#{ident}") for ident, (title, _) in there.items())
    body = element(
        "body",
        _head(facts),
        element("nav", *links),
        element("main", *(section(ident, *part) for ident, part in there.items())),
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("link", rel="icon", href="data:,"),
        element("title", f"{facts.name} {facts.version}: {_state(facts)}"),
        element("style", Markup(CSS)),
    )
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def _state(facts: ReportFacts) -> str:
    return "passed" if facts.passed else "failed"


def _head(facts: ReportFacts) -> Markup:
    title = element("h1", facts.name, " ", element("small", facts.version))
    about = element("p", f"{facts.task.capitalize()}, converted {facts.created}.", class_="muted")
    failed = (
        join((element("strong", variant.name, class_="bad"), f" failed: {variant.reason}"))
        for variant in facts.variants
        if not variant.passed
    )
    mark = "✓ Passed" if facts.passed else "✗ Failed"
    verdict = element(
        "div",
        element("b", mark),
        element("p", facts.verdict),
        lines(failed),
        class_=f"verdict {_state(facts)}",
    )
    return element("header", title, about, verdict)


def _variants(facts: ReportFacts) -> Markup:
    if not facts.variants:
        return Markup()
    gate = facts.gate
    rules = [f"may lose {given(gate.budget)} {gate.metric} against Keras"]
    if gate.agreement:
        rules.append(f"must decide as Keras does on {given(100 * gate.agreement)} % of the items")
    least = f" Keras itself must reach {given(gate.least)}." if gate.least else ""
    intro = element(
        "p",
        f"Measured on {whole(facts.keras.n)} held-back items. A variant {' and '.join(rules)}; "
        f"the tick in each bar is that budget.{least} Latencies: {facts.machine}.",
    )
    said = [
        join((element("strong", variant.name), f": {warning}"))
        for variant in facts.variants
        for warning in variant.warnings
    ]
    return join(
        (
            intro,
            variants_table(facts),
            lines(said, "warnings"),
            errors_table(facts.variants),
        )
    )


def _samples(facts: ReportFacts) -> Markup:
    return join(
        part
        for variant, samples in facts.samples.items()
        if samples
        for part in (
            element("h3", variant),
            box_key(variant) if any(sample.boxes for sample in samples) else Markup(),
            element(
                "div",
                *(sample_figure(sample, variant) for sample in samples),
                class_="samples large"
                if any(s.boxes or s.overlays for s in samples)
                else "samples",
            ),
        )
    )


def _provenance(facts: ReportFacts) -> Markup:
    commands = Markup()
    if facts.commands:
        again = element("p", "These commands make it again:")
        commands = join((again, element("pre", element("code", "\n".join(facts.commands)))))
    return join((figures_list(_origins(facts)), commands))


def _origins(facts: ReportFacts) -> Iterator[tuple[str, str]]:
    keras: KerasRow = facts.keras
    yield "Keras model", f"{keras.format}, {whole(keras.parameters)} parameters"
    yield "its sha256", element("span", keras.sha256, class_="hash")
    yield f"its {facts.gate.metric}", f"{fixed(keras.value)} on {whole(keras.n)} held-back items"
    if facts.calibration is not None:
        digest = facts.calibration.sha256
        yield "calibration data, sha256", element("span", digest, class_="hash")
    kept = [variant for variant in facts.variants if variant.float_layers]
    yield from ((f"{variant.name}, left in float", _names(variant)) for variant in kept)
    yield "machine", facts.machine
    yield "converted", facts.created
    if facts.versions:
        yield "versions", ", ".join(f"{name} {text}" for name, text in facts.versions.items())


def _names(variant: VariantRow) -> str:
    return ", ".join(variant.float_layers)
