"""What a line says on the wire: verdicts, the open lot, reports."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from edge.messages.parts import AlertId, ClockPart, Count, Hex16, Ident, Moment, Payload, Score
from edge.records import VerdictName


class VerdictPayload(Payload):
    """What a section of the strip is worth; ``late``: nothing was known in time, so: reject."""

    schema_: Annotated[Literal["linesight.verdict/1"], Field(alias="schema")] = (
        "linesight.verdict/1"
    )
    ts: Moment
    lot: str | None = None
    x_mm: float
    len_mm: Annotated[float, Field(ge=0.0)]
    verdict: VerdictName
    reason: str
    late: bool


class LotPayload(Payload):
    """The lot that is open, or was last, as far as it was judged.

    ``defects`` by label, ``verdicts`` of sections by name, ``covered`` as a share of the length.
    """

    schema_: Annotated[Literal["linesight.lot/1"], Field(alias="schema")] = "linesight.lot/1"
    ts: Moment
    lot: str
    open: bool
    started_at: Moment
    length_mm: Annotated[float, Field(ge=0.0)]
    covered: Score
    defects: dict[str, Count]
    verdicts: dict[str, Count]
    late: Count


class GradePart(Payload):
    """A verdict on a whole lot; ``metre`` is the first that gave it."""

    verdict: VerdictName
    reason: str
    metre: int | None = None


class WorstMetrePart(Payload):
    """The metre with most defects."""

    metre: int
    defects: Count


class PeriodicPart(Payload):
    """Defects at a constant distance; ``roll`` where the distance is a known circumference."""

    label: str
    period_mm: float
    diameter_mm: float
    y_mm: float
    first_mm: float
    last_mm: float
    count: Count
    roll: str | None = None


DEFECT_COLUMNS = ("label", "x_mm", "y_mm", "len_mm", "wid_mm", "area_mm2", "score")
"""Of a row of ``defect_rows``."""


class StoredLotReport(Payload):
    """A lot that is over, as the outbox stores it, without what ``seal`` adds.

    The list of defects is a table, since a thousand of them must fit into a message: the columns of
    ``defect_rows`` are named by ``defect_columns``. What did not fit is counted: ``left_out`` of
    the smallest defects, ``gaps_left_out`` of the shortest gaps, and then ``density`` is absent.
    The files on the station hold everything.
    """

    schema_: Annotated[Literal["linesight.lot_report/1"], Field(alias="schema")] = (
        "linesight.lot_report/1"
    )
    id: AlertId
    rev: Literal[1] = 1
    node: Ident
    cam: Ident
    boot: str
    ts: Moment
    mono_ns: Count
    clock: ClockPart
    config: str
    lot: str
    started_at: Moment
    ended_at: Moment
    length_mm: Annotated[float, Field(ge=0.0)]
    width_mm: Annotated[float, Field(ge=0.0)]
    lanes: Annotated[int, Field(ge=1)]
    covered: Score
    gaps_mm: tuple[tuple[float, float], ...]
    error_mm: Annotated[float, Field(ge=0.0)]
    restarts: Count
    losses: Count
    verdicts: dict[str, Count]
    late: Count
    totals: dict[str, Count]
    grade: GradePart
    worst_metre: WorstMetrePart | None = None
    density: dict[str, tuple[Count, ...]] | None = None
    periodic: tuple[PeriodicPart, ...]
    defect_columns: tuple[str, ...] = DEFECT_COLUMNS
    defect_rows: tuple[tuple[str, float, float, float, float, float, float], ...]
    left_out: Annotated[int, Field(ge=1)] | None = None
    gaps_left_out: Annotated[int, Field(ge=1)] | None = None


class LotReportPayload(StoredLotReport):
    """A lot that is over, on the wire."""

    seq: Annotated[int, Field(ge=1)]
    epoch: Hex16
    dropped_total: Count
    replayed: Literal[True] | None = None
