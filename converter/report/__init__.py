"""``report.html``: what a person looks at before they trust a bundle."""

from converter.report.collect import facts_of, write_report
from converter.report.facts import (
    Box,
    Calibration,
    ChannelHistogram,
    Figure,
    KerasRow,
    LayerRow,
    Overlay,
    ReportFacts,
    Sample,
    VariantRow,
)
from converter.report.page import render

__all__ = [
    "Box",
    "Calibration",
    "ChannelHistogram",
    "Figure",
    "KerasRow",
    "LayerRow",
    "Overlay",
    "ReportFacts",
    "Sample",
    "VariantRow",
    "facts_of",
    "render",
    "write_report",
]
