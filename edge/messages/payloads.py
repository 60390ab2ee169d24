"""What goes on the wire, as models: with ``parts`` and ``line_payloads`` the one place that names
the keys of every JSON payload.

Consumers ignore keys that they do not know, since additive changes keep a schema's number; so do
these models. Absent keys are None here and are left out of the JSON.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from edge.messages.line_payloads import LotPayload, LotReportPayload, VerdictPayload
from edge.messages.parts import (
    AlertId,
    ClockPart,
    Count,
    Hex16,
    Ident,
    Milliseconds,
    Moment,
    Payload,
    Rect,
    Score,
    Sha256,
)
from edge.records import Phase, ReasonCode, ReplyCode, Severity


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
    """Where something lies on a strip, in millimetres: from the start of the lot (between two,
    from the end of the first), and from the picture's upper edge. ``err_mm`` bounds the error of
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
