"""Records to messages. Pure: no clock, no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from edge.messages import payloads
from edge.messages.parts import ClockPart, moment
from edge.messages.station import StationInfo
from edge.records import (
    Alert,
    Box,
    CameraStatus,
    Command,
    Header,
    HeldBack,
    HitCount,
    Measure,
    Message,
    ModelRef,
    Percentiles,
    Place,
    ReplyCode,
    Status,
)

OUTBOX_EXPIRY_S = 7 * 24 * 3600
"""How long a broker keeps what came through the outbox for a consumer that is away."""

_REPLY_EXPIRY_S = 60


def encode_alert(alert: Alert, station: StationInfo, *, encoded_ns: int) -> Message:
    """An alert's revision for the outbox.

    ``encoded_ns`` is the monotonic time now: ``latency_ms.total`` runs from the capture to it.
    """
    header, timings = alert.header, alert.timings
    payload = payloads.StoredAlert(
        id=alert.id,
        rev=alert.rev,
        phase=alert.phase,
        node=station.node,
        cam=header.camera,
        boot=station.boot_id,
        ts=moment(header.captured_at),
        mono_ns=header.captured_ns,
        clock=ClockPart(synced=station.clock_synced),
        task=alert.task,
        severity=alert.severity,
        label=alert.label,
        score=round(alert.score, 4),
        peak=round(alert.peak, 4),
        frames=None if alert.frames is None else _frames(alert.frames),
        box=None if alert.box is None else _box(alert.box, header),
        track=alert.track,
        position=None if alert.position is None else _position(alert.position),
        measure=tuple(map(_measure, alert.measures)) or None,
        model=_model(alert.model),
        config=station.config,
        latency_ms=payloads.LatencyPart(
            capture=round(timings.capture_ms, 2),
            queue=round(timings.queue_ms, 2),
            preprocess=round(timings.preprocess_ms, 2),
            infer=round(timings.infer_ms, 2),
            postprocess=round(timings.postprocess_ms, 2),
            total=round(max(0, encoded_ns - header.captured_ns) / 1e6, 2),
        ),
        summary=None if alert.summary is None else _summary(alert.summary),
    )
    return Message(
        station.topics.alert(header.camera),
        payload.to_bytes(),
        way="outbox",
        expiry_s=OUTBOX_EXPIRY_S,
        id=alert.id,
        rev=alert.rev,
    )


def encode_status(
    status: Status, station: StationInfo, interval_s: float, *, now: datetime
) -> Message:
    """The retained health message; a broker drops it after three intervals without a new one."""
    payload = payloads.HealthPayload(
        ts=moment(now),
        state=status.state,
        reasons=tuple(
            payloads.ReasonPart(code=reason.code, cam=reason.cam, detail=reason.detail)
            for reason in status.reasons
        ),
        cameras={name: _camera(camera) for name, camera in status.cameras.items()},
        infer_ms=_percentiles(status.infer_ms),
        puback_ms=_percentiles(status.puback_ms),
        mqtt=payloads.MqttPart(
            connected=status.mqtt.connected,
            reconnects=status.mqtt.reconnects,
            inflight=status.mqtt.inflight,
        ),
        outbox=payloads.OutboxPart(
            rows=status.outbox.rows,
            bytes=status.outbox.bytes,
            oldest_s=round(status.outbox.oldest_s, 1),
            dropped_oldest=status.outbox.dropped_oldest,
            dead=status.outbox.dead,
            no_subscriber=status.outbox.no_subscriber,
            duplicates_possible=status.outbox.duplicates_possible,
        ),
        cpu=round(status.cpu, 3),
        rss_mb=round(status.rss_mb, 1),
        temp_c=None if status.temp_c is None else round(status.temp_c, 1),
        throttled=status.throttled,
        line=None
        if status.line is None
        else payloads.LinePart(lot=status.line.lot, counts=dict(status.line.counts)),
    )
    return Message(
        station.topics.health,
        payload.to_bytes(),
        way="latest",
        qos=0,
        retain=True,
        expiry_s=max(1, round(3 * interval_s)),
    )


def encode_availability(online: bool, station: StationInfo, camera: str | None = None) -> Message:
    """``online`` or ``offline``, retained: of the station (also its will), or of one camera."""
    topics = station.topics
    return Message(
        topics.availability if camera is None else topics.camera_availability(camera),
        b"online" if online else b"offline",
        way="latest",
        retain=True,
    )


def encode_state(
    station: StationInfo,
    camera: str,
    *,
    open_alerts: int,
    alerts_total: int,
    last: Alert | None,
    now: datetime,
) -> Message:
    """A camera's retained summary.

    ``open_alerts`` are open now, ``alerts_total`` were opened since the service started; the label
    and score are those of ``last``, the last revision of any alert.
    """
    payload = payloads.StatePayload(
        ts=moment(now),
        alert=open_alerts > 0,
        open_alerts=open_alerts,
        alerts_total=alerts_total,
        label=None if last is None else last.label,
        score=None if last is None else round(last.score, 4),
    )
    return Message(station.topics.state(camera), payload.to_bytes(), way="latest", retain=True)


def encode_info(
    station: StationInfo,
    *,
    versions: Mapping[str, str],
    hardware: Mapping[str, str | int],
    models: Sequence[ModelRef],
    now: datetime,
    last_exit: str | None = None,
) -> Message:
    """The retained description of what runs here; ``last_exit`` is how the run before ended."""
    payload = payloads.InfoPayload(
        ts=moment(now),
        node=station.node,
        boot=station.boot_id,
        config=station.config,
        versions=dict(versions),
        hardware=dict(hardware),
        last_exit=last_exit,
        models=tuple(_model(model) for model in models),
        schemas=tuple(payloads.PUBLISHED),
    )
    return Message(station.topics.info, payload.to_bytes(), way="latest", retain=True)


def encode_reply(
    command: Command,
    station: StationInfo,
    *,
    ok: bool,
    code: ReplyCode,
    error: str | None = None,
    data: Mapping[str, Any] | None = None,
) -> Message:
    """The answer to a command, to the request's response topic if it names one.

    ``code`` is ``ok`` or one word that says why not, ``error`` one line for people when not ok,
    ``data`` what the verb gives back: JSON values.
    """
    payload = payloads.ReplyPayload(
        txn=command.txn, ok=ok, code=code, error=error, data=None if data is None else dict(data)
    )
    properties = {}
    if command.correlation is not None:
        properties["correlation_data"] = command.correlation.hex()
    return Message(
        command.response_topic or station.topics.reply(command.verb),
        payload.to_bytes(),
        way="transient",
        expiry_s=_REPLY_EXPIRY_S,
        properties=properties,
    )


def _frames(frames: HitCount) -> payloads.FramesPart:
    return payloads.FramesPart(hit=frames.hit, of=frames.of, first=frames.first, last=frames.last)


def _summary(summary: HeldBack) -> payloads.SummaryPart:
    return payloads.SummaryPart(
        held_back=summary.held_back, since=moment(summary.since), until=moment(summary.until)
    )


def _box(box: Box, header: Header) -> payloads.BoxPart:
    sides = (box.x, box.y, box.width, box.height)
    scales = (header.width, header.height, header.width, header.height)
    x, y, width, height = (
        round(side / scale, 4) for side, scale in zip(sides, scales, strict=True)
    )
    return payloads.BoxPart(
        px=(round(box.x, 1), round(box.y, 1), round(box.width, 1), round(box.height, 1)),
        norm=(x, y, width, height),
    )


def _position(place: Place) -> payloads.PositionPart:
    return payloads.PositionPart(
        lot=place.lot,
        x_mm=round(place.x_mm, 1),
        y_mm=round(place.y_mm, 1),
        len_mm=round(place.len_mm, 1),
        wid_mm=round(place.wid_mm, 1),
        err_mm=round(place.err_mm, 2),
    )


def _measure(measure: Measure) -> payloads.MeasurePart:
    return payloads.MeasurePart(name=measure.name, value=round(measure.value, 2), unit=measure.unit)


def _model(model: ModelRef) -> payloads.ModelPart:
    return payloads.ModelPart(
        name=model.name, version=model.version, variant=model.variant, sha256=model.sha256
    )


def _camera(camera: CameraStatus) -> payloads.CameraPart:
    drops = camera.drops
    return payloads.CameraPart(
        frames_in=camera.frames_in,
        judged_fps=round(camera.judged_fps, 2),
        age_ms_p95=None if camera.age_ms_p95 is None else round(camera.age_ms_p95, 1),
        drops=payloads.DropsPart(
            mailbox=drops.mailbox,
            stale=drops.stale,
            corrupt=drops.corrupt,
            throttle=drops.throttle,
        ),
        nonfinite=camera.nonfinite,
        reconnects=camera.reconnects,
    )


def _percentiles(values: Percentiles | None) -> payloads.PercentilesPart | None:
    if values is None:
        return None
    return payloads.PercentilesPart(
        p50=round(values.p50, 2), p95=round(values.p95, 2), p99=round(values.p99, 2)
    )
