"""Records to messages. Pure: no clock, no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from edge.messages.station import StationInfo
from edge.records import Alert, Command, Message, ModelRef, Status


def encode_alert(alert: Alert, station: StationInfo, *, encoded_ns: int) -> Message:
    """An alert's revision for the outbox; ``encoded_ns`` is the monotonic time now."""
    raise NotImplementedError


def encode_status(
    status: Status, station: StationInfo, interval_s: float, *, now: datetime
) -> Message:
    """The retained health message; it expires after three intervals without a new one."""
    raise NotImplementedError


def encode_availability(online: bool, station: StationInfo, camera: str | None = None) -> Message:
    """``online`` or ``offline``, of the station or of one camera; the station's is the will."""
    raise NotImplementedError


def encode_state(
    station: StationInfo,
    camera: str,
    *,
    open_alerts: int,
    alerts_total: int,
    last: Alert | None,
    now: datetime,
) -> Message:
    """A camera's retained summary: is an alert open, how many were there, the last one's label."""
    raise NotImplementedError


def encode_info(
    station: StationInfo,
    *,
    versions: Mapping[str, str],
    hardware: Mapping[str, str],
    models: Sequence[ModelRef],
    now: datetime,
) -> Message:
    """The retained description of what runs here."""
    raise NotImplementedError


def encode_reply(
    command: Command,
    station: StationInfo,
    *,
    ok: bool,
    code: str,
    error: str | None = None,
    data: Mapping[str, Any] | None = None,
) -> Message:
    """The answer to a command: to the request's response topic if it names one."""
    raise NotImplementedError
