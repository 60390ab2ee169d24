"""A defect on a surface."""

from __future__ import annotations

from collections.abc import Sequence

from edge.records import Measure, Observation, Region, Segmentation
from edge.rules.threshold import Judged, ThresholdRule


class DefectRule(ThresholdRule):
    """Judges each region by its mean score; the alert tells its area, length and width.

    On a strip that runs past, each frame shows other steel: so one hit is enough, and an alert ends
    with the first frame in which the region is not seen any more.
    """

    task = "steel_defect"

    def _read(self, observation: Observation) -> Sequence[Judged]:
        result = observation.result
        if not isinstance(result, Segmentation):
            raise TypeError("DefectRule judges a Segmentation")
        return [Judged(one.label, one.score, _measures(one)) for one in result.regions]


def _measures(region: Region) -> tuple[Measure, ...]:
    """Sizes in pixels of the camera's image."""
    return (
        Measure("area", region.area_px, "px2"),
        Measure("length", region.length_px, "px"),
        Measure("width", region.width_px, "px"),
    )
