"""The terminal dashboard of ``linesight watch``: a fleet as something rich can print."""

from __future__ import annotations

from datetime import datetime

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from edge.demo.fleet import CameraView, Fleet, StationView
from edge.messages.payloads import AlertPayload

_STATE_STYLE = {"ok": "green", "degraded": "yellow", "fault": "red"}
_PHASE_STYLE = {"new": "bold red", "update": "yellow", "end": "green"}


def dashboard(
    fleet: Fleet, *, title: str, connected: bool, now: datetime, rows: int = 8
) -> RenderableType:
    """Everything that is known, for a terminal of any width.

    Parameters
    ----------
    fleet
        What the subscriber knows.
    title
        Which broker and root.
    connected
        Is the subscription in force?
    now
        UTC; ages are counted from it.
    rows
        How many of the last revisions are shown.
    """
    link = Text("connected", "green") if connected else Text("not connected", "bold red")
    head = Text.assemble(
        (title, "bold"), "  ", link, f"  alerts opened {fleet.opened}, closed {fleet.closed}"
    )
    if fleet.duplicates or fleet.malformed or fleet.held_back:
        head.append(
            f"  (held back {fleet.held_back}, duplicates {fleet.duplicates}, "
            f"malformed {fleet.malformed})",
            "dim",
        )
    return Group(head, _stations(fleet), _open(fleet, now), _log(fleet, rows))


def _stations(fleet: Fleet) -> RenderableType:
    table = Table(expand=True, pad_edge=False)
    for name in ("station", "camera", "state", "judged/s", "p95 age", "open", "backlog"):
        table.add_column(name, justify="right" if name not in _LEFT else "left", no_wrap=True)
    table.add_column("why", overflow="ellipsis", no_wrap=True, ratio=1)
    for node, station in sorted(fleet.stations.items()):
        table.add_row(*_station_row(node, station))
        for camera in sorted(station.cameras):
            table.add_row(*_camera_row(camera, station))
    if not fleet.stations:
        table.add_row("no station has spoken yet")
    return table


_LEFT = frozenset({"station", "camera", "state"})


def _station_row(node: str, station: StationView) -> tuple[RenderableType, ...]:
    health = station.health
    state = Text("offline", "bold red") if not station.online else Text("online", "green")
    if station.online and health is not None:
        state = Text(health.state, _STATE_STYLE[health.state])
    backlog = "" if health is None else str(health.outbox.rows)
    why = "" if health is None else ", ".join(reason.code for reason in health.reasons)
    open_here = sum(
        view.state.open_alerts for view in station.cameras.values() if view.state is not None
    )
    return Text(node, "bold"), "", state, "", "", str(open_here), backlog, why


def _camera_row(camera: str, station: StationView) -> tuple[RenderableType, ...]:
    view = station.cameras.get(camera, CameraView())
    state = Text("online", "green") if view.online else Text("offline", "red")
    if view.online is None:
        state = Text("?", "dim")
    fps = age = ""
    part = None if station.health is None else station.health.cameras.get(camera)
    if part is not None:
        fps = f"{part.judged_fps:.1f}"
        age = "" if part.age_ms_p95 is None else f"{part.age_ms_p95:.0f} ms"
    open_here = "" if view.state is None else str(view.state.open_alerts)
    last = "" if view.state is None or view.state.label is None else f"last: {view.state.label}"
    return "", camera, state, fps, age, open_here, "", Text(last, "dim")


def _open(fleet: Fleet, now: datetime) -> RenderableType:
    lines = []
    for alert in list(fleet.open_alerts.values())[-6:]:
        age = max(0.0, (now - datetime.fromisoformat(alert.ts)).total_seconds())
        lines.append(
            Text(
                f"{alert.node}/{alert.cam}  {alert.label}  score {alert.score:.2f}  "
                f"peak {alert.peak:.2f}  rev {alert.rev}  {age:.0f} s ago",
                "bold red",
            )
        )
    body = Text("\n").join(lines) if lines else Text("none", "green")
    return Panel(body, title=f"open alerts: {len(fleet.open_alerts)}", title_align="left")


def _log(fleet: Fleet, rows: int) -> RenderableType:
    lines = [Text(_short(alert), _PHASE_STYLE[alert.phase]) for alert in fleet.log[-rows:]]
    body = Text("\n").join(lines) if lines else Text("nothing yet", "dim")
    return Panel(body, title="last alerts", title_align="left")


def _short(alert: AlertPayload) -> str:
    """One revision in as few words as fit a terminal of 80 columns; ``ts`` without its date."""
    where = f"{alert.ts[11:19]} {alert.node}/{alert.cam}"
    if alert.summary is not None:
        return f"{where} {alert.summary.held_back} held back"
    who = "" if alert.track is None else f" #{alert.track}"
    return f"{where} {alert.phase:<6} {alert.label}{who} peak {alert.peak:.2f}"
