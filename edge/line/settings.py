"""What a line is like: how its camera sees the strip, and what a strip may have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edge.line.geometry import Geometry
from edge.line.grading import METRE_MM, GradeRule, Lanes


@dataclass(frozen=True, slots=True)
class LineSettings:
    """A line and its camera.

    Parameters
    ----------
    camera
        The camera's id.
    geometry
        How it sees the strip.
    size_px
        Width and height of its frames; places on frames of another size mean nothing.
    lanes
        The strip's width, and into how many stripes it is divided.
    gap_mm
        Parts of one label that are no further apart are one defect.
    section_mm
        Length of a section; each gets a verdict.
    gate_mm
        From the edge where the strip enters the picture to where it is acted on: a section that
        arrives there without a verdict is rejected.
    rules
        The grading table.
    rolls
        Name → diameter in mm.

    Raises
    ------
    ValueError
        A length is out of its range, or no verdict could ever be there in time.
    """

    camera: str
    geometry: Geometry
    size_px: tuple[int, int]
    lanes: Lanes
    gap_mm: float = 5.0
    section_mm: float = 1000.0
    gate_mm: float = 4000.0
    rules: tuple[GradeRule, ...] = ()
    rolls: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 < self.section_mm < 1e9:
            raise ValueError(f"section_mm: {self.section_mm} must be above 0")
        # The table counts by metre: of a shorter section it would see a part.
        if self.section_mm % METRE_MM and any(rule.per_metre for rule in self.rules):
            raise ValueError(
                f"section_mm: {self.section_mm:g} must be a multiple of 1000, since line.grading "
                "counts defects per metre"
            )
        for rule in self.rules:
            if beyond := [lane for lane in rule.lanes if not 1 <= lane <= self.lanes.count]:
                raise ValueError(f"grading: there is no lane {beyond[0]} of {self.lanes.count}")
        if not self.gate_mm >= self.least_gate_mm:
            raise ValueError(
                f"gate_mm: {self.gate_mm:g} is too near; a section of {self.section_mm:g} mm has "
                f"left the picture {self.least_gate_mm:g} mm behind its edge"
            )

    @property
    def frame_mm(self) -> float:
        """Length of the strip that a frame shows."""
        return self.size_px[0] * self.geometry.mm_per_px_x

    @property
    def least_gate_mm(self) -> float:
        """How far the gate must be: a section is judged when all of it has left the picture, and
        the head of it arrives at the gate first.
        """
        return self.section_mm + self.frame_mm
