"""Charts as inline SVG that takes its colours from the page, so light and dark both fit.

matplotlib is imported when the first chart is drawn: whoever writes no report needs none.
"""

from __future__ import annotations

import io
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from converter.parity import PERFECT_DB
from converter.report.facts import ChannelHistogram, LayerRow
from converter.report.markup import Markup, escape

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK, _MUTED, _RULE, _BAND = "#010101", "#010102", "#010103", "#010104"
_BLUE, _BAD, _RED, _GREEN = "#010105", "#010106", "#010107", "#010108"
_ROLES = {
    _INK: "--ink",
    _MUTED: "--muted",
    _RULE: "--rule",
    _BAND: "--band",
    _BLUE: "--blue",
    _BAD: "--bad",
    _RED: "--red",
    _GREEN: "--green",
}
"""Colour as matplotlib draws it → the page's colour that replaces it."""

_CHANNELS = {"R": _RED, "G": _GREEN, "B": _BLUE}
_OTHERS = (_INK, _BLUE, _RED, _GREEN)

_SETTINGS: dict[Any, Any] = {  # matplotlib types each of its keys
    "svg.fonttype": "none",
    "text.parse_math": False,  # a "$" in a name is a "$"
    "font.family": ["DejaVu Sans"],  # comes with matplotlib, so it is the same everywhere
    "font.size": 9.0,
    "text.color": _INK,
    "axes.labelcolor": _MUTED,
    "axes.edgecolor": _RULE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": _RULE,
    "grid.linewidth": 0.6,
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "path.simplify": False,
}


@contextmanager
def _settings() -> Iterator[None]:
    """The settings above over matplotlib's own, whatever the user's matplotlibrc says."""
    from matplotlib import rc_context, rcdefaults, rcParams

    with rc_context():
        rcdefaults()
        rcParams.update(_SETTINGS)
        yield


@_settings()
def snr_by_layer(variant: str, layers: Sequence[LayerRow], worst: Collection[int]) -> Markup:
    """Signal-to-noise ratio of each layer, in running order from 1.

    Parameters
    ----------
    variant
        For whoever cannot see the chart.
    layers
        In running order.
    worst
        Indexes of those that stand out.
    """
    chart = _Chart(7.4, 2.5)
    axes = chart.axes
    numbers = np.arange(1, len(layers) + 1)
    snr = np.array([min(layer.snr_db, PERFECT_DB) for layer in layers], np.float64)
    kept = np.array([layer.in_float for layer in layers], bool)
    bad = np.isin(np.arange(len(layers)), list(worst)) & ~kept
    axes.plot(numbers, snr, color=_MUTED, linewidth=0.8)
    for chosen, color, fill, label in (
        (~kept & ~bad, _BLUE, _BLUE, "integer"),
        (bad, _BAD, _BAD, "among the worst"),
        (kept, _BLUE, "none", "left in float"),
    ):
        if chosen.any():
            axes.plot(
                numbers[chosen],
                snr[chosen],
                linestyle="none",
                marker="o",
                markersize=4,
                markeredgecolor=color,
                markerfacecolor=fill,
                label=label,
            )
    axes.set_xlabel("layer, in running order")
    axes.set_ylabel("SNR, dB")
    axes.set_xlim(0.5, len(layers) + 0.5)
    axes.locator_params(axis="x", integer=True)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0, handletextpad=0)
    return chart.svg(f"snr-{variant}", f"Signal-to-noise ratio by layer, {variant}", "chart")


@_settings()
def activations(layer: LayerRow, name: str) -> Markup:
    """A layer's values in float with the range that its integers can say drawn over them.

    Parameters
    ----------
    layer
        With a histogram.
    name
        Distinguishes the chart from all others of the page.
    """
    chart = _Chart(2.4, 0.62, bare=True)
    axes = chart.axes
    left, right = _widened(layer.histogram_range)
    low, high = (left, right) if layer.in_float else (layer.low, layer.high)
    if not layer.in_float:
        axes.axvspan(low, high, color=_BAND, linewidth=0)
    _steps(axes, layer.histogram, (left, right), _BLUE, fill=True)
    if not layer.in_float:
        for end in (low, high):
            axes.axvline(end, color=_BAD, linewidth=1)
    room = 0.02 * (max(right, high) - min(left, low))
    axes.set_xlim(min(left, low) - room, max(right, high) + room)
    return chart.svg(name, f"Values of {layer.name} and their quantized range", "spark")


@_settings()
def channels(histograms: Sequence[ChannelHistogram]) -> Markup:
    """Values of the input tensors, one line for each channel."""
    chart = _Chart(7.4, 2.3)
    axes = chart.axes
    for index, histogram in enumerate(histograms):
        color = _CHANNELS.get(histogram.channel, _OTHERS[index % len(_OTHERS)])
        total = max(sum(histogram.counts), 1)
        shares = [100 * count / total for count in histogram.counts]
        span = (histogram.low, histogram.high)
        _steps(axes, shares, span, color, label=histogram.channel)
    axes.set_xlabel("value in the input tensor")
    axes.set_ylabel("values, %")
    axes.set_ylim(bottom=0)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, borderaxespad=0)
    return chart.svg("channels", "Values of the input tensors by channel", "chart")


def _steps(
    axes: Axes,
    counts: Sequence[float],
    span: tuple[float, float],
    color: str,
    *,
    fill: bool = False,
    label: str | None = None,
) -> None:
    """A histogram as steps; filled ones are of logarithmic height, so that rare values show."""
    heights = np.log1p(counts) if fill else np.asarray(counts, np.float64)
    edges = np.linspace(*_widened(span), len(heights) + 1)
    axes.stairs(heights, edges, color=color, fill=fill, label=label, linewidth=1.2)


def _widened(span: tuple[float, float]) -> tuple[float, float]:
    """The span itself, or a little around it when all values are one."""
    low, high = span
    half = 0.0 if high > low else 1e-3 * max(abs(low), 1.0)
    return low - half, high + half


class _Chart:
    """One figure with one pair of axes; drawn and written within ``_settings``."""

    def __init__(self, width: float, height: float, *, bare: bool = False) -> None:
        from matplotlib.figure import Figure

        self._figure: Figure = Figure(figsize=(width, height), layout=None if bare else "tight")
        place = (0.0, 0.0, 1.0, 1.0)
        self.axes = self._figure.add_axes(place) if bare else self._figure.add_subplot()
        if bare:
            self.axes.set_axis_off()

    def svg(self, name: str, title: str, kind: str) -> Markup:
        """The finished chart; ``name`` keeps its ids apart from those of all other charts."""
        from matplotlib import rcParams

        rcParams["svg.hashsalt"] = name  # or else the ids are drawn anew each time
        out = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        self._figure.savefig(out, format="svg", transparent=True, metadata=nothing)
        return _inline(out.getvalue(), title, kind)


def _inline(text: str, title: str, kind: str) -> Markup:
    """Of a file of its own a part of the page: no prolog, no style that would reach beyond the
    chart, the page's colours, no ids that nothing refers to.
    """
    body = text[text.index("<svg") :]
    body = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", body, flags=re.DOTALL)
    used = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', body))
    wanted = {first or second for first, second in used}
    body = re.sub(r' id="([^"]+)"', lambda m: m[0] if m[1] in wanted else "", body)
    body = re.sub(r"font: ([0-9.]+)px [^;\"]*", r"font-size: \1px", body)
    for color, role in _ROLES.items():
        body = body.replace(color, f"var({role})")
    view = re.search(r'viewBox="[^"]+"', body)
    assert view is not None, "matplotlib writes a view box"
    _, _, content = body.partition(">")
    root = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'class="{kind}" role="img" {view[0]}><title>{escape(title)}</title>'
    )
    return Markup(root + content.rstrip())
