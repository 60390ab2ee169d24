"""All that ``report.html`` shows, measured before: the page computes nothing but its layout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from converter.parity import TensorError
    from converter.probe import Probe
    from converter.recipe import GateBudget
    from edge.contract.manifest import TaskName

Side = Literal["truth", "float", "quantized"]
"""Who says it: the labels, the Keras model, or the variant."""


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One layer of a quantized variant against the same layer of the float32 file.

    Parameters
    ----------
    name, operator
        Of its output tensor, and what makes it.
    snr_db, cosine, largest
        How far its output lies from float: ratio of the powers, angle, largest difference.
    added
        Share of the signal that the layer alone loses, fed with what the float model gives it.
    saturated
        Share of the float values that lie outside of the quantized range, in [0, 1].
    low, high
        The quantized range, in the layer's own unit; not shown where ``in_float``.
    histogram
        How many of the float values fall into each of as many bins of equal width; empty when
        they were not counted.
    histogram_range
        From the first bin's left end to the last one's right end.
    in_float
        It was left in float.
    """

    name: str
    operator: str
    snr_db: float
    cosine: float
    largest: float
    added: float
    saturated: float
    low: float
    high: float
    histogram: tuple[int, ...]
    histogram_range: tuple[float, float]
    in_float: bool


@dataclass(frozen=True, slots=True)
class VariantRow:
    """One variant; a figure that was not measured, because it could not be made, is None.

    Parameters
    ----------
    name
        Such as ``int8``.
    passed, reason
        Its gate, and why not; empty when it passed.
    bytes
        Of its file.
    value, lost
        The gate's metric, and Keras's minus it.
    agreement, disagreeing, n
        Share of the items on which it decides as Keras does, in [0, 1], on how many it does not,
        and how many items there are.
    errors
        By output.
    latency_ms
        Threads → ``p50`` and ``p95`` of one inference in milliseconds.
    layers
        In running order.
    float_layers
        Names of those left in float.
    warnings
        One sentence each.
    """

    name: str
    passed: bool
    reason: str = ""
    bytes: int | None = None
    value: float | None = None
    lost: float | None = None
    agreement: float | None = None
    disagreeing: int | None = None
    n: int | None = None
    errors: Mapping[str, TensorError] = field(default_factory=dict)
    latency_ms: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    layers: tuple[LayerRow, ...] = ()
    float_layers: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Box:
    """A box on a sample, in its pixels; the caption stands above it."""

    x: float
    y: float
    width: float
    height: float
    side: Side
    caption: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Overlay:
    """Where one side sees a label: a bool mask (H, W) of the sample's size."""

    mask: npt.NDArray[np.bool_]
    side: Side
    label: str


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A held-back item on which Keras and a variant differ.

    Parameters
    ----------
    picture
        (H, W, 3) uint8 BGR.
    title
        What it is, such as its path below the data folder.
    lines
        What each side says of it, one line each.
    boxes
        Drawn on the picture: a detector's.
    overlays
        Painted on one copy of the picture for each side, and on one more where Keras and the
        variant differ: a segmentation's.
    """

    picture: npt.NDArray[np.uint8]
    title: str
    lines: tuple[str, ...] = ()
    boxes: tuple[Box, ...] = ()
    overlays: tuple[Overlay, ...] = ()


@dataclass(frozen=True, slots=True)
class Figure:
    """One named value of a list, both as they are to be read."""

    what: str
    text: str


@dataclass(frozen=True, slots=True)
class KerasRow:
    """The trained model: its file, its weights, and what it is worth on ``n`` held-back items."""

    format: str
    sha256: str
    parameters: int
    value: float
    n: int


@dataclass(frozen=True, slots=True)
class ChannelHistogram:
    """How many values of one channel fall into each of as many bins of equal width in
    [low, high].
    """

    channel: str
    counts: tuple[int, ...]
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """The items that the ranges of the integer variants come from.

    Parameters
    ----------
    items, sha256
        How many, and their hash.
    per_label
        How many carry each label; empty when items carry none.
    histograms
        Of the input tensors, one for each channel.
    warnings
        What makes it doubtful, one sentence each.
    """

    items: int
    sha256: str
    per_label: Mapping[str, int] = field(default_factory=dict)
    histograms: tuple[ChannelHistogram, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """The whole report.

    Parameters
    ----------
    name, version, task, created
        Of the bundle.
    passed, verdict
        Whether a bundle was made, and why, in one sentence.
    machine
        Where the latencies were measured, in words.
    gate
        The recipe's: metric, budget, least, agreement.
    keras
        The baseline.
    input
        How the recipe prepares a picture.
    probe
        The Keras model under other preprocessings; None when none was tried.
    calibration
        None when nothing was calibrated.
    variants
        Those that were asked for, also those that failed.
    samples
        Variant → the items on which it differs most from Keras, the worst first.
    versions
        Package → version.
    commands
        That make it again, one line each.
    """

    name: str
    version: str
    task: TaskName
    created: str
    passed: bool
    verdict: str
    machine: str
    gate: GateBudget
    keras: KerasRow
    input: tuple[Figure, ...] = ()
    probe: Probe | None = None
    calibration: Calibration | None = None
    variants: tuple[VariantRow, ...] = ()
    samples: Mapping[str, tuple[Sample, ...]] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    commands: tuple[str, ...] = ()
