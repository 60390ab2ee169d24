"""What a factory line adds: samples of its movement, places on the strip, verdicts, lots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

VerdictName = Literal["accept", "downgrade", "reject"]


@dataclass(frozen=True, slots=True)
class EncoderSample:
    """The value of an encoder's counter at a moment of the monotonic clock."""

    count: int
    mono_ns: int


@dataclass(frozen=True, slots=True)
class SpeedSample:
    """The strip's speed from a moment of the monotonic clock on, in mm per second."""

    mm_per_s: float
    mono_ns: int


LineSample = EncoderSample | SpeedSample


@dataclass(frozen=True, slots=True)
class Place:
    """Where something lies on the strip, in millimetres.

    ``x_mm`` counts along the strip from the start of the lot (between two: from the end of the
    first), ``y_mm`` across it from the picture's upper edge. ``err_mm`` bounds the error of
    ``x_mm`` that the position of the strip has.
    """

    x_mm: float
    y_mm: float
    len_mm: float
    wid_mm: float
    err_mm: float
    lot: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a section of the strip is worth.

    ``late``: nothing was known in time, so it is a reject. ``lot`` is None between lots.
    """

    camera: str
    x_mm: float
    len_mm: float
    verdict: VerdictName
    reason: str
    late: bool
    lot: str | None = None


@dataclass(frozen=True, slots=True)
class LotTotals:
    """How a lot is getting on.

    ``defects`` by label, ``verdicts`` by name; ``covered`` is the share of its length that was
    judged.
    """

    lot: str
    open: bool
    started_at: datetime
    length_mm: float
    covered: float
    defects: Mapping[str, int]
    verdicts: Mapping[str, int]
    late: int


@dataclass(frozen=True, slots=True)
class LotEntry:
    """A line in the diary of a lot, from which it is told again after a restart.

    ``lot`` is the lot's id, ``number`` counts its entries, ``body`` is JSON. Entries leave the disk
    with the lot's report.
    """

    lot: str
    number: int
    body: str


@dataclass(frozen=True, slots=True)
class LotForgotten:
    """The report of a lot goes to the disk, so its diary may leave it; ``lot`` is its id."""

    lot: str


@dataclass(frozen=True, slots=True)
class LotEnded:
    """A lot is over and everything of it was seen; ``id`` is the lot's."""

    id: str


LineEvent = Verdict | LotTotals | LotEntry | LotForgotten | LotEnded
"""What a line has to say."""


@dataclass(frozen=True, slots=True)
class LotReport:
    """A lot that is over.

    ``data`` is the report as JSON values, ``pages`` the files for people: ending → content.
    """

    id: str
    name: str
    camera: str
    data: Mapping[str, Any]
    pages: Mapping[str, str]
