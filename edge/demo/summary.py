"""A fleet and a demo's figures as lines of text and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edge.demo.fleet import CameraView, Fleet
from edge.messages.payloads import AlertPayload


def alert_line(alert: AlertPayload) -> str:
    """One revision in one line."""
    where = f"{alert.ts} {alert.node}/{alert.cam}"
    if alert.summary is not None:
        return f"{where} {alert.summary.held_back} alerts held back by the rate limit"
    kind = "person" if alert.task == "face_mask" else "defect"
    who = "" if alert.track is None else f" {kind} {alert.track}"
    place = alert.position
    at = "" if place is None else f"at {place.x_mm / 1000:.3f} m, {place.y_mm:.0f} mm across, "
    return (
        f"{where} {alert.phase:<6} {alert.label}{who} {at}"
        f"score {alert.score:.2f} peak {alert.peak:.2f} id {alert.id} rev {alert.rev}"
    )


def percentiles(values_ms: Sequence[float]) -> dict[str, float]:
    """``p50``, ``p95``, ``p99`` of times in milliseconds; needs at least one."""
    p50, p95, p99 = (round(float(v), 2) for v in np.percentile(values_ms, (50, 95, 99)))
    return {"p50": p50, "p95": p95, "p99": p99}


def fleet_report(fleet: Fleet, root: str) -> dict[str, Any]:
    """What is known of all stations, for ``watch --json``; what was never heard is absent."""
    stations: dict[str, Any] = {}
    for node, station in sorted(fleet.stations.items()):
        entry: dict[str, Any] = {"online": bool(station.online)}
        if station.info is not None:
            entry["config"] = station.info.config
            entry["versions"] = station.info.versions
        if station.health is not None:
            entry["state"] = station.health.state
            entry["reasons"] = [reason.code for reason in station.health.reasons]
            entry["backlog"] = station.health.outbox.rows
        entry["cameras"] = {
            name: _camera_report(camera) for name, camera in sorted(station.cameras.items())
        }
        stations[node] = entry
    return {
        "root": root,
        "stations": stations,
        "alerts_opened": fleet.opened,
        "alerts_closed": fleet.closed,
        "alerts_open": len(fleet.open_alerts),
        "held_back": fleet.held_back,
        "duplicates": fleet.duplicates,
        "malformed": fleet.malformed,
    }


def _camera_report(camera: CameraView) -> dict[str, Any]:
    report: dict[str, Any] = {"online": bool(camera.online)}
    if camera.state is not None:
        report["open_alerts"] = camera.state.open_alerts
        report["alerts_total"] = camera.state.alerts_total
        if camera.state.label is not None:
            report["label"] = camera.state.label
    return report
