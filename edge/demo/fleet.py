"""What a dashboard knows of all stations under one root: a value, and how a message changes it.

Pure: no clock, no connection. The reducer is what `linesight watch` and the demo share, and the
shortest example of a consumer that treats delivery "at least once" as docs/mqtt.md asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from edge.messages.line_payloads import LotReportPayload
from edge.messages.parts import Payload
from edge.messages.payloads import (
    AlertPayload,
    HealthPayload,
    InfoPayload,
    StatePayload,
)

LOG_LENGTH = 100
"""How many revisions of alerts are remembered for the scroll."""

REMEMBERED = 10_000
"""How many alert ids are remembered to find duplicates."""

_P = TypeVar("_P", bound=Payload)


@dataclass(frozen=True, slots=True)
class CameraView:
    """One camera; ``online`` is None until it has said so."""

    online: bool | None = None
    state: StatePayload | None = None


@dataclass(frozen=True, slots=True)
class StationView:
    """One station; what it has not yet said is None."""

    online: bool | None = None
    info: InfoPayload | None = None
    health: HealthPayload | None = None
    cameras: Mapping[str, CameraView] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fleet:
    """Everything that was heard, folded together.

    Parameters
    ----------
    stations
        By node id.
    open_alerts
        Last revision of each alert that has begun and not ended, by alert id.
    log
        The last revisions, oldest first, each once.
    reports
        The last reports of lots, oldest first, each once.
    opened, closed
        Alerts whose ``new`` and ``end`` came; the summary of held-back alerts counts as neither.
    held_back
        Alerts that rate limits kept back, as the summaries say.
    duplicates
        Revisions that came again.
    malformed
        Messages that are not what their topic promises.
    revisions
        Highest revision seen of each remembered alert id.
    """

    stations: Mapping[str, StationView] = field(default_factory=dict)
    open_alerts: Mapping[str, AlertPayload] = field(default_factory=dict)
    log: tuple[AlertPayload, ...] = ()
    reports: tuple[LotReportPayload, ...] = ()
    opened: int = 0
    closed: int = 0
    held_back: int = 0
    duplicates: int = 0
    malformed: int = 0
    revisions: Mapping[str, int] = field(default_factory=dict)


def reduce(fleet: Fleet, root: str, topic: str, payload: bytes) -> Fleet:
    """The fleet after one message; a strange topic or payload changes counters only.

    Parameters
    ----------
    fleet
        What was known before.
    root
        The first levels of every topic.
    topic, payload
        As they came; an empty payload is a retained message that was deleted.
    """
    prefix = f"{root}/"
    if not topic.startswith(prefix) or not payload:
        return fleet
    match topic.removeprefix(prefix).split("/"):
        case [node, "availability"]:
            return _station(fleet, node, online=payload == b"online")
        case [node, "info"]:
            info = _parsed(InfoPayload, payload)
            return _station(fleet, node, info=info) if info else _malformed(fleet)
        case [node, "health"]:
            health = _parsed(HealthPayload, payload)
            return _station(fleet, node, health=health) if health else _malformed(fleet)
        case [node, "cam", camera, "availability"]:
            return _camera(fleet, node, camera, online=payload == b"online")
        case [node, "cam", camera, "state"]:
            state = _parsed(StatePayload, payload)
            return _camera(fleet, node, camera, state=state) if state else _malformed(fleet)
        case [_, "lot", "report"]:
            report = _parsed(LotReportPayload, payload)
            return _report(fleet, report) if report else _malformed(fleet)
        case [_, "cam", _, "alert"]:
            alert = _parsed(AlertPayload, payload)
            return _alert(fleet, alert) if alert else _malformed(fleet)
    return fleet


def _report(fleet: Fleet, report: LotReportPayload) -> Fleet:
    """Take a report in, once."""
    if report.id in [one.id for one in fleet.reports]:
        return replace(fleet, duplicates=fleet.duplicates + 1)
    return replace(fleet, reports=(*fleet.reports, report)[-LOG_LENGTH:])


def _alert(fleet: Fleet, alert: AlertPayload) -> Fleet:
    """Take a revision in, once. Revisions of one alert come in order, so the highest one says
    which were there; a repeated one is a duplicate whatever MQTT's DUP flag says.
    """
    if alert.rev <= fleet.revisions.get(alert.id, 0):
        return replace(fleet, duplicates=fleet.duplicates + 1)
    revisions = {k: v for k, v in fleet.revisions.items() if k != alert.id}  # newest to the end
    revisions[alert.id] = alert.rev
    while len(revisions) > REMEMBERED:
        del revisions[next(iter(revisions))]
    open_alerts = {k: v for k, v in fleet.open_alerts.items() if k != alert.id}
    if alert.phase != "end":
        open_alerts[alert.id] = alert
    summary = alert.summary
    return replace(
        fleet,
        open_alerts=open_alerts,
        log=(*fleet.log, alert)[-LOG_LENGTH:],
        opened=fleet.opened + (alert.phase == "new"),
        closed=fleet.closed + (alert.phase == "end" and summary is None),
        held_back=fleet.held_back + (summary.held_back if summary else 0),
        revisions=revisions,
    )


# Fields by keyword, which mypy cannot check through ``replace``; a wrong name fails at once.
def _station(fleet: Fleet, node: str, **changes: object) -> Fleet:
    station = fleet.stations.get(node, StationView())
    changed = replace(station, **changes)  # type: ignore[arg-type]
    return replace(fleet, stations={**fleet.stations, node: changed})


def _camera(fleet: Fleet, node: str, camera: str, **changes: object) -> Fleet:
    cameras = fleet.stations.get(node, StationView()).cameras
    view = replace(cameras.get(camera, CameraView()), **changes)  # type: ignore[arg-type]
    return _station(fleet, node, cameras={**cameras, camera: view})


def _malformed(fleet: Fleet) -> Fleet:
    return replace(fleet, malformed=fleet.malformed + 1)


def _parsed(model: type[_P], payload: bytes) -> _P | None:
    try:
        return model.model_validate_json(payload)
    except ValueError:  # what pydantic raises is one
        return None
