"""Where a quantized variant loses: layer by layer against the float32 file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from converter.report.charts import activations, snr_by_layer
from converter.report.facts import LayerRow, VariantRow
from converter.report.markup import Markup, element, join, table
from converter.report.numbers import NONE, decibel, fixed, percent, short

WORST = 10
"""Layers that are shown with the histogram of their values."""

_HEADS = (
    "layer and its operator",
    "no.",
    "lost by it alone, %",
    "SNR, dB",
    "cosine",
    "largest error",
)
_RANGE_HEADS = ("quantized range", "outside of it, %")


def layers_part(variants: Iterable[VariantRow]) -> Markup:
    """A chart and the worst layers for each variant whose layers were compared."""
    parts = [part for variant in variants if variant.layers for part in _variant(variant)]
    if not parts:
        return Markup()
    intro = element(
        "p",
        "Each layer's output against the float32 file's, on held-back items; an error of an early "
        "layer is in all later ones. In the histograms, of logarithmic height, the band between "
        "the red lines is the range that the integers can say: what lies outside of it is cut "
        "off, and a band much wider than the values wastes steps.",
    )
    return join((intro, *parts))


def worst(layers: Sequence[LayerRow]) -> list[int]:
    """Indexes of the integer layers that lose the most by themselves, the worst first."""
    integer = [index for index, layer in enumerate(layers) if not layer.in_float]
    return sorted(integer, key=lambda index: -layers[index].added)[:WORST]


def _variant(variant: VariantRow) -> Iterable[Markup]:
    layers = variant.layers
    chosen = worst(layers)
    yield element("h3", variant.name)
    yield element("div", snr_by_layer(variant.name, layers, chosen), class_="wide")
    if variant.float_layers:
        kept = ", ".join(_plain(name) for name in variant.float_layers)
        yield element("p", f"Left in float: {kept}.")
    drawn = any(layers[index].histogram for index in chosen)
    heads = (*_HEADS, *_RANGE_HEADS, *(["values and range"] if drawn else []))
    yield table(heads, (_worst_row(variant, index, drawn) for index in chosen))
    if len(layers) > len(chosen):
        every = (_row(layer, index) for index, layer in enumerate(layers))
        summary = element("summary", f"All {len(layers)} layers")
        yield element("details", summary, table((*_HEADS, *_RANGE_HEADS), every))


def _worst_row(variant: VariantRow, index: int, drawn: bool) -> list[str]:
    layer = variant.layers[index]
    row = _row(layer, index)
    if drawn:
        chart = activations(layer, f"values-{variant.name}-{index}") if layer.histogram else NONE
        row.append(chart)
    return row


def _row(layer: LayerRow, index: int) -> list[str]:
    held = [f"{short(layer.low)} … {short(layer.high)}", percent(layer.saturated)]
    return [
        element("div", f"{_plain(layer.name)} ", element("small", layer.operator), class_="name"),
        str(index + 1),
        percent(layer.added),
        decibel(layer.snr_db),
        fixed(layer.cosine, 4),
        short(layer.largest),
        *(["in float", NONE] if layer.in_float else held),
    ]


def _plain(name: str) -> str:
    """A tensor's name without those of the operators that were fused into its own."""
    return name.partition(";")[0]
