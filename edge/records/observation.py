"""A result with its circumstances, and what the tracker makes of it."""

from __future__ import annotations

from dataclasses import dataclass

from edge.records.frame import Header
from edge.records.results import Box, Result


@dataclass(frozen=True, slots=True)
class ModelRef:
    """Which model file gave a result; ``sha256`` is of the variant's file, in hex."""

    name: str
    version: str
    variant: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Timings:
    """Where one frame's time went, in milliseconds.

    ``capture``: driver hand-over to decoded image; ``queue``: waiting in the mailbox, and
    for its turn.
    """

    capture_ms: float = 0.0
    queue_ms: float = 0.0
    preprocess_ms: float = 0.0
    infer_ms: float = 0.0
    postprocess_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Observation:
    """A frame's result with the frame's header, the model that decides and the time it took."""

    header: Header
    result: Result
    model: ModelRef
    timings: Timings


@dataclass(frozen=True, slots=True)
class Track:
    """One thing followed over frames.

    Parameters
    ----------
    id
        Counts from 1 for each camera since the service started.
    box
        Where it is now (its last seen place while it is not seen).
    index
        Row of the observation's ``Detections`` it was matched with, None when not seen.
    missed
        Frames in a row that it was not seen.
    """

    id: int
    box: Box
    index: int | None
    missed: int = 0
