"""What a rule decided."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from edge.records.arrays import fraction
from edge.records.frame import Header
from edge.records.line import Place
from edge.records.observation import ModelRef, Timings
from edge.records.results import Box

Phase = Literal["new", "update", "end"]
Severity = Literal["info", "warning", "critical"]


@dataclass(frozen=True, slots=True)
class HitCount:
    """The evidence of an alert: ``hit`` of the last ``of`` judged frames; sequence numbers."""

    hit: int
    of: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Measure:
    """Something that was measured: its name, value and unit."""

    name: str
    value: float
    unit: str


@dataclass(frozen=True, slots=True)
class HeldBack:
    """Alerts that the rate limit held back: how many, and between which UTC moments."""

    held_back: int
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Alert:
    """One revision in the life of an alert.

    ``id`` is the same in all revisions, ``rev`` counts from 1. ``score`` is the rule's label now,
    ``peak`` its highest value so far. ``position`` is where it lies on a strip. ``box`` and what
    follows are absent in a summary of alerts that the rate limit held back.
    """

    id: str
    rev: int
    phase: Phase
    task: str
    severity: Severity
    label: str
    score: float
    peak: float
    header: Header
    model: ModelRef
    timings: Timings
    frames: HitCount | None = None
    box: Box | None = None
    track: int | None = None
    measures: tuple[Measure, ...] = ()
    summary: HeldBack | None = None
    position: Place | None = None

    def __post_init__(self) -> None:
        fraction(self, "score", self.score)
        fraction(self, "peak", self.peak)
        if self.rev < 1:
            raise ValueError("Alert.rev: counts from 1")
