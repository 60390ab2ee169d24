"""What goes on the wire, as models: the one place that names the keys of every JSON payload.

Consumers ignore keys that they do not know, since additive changes keep a schema's number; so do
these models. Absent keys are None here and are left out of the JSON.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from edge.records import Phase, ReasonCode, ReplyCode, Severity, VerdictName

Hex16 = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Ident = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
AlertId = Annotated[str, Field(pattern=r"^[0-9a-f]{16}-[0-9]+$")]
Moment = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")]
"""UTC with milliseconds."""
Score = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=0)]
Milliseconds = Annotated[float, Field(ge=0.0)]
Rect = tuple[float, float, float, float]
"""x, y, width, height."""


class Payload(BaseModel):
    """Base of every payload and of the objects in them."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False, populate_by_name=True)

    def to_bytes(self) -> bytes:
        """UTF-8 JSON without absent keys."""
        return self.model_dump_json(by_alias=True, exclude_none=True).encode()


class ClockPart(Payload):
    """Whether ``ts`` comes from a synchronised clock."""

    synced: bool


class FramesPart(Payload):
    """The evidence: ``hit`` of the last ``of`` judged frames; first and last sequence number."""

    hit: Count
    of: Count
    first: Count
    last: Count


class BoxPart(Payload):
    """Where: in pixels of the camera's image, and as fractions of its width and height."""

    px: Rect
    norm: Rect


class ModelPart(Payload):
    """Which model file decided."""

    name: str
    version: str
    variant: str
    sha256: Sha256


class LatencyPart(Payload):
    """Where the time went, in milliseconds; ``total`` is capture to encode."""

    capture: Milliseconds
    queue: Milliseconds
    preprocess: Milliseconds
    infer: Milliseconds
    postprocess: Milliseconds
    total: Milliseconds


class MeasurePart(Payload):
    """Something that was measured."""

    name: str
    value: float
    unit: str


class SummaryPart(Payload):
    """What the rate limit held back, and between which moments."""

    held_back: Count
    since: Moment
    until: Moment


class PositionPart(Payload):
    """Where something lies on a strip, in millimetres: from the start of the lot (without one, from
    where the service began), and from the picture's upper edge. ``err_mm`` bounds the error of
    ``x_mm`` that the strip's position has.
    """

    lot: str | None = None
    x_mm: float
    y_mm: float
    len_mm: float
    wid_mm: float
    err_mm: Annotated[float, Field(ge=0.0)]


class StoredAlert(Payload):
    """An alert's revision as the outbox stores it, without what ``seal`` adds."""

    schema_: Annotated[Literal["linesight.alert/1"], Field(alias="schema")] = "linesight.alert/1"
    id: AlertId
    rev: Annotated[int, Field(ge=1)]
    phase: Phase
    node: Ident
    cam: Ident
    boot: str
    ts: Moment
    mono_ns: Count
    clock: ClockPart
    task: str
    severity: Severity
    label: str
    score: Score
    peak: Score
    frames: FramesPart | None = None
    box: BoxPart | None = None
    track: Count | None = None
    position: PositionPart | None = None
    measure: tuple[MeasurePart, ...] | None = None
    model: ModelPart
    config: str
    latency_ms: LatencyPart
    summary: SummaryPart | None = None


class AlertPayload(StoredAlert):
    """An alert's revision on the wire.

    Consumers key on (``id``, ``rev``), since delivery is at least once. ``seq`` is contiguous per
    topic and ``epoch`` but for what ``dropped_total`` counts.
    """

    seq: Annotated[int, Field(ge=1)]
    epoch: Hex16
    dropped_total: Count
    replayed: Literal[True] | None = None


class ReasonPart(Payload):
    """Why the station is not ``ok``."""

    code: ReasonCode
    cam: Ident | None = None
    detail: str


class DropsPart(Payload):
    """Frames that were not judged, by cause, since the service started."""

    mailbox: Count
    stale: Count
    corrupt: Count
    throttle: Count


class CameraPart(Payload):
    """One camera's counters since the service started."""

    frames_in: Count
    judged_fps: Annotated[float, Field(ge=0.0)]
    age_ms_p95: Milliseconds | None = None
    drops: DropsPart
    nonfinite: Count
    reconnects: Count


class PercentilesPart(Payload):
    """Of a time in milliseconds, over the last interval."""

    p50: Milliseconds
    p95: Milliseconds
    p99: Milliseconds


class MqttPart(Payload):
    """The connection to the broker."""

    connected: bool
    reconnects: Count
    inflight: Count


class OutboxPart(Payload):
    """What waits, and what was lost or may come twice.

    Counted since the outbox was made, but for ``duplicates_possible`` and for messages that memory
    could not hold while the disk failed (a part of ``dropped_oldest``): those since the start.
    """

    rows: Count
    bytes: Count
    oldest_s: Annotated[float, Field(ge=0.0)]
    dropped_oldest: Count
    dead: Count
    no_subscriber: Count
    duplicates_possible: Count


class LinePart(Payload):
    """The factory line: the open lot, and what went wrong, by kind, since the service started."""

    lot: str | None = None
    counts: dict[str, Count]


class HealthPayload(Payload):
    """How the station is; ``cameras`` by camera id."""

    schema_: Annotated[Literal["linesight.health/1"], Field(alias="schema")] = "linesight.health/1"
    ts: Moment
    state: Literal["ok", "degraded", "fault"]
    reasons: tuple[ReasonPart, ...]
    cameras: dict[Ident, CameraPart]
    infer_ms: PercentilesPart | None = None
    puback_ms: PercentilesPart | None = None
    mqtt: MqttPart
    outbox: OutboxPart
    cpu: Annotated[float, Field(ge=0.0)]
    rss_mb: Annotated[float, Field(ge=0.0)]
    temp_c: float | None = None
    throttled: bool | None = None
    line: LinePart | None = None


class StatePayload(Payload):
    """A camera's last summary."""

    schema_: Annotated[Literal["linesight.state/1"], Field(alias="schema")] = "linesight.state/1"
    ts: Moment
    alert: bool
    open_alerts: Count
    alerts_total: Count
    label: str | None = None
    score: Score | None = None


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
    ``defect_rows`` are named by ``defect_columns``. ``left_out`` says how many of the smallest did
    not fit; the files on the station hold all of them.
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


class LotReportPayload(StoredLotReport):
    """A lot that is over, on the wire."""

    seq: Annotated[int, Field(ge=1)]
    epoch: Hex16
    dropped_total: Count
    replayed: Literal[True] | None = None


class InfoPayload(Payload):
    """What runs here, and how the run before it ended (``last_exit``).

    ``schemas`` lists the schema ids that the station publishes.
    """

    schema_: Annotated[Literal["linesight.info/1"], Field(alias="schema")] = "linesight.info/1"
    ts: Moment
    node: Ident
    boot: str
    config: str
    versions: dict[str, str]
    hardware: dict[str, str | int]
    last_exit: str | None = None
    models: tuple[ModelPart, ...]
    schemas: tuple[str, ...]


class ReplyPayload(Payload):
    """The answer to a command; ``code`` is ``ok`` or why it was not carried out."""

    schema_: Annotated[Literal["linesight.reply/1"], Field(alias="schema")] = "linesight.reply/1"
    txn: str
    ok: bool
    code: ReplyCode
    error: str | None = None
    data: dict[str, Any] | None = None


PUBLISHED: dict[str, type[Payload]] = {
    "linesight.alert/1": AlertPayload,
    "linesight.health/1": HealthPayload,
    "linesight.info/1": InfoPayload,
    "linesight.lot/1": LotPayload,
    "linesight.lot_report/1": LotReportPayload,
    "linesight.reply/1": ReplyPayload,
    "linesight.state/1": StatePayload,
    "linesight.verdict/1": VerdictPayload,
}
"""Every JSON payload that a station publishes, by schema id."""


def moment(when: datetime) -> str:
    """A UTC time as it stands in payloads, rounded down to milliseconds.

    Raises
    ------
    ValueError
        It has no time zone.
    """
    if when.tzinfo is None:
        raise ValueError(f"{when!r} has no time zone")
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
