"""What the health message says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

ReasonCode = Literal[
    "cam_stalled",
    "cam_frozen",
    "cam_absent",
    "dark",
    "delegate_fallback",
    "model_nonfinite",
    "model_rejected",
    "not_authorized",
    "client_id_conflict",
    "outbox_high",
    "disk_full",
    "disk_corrupt",
    "clock_unsynced",
    "throttled",
    "undervoltage",
    "hot",
    "broker_unreachable",
    "tls_failed",
    "config_rejected",
    "encoder_fault",
    "frame_size",
    "late_verdict",
]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why the station is not ``ok``; ``cam`` when it is about one camera."""

    code: ReasonCode
    detail: str
    cam: str | None = None


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of a time in milliseconds, over the last health interval."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class Drops:
    """Frames that were not judged, by cause, since the service started."""

    mailbox: int = 0
    stale: int = 0
    corrupt: int = 0
    throttle: int = 0


@dataclass(frozen=True, slots=True)
class CameraStatus:
    """One camera's counters since the service started; ``age_ms_p95`` capture to verdict.

    ``reconnects`` counts how often frames came again after the camera was lost.
    """

    frames_in: int
    judged_fps: float
    drops: Drops
    nonfinite: int
    reconnects: int
    age_ms_p95: float | None = None


@dataclass(frozen=True, slots=True)
class MqttStatus:
    """The connection to the broker; ``inflight`` counts messages without an acknowledgement."""

    connected: bool
    reconnects: int
    inflight: int


@dataclass(frozen=True, slots=True)
class OutboxStatus:
    """The outbox: what waits, and what was lost or may come twice.

    Counted since the outbox was made, but for ``duplicates_possible`` and for messages that memory
    could not hold while the disk failed (a part of ``dropped_oldest``): those since the start.
    """

    rows: int
    bytes: int
    oldest_s: float
    dropped_oldest: int
    dead: int
    no_subscriber: int
    duplicates_possible: int


@dataclass(frozen=True, slots=True)
class LineStatus:
    """The factory line: what went wrong, by kind, since the service started, and the open lot."""

    counts: Mapping[str, int]
    lot: str | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """What the health message says. ``cpu`` is the process's share of one core."""

    state: Literal["ok", "degraded", "fault"]
    reasons: tuple[Reason, ...]
    cameras: Mapping[str, CameraStatus]
    mqtt: MqttStatus
    outbox: OutboxStatus
    cpu: float
    rss_mb: float
    infer_ms: Percentiles | None = None
    puback_ms: Percentiles | None = None
    temp_c: float | None = None
    throttled: bool | None = None
    line: LineStatus | None = None
