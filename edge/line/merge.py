"""One scratch is one defect, however many frames show a part of it."""

from __future__ import annotations

from collections.abc import Sequence

from edge.line.geometry import Defect


class DefectMerger:
    """Joins what overlapping or adjoining frames show of the same defect.

    Parameters
    ----------
    gap_mm
        Parts of one label that are no further apart are one defect; 0 or more.

    Raises
    ------
    ValueError
        The gap is negative.
    """

    def __init__(self, gap_mm: float) -> None:
        if not 0 <= gap_mm < 1e6:
            raise ValueError(f"gap_mm: {gap_mm} must be 0 or more")
        self._gap_mm = gap_mm
        self._open: list[Defect] = []

    @property
    def open(self) -> tuple[Defect, ...]:
        """Defects that the next frame may still show a part of."""
        return tuple(self._open)

    def add(self, start_mm: float, defects: Sequence[Defect]) -> list[Defect]:
        """Take the defects of a frame in.

        Parameters
        ----------
        start_mm
            Where the stretch begins that the frame shows; no later frame shows what lies before.
        defects
            Of one frame. Within a frame nothing is joined: regions that do not touch in it are
            several.

        Returns
        -------
        list of Defect
            Those that are over, by their place.
        """
        for defect in defects:
            self._join(defect, defect.first)
        return self._close(start_mm - self._gap_mm)

    def clip(self, end_mm: float) -> None:
        """The strip ends here: what lies behind belongs to another."""
        self._open = [one.clipped(0.0, end_mm) for one in self._open if one.x0_mm < end_mm]

    def finish(self) -> list[Defect]:
        """The strip has ended: every defect is over."""
        return self._close(float("inf"))

    def _join(self, defect: Defect, sequence: int) -> None:
        apart: list[Defect] = []
        for one in self._open:
            # What the same frame showed is joined by way of an earlier part only.
            if one.first < sequence and one.touches(defect, self._gap_mm):
                defect = one.joined(defect)
            else:
                apart.append(one)
        self._open = [*apart, defect]

    def _close(self, before_mm: float) -> list[Defect]:
        over = [one for one in self._open if one.x1_mm < before_mm]
        self._open = [one for one in self._open if one.x1_mm >= before_mm]
        return sorted(over, key=lambda one: (one.x0_mm, one.y0_mm))
