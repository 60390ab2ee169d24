"""What went into the model: the preprocessing that was probed, and the calibration."""

from __future__ import annotations

from converter.report.bars import count_bar
from converter.report.charts import channels
from converter.report.facts import Calibration, ReportFacts
from converter.report.markup import Markup, element, join, lines, table
from converter.report.numbers import fixed, signed, whole
from converter.report.tables import figures_list


def probe_part(facts: ReportFacts) -> Markup:
    """The recipe's input, and whether the Keras model does better with another one."""
    recipe = figures_list((figure.what, figure.text) for figure in facts.input)
    probe = facts.probe
    if probe is None or not probe.alternatives:
        return recipe
    best = probe.best
    if best is None:
        said = element(
            "p",
            element("strong", "The recipe's own preprocessing is the best", class_="good"),
            f": with none of {len(probe.alternatives)} others is the Keras model more often right "
            "and surer of what is true by more than chance.",
        )
    else:
        said = element(
            "p",
            element("strong", "The recipe's own preprocessing is not the best", class_="bad"),
            f": the Keras model does better with {best.change}. It was most likely trained so.",
        )
    own = ("as in the recipe", fixed(probe.value), "", "", "", "")
    rows = [
        (
            element(
                "div",
                element("span", "✗ better ", class_="bad") if other.better else "",
                other.change,
                class_="name",
            ),
            fixed(other.value),
            signed(other.value - probe.value),
            signed(other.lead, 1),
            signed(other.gain, 3),
            signed(other.sigma, 1),
        )
        for other in probe.alternatives
    ]
    heads = (
        f"the Keras model on {whole(probe.n)} held-back items",
        facts.gate.metric,
        "against the recipe's own",
        "in units of chance",
        "surer of what is true by",
        "in standard errors",
    )
    return join((recipe, said, table(heads, [own, *rows])))


def calibration_part(calibration: Calibration | None) -> Markup:
    """Which items gave the ranges, what they cover, and what is doubtful about them."""
    if calibration is None:
        return Markup()
    count = element("p", f"{whole(calibration.items)} items of the side that does not judge.")
    most = max(calibration.per_label.values(), default=0)
    labels = (
        (label, count_bar(found, most), whole(found))
        for label, found in calibration.per_label.items()
    )
    chart = Markup()
    if calibration.histograms:
        chart = element("div", channels(calibration.histograms), class_="wide")
    return join(
        (
            count,
            lines(calibration.warnings, "warnings"),
            table(("label", "", "items"), labels, words=2),
            chart,
        )
    )
