"""A segmenter that knows the drawn strip: what it misses is the line's fault, not the model's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edge.demo.coil import Coil
from edge.line.geometry import Defect, Geometry
from edge.protocols import Task
from edge.records import Frame, Observation, Region, Segmentation, Timings
from tests.fakes import MODEL

LABELS = ("inclusion", "patches", "scratches")


class PlantedTask(Task):
    """Marks what of the planted defects a frame shows, to the pixel's fraction.

    Parameters
    ----------
    coil
        The strip.
    mm_at
        Where it truly was at a moment of the monotonic clock.
    """

    model = MODEL

    def __init__(self, coil: Coil, mm_at: Callable[[int], float]) -> None:
        self._coil = coil
        self._mm_at = mm_at

    def observe(self, frame: Frame) -> Observation:
        """See :class:`edge.protocols.Task`."""
        scale = self._coil.mm_per_px
        geometry = Geometry(scale, scale)
        position_mm = self._mm_at(frame.captured_ns)
        start_mm, _ = geometry.stretch(position_mm, frame.width)
        regions = []
        for one in self._coil.planted:
            low, high = max(one.x_mm, start_mm), min(one.x_mm + one.len_mm, position_mm)
            if high - low < scale:
                continue
            shown = Defect(one.label, low, high, one.y_mm, one.y_mm + one.wid_mm, 0.0, 0.9, 0, 0)
            box = geometry.box(shown, position_mm, frame.width)
            area = box.width * box.height
            regions.append(Region(one.label, box, area, box.width, box.height, 0.9))
        masks = np.zeros((len(LABELS), 1, 1), np.bool_)
        result = Segmentation(LABELS, masks, tuple(regions))
        return Observation(frame.header, result, self.model, Timings())

    def close(self) -> None:
        """Nothing to release."""
