"""A station as its configuration says."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from edge import __version__
from edge.app.line import check_labels, open_line
from edge.app.tasks import open_tasks
from edge.config import Camera as CameraConfig
from edge.config import Config, read_password
from edge.contract.bundle import find_bundle, search_path
from edge.engines import runtime_name
from edge.errors import RuntimeAbsent
from edge.health import Health, boot_id, clock_synced
from edge.messages import StationInfo, Topics, encode_availability
from edge.outbox import Outbox
from edge.pipeline import AlertIds, Camera, Description, LastExit, Observer, Pipeline
from edge.protocols import Encoder, Sink, Source, Task
from edge.rules import DefectRule, MaskRule, RateLimited
from edge.sinks.mqtt import MqttSettings, MqttSink
from edge.sources import open_source
from edge.tracking import IouTracker

OUTBOX = "outbox.db"


def build(
    config: Config,
    *,
    observer: Observer | None = None,
    sink: Sink | None = None,
    models: Path | None = None,
    tasks: Sequence[Task] | None = None,
    sources: Sequence[Source] | None = None,
    encoder: Encoder | None = None,
    outbox: str = OUTBOX,
    health_interval_s: float = 30.0,
) -> Pipeline:
    """Put a station together as its configuration says. No thread is started yet.

    Parameters
    ----------
    config
        The station's.
    observer
        Called for each judged frame, on the thread of the camera's rule owner.
    sink
        Where messages go; the broker of ``[mqtt]`` by default.
    models
        Searched for bundles before all other places.
    tasks
        One for each worker, in place of those that ``[models]`` names: a benchmark's.
    sources
        One for each camera, in place of those that the URIs name: a benchmark's.
    encoder
        In place of the one that ``[line.encoder]`` names: a demo's.
    outbox
        The database's file name in ``state_dir``.
    health_interval_s
        Between two health messages.

    Raises
    ------
    ModelError
        A bundle is missing, damaged, or computes other numbers here than where it was made.
    SourceError
        A camera's URI cannot be used.
    ConfigError
        The broker's password cannot be read.
    """
    station = StationInfo(
        root=config.station.root,
        node=config.station.node,
        boot_id=boot_id(),
        config=config.fingerprint,
        clock_synced=clock_synced(),
    )
    if config.line is not None and tasks is None:
        search = search_path(models, config.station.models_dir)
        manifest = find_bundle(config.models.segmenter, search).manifest
        check_labels(config.line, manifest.labels, manifest.name)
    # Sources before models: a wrong URI is found at once, a model takes a moment to load.
    sources = sources or [_open_source(camera) for camera in config.camera]
    ids = AlertIds()
    max_bytes = config.outbox.max_mb << 20
    line = open_line(config, station.boot_id, encoder) if config.line is not None else None
    # Of a strip each frame shows other steel: the next one does not make up for it.
    over_strip = None if line is None else line.camera
    cameras = [
        Camera(
            id=camera.id,
            source=source,
            policy=camera.mailbox
            or ("latest" if source.live and camera.id != over_strip else "every"),
            tracker=_tracker(config) if line is None or camera.id != line.camera else line.tracker,
            rule=_rule(config, ids),
            max_age_ms=config.inference.max_age_ms,
        )
        for camera, source in zip(config.camera, sources, strict=True)
    ]
    return Pipeline(
        station=station,
        cameras=cameras,
        tasks=open_tasks(config, models) if tasks is None else tasks,
        sink=sink or _mqtt(config, station),
        open_outbox=partial(
            Outbox.open,
            config.station.state_dir / outbox,
            max_rows=config.outbox.max_rows,
            max_bytes=max_bytes,
            boot_id=station.boot_id,
        ),
        ids=ids,
        health=Health(
            (camera.id for camera in cameras),
            max_rows=config.outbox.max_rows,
            max_bytes=max_bytes,
        ),
        allow_commands=frozenset(config.mqtt.allow_commands),
        app_ack=config.mqtt.ack == "app",
        health_interval_s=health_interval_s,
        description=_description(),
        last_exit=LastExit((config.station.state_dir / outbox).with_suffix(".exit")),
        line=None if line is None else line.parts,
        observer=observer,
    )


def _open_source(camera: CameraConfig) -> Source:
    return open_source(
        camera.source, camera=camera.id, width=camera.width, height=camera.height, fps=camera.fps
    )


def _tracker(config: Config) -> IouTracker:
    if config.station.task == "face_mask":
        return IouTracker()
    # The strip runs: what is not in the same place in the next frame is other steel.
    return IouTracker(max_missed=0, max_unseen_s=0.0, min_iou=0.5, gate=0.0)


def _rule(config: Config, ids: AlertIds) -> RateLimited:
    kinds: dict[str, type[MaskRule] | type[DefectRule]] = {
        "face_mask": MaskRule,
        "steel_defect": DefectRule,
    }
    rule = kinds[config.station.task](
        ids.next,
        raise_at=config.rule.raise_at,
        clear_at=config.rule.clear_at,
        hits=config.rule.hits,
        of=config.rule.of,
        holdoff_s=config.rule.holdoff_s,
    )
    return RateLimited(
        rule, ids.next, rate_per_s=config.outbox.rate_per_s, burst=config.outbox.burst
    )


def mqtt_settings(config: Config) -> MqttSettings:
    """How the station reaches its broker.

    Raises
    ------
    ConfigError
        The password file cannot be read.
    """
    mqtt = config.mqtt
    return MqttSettings(
        host=mqtt.host,
        port=mqtt.port,
        client_id=Topics(config.station.root, config.station.node).client_id,
        protocol=mqtt.protocol,
        username=mqtt.username,
        password=read_password(config.mqtt.password_file),
        ca=mqtt.ca,
        cert=mqtt.cert,
        key=mqtt.key,
        insecure=mqtt.insecure,
    )


def _mqtt(config: Config, station: StationInfo) -> MqttSink:
    return MqttSink(mqtt_settings(config), will=encode_availability(False, station))


def _description() -> Description:
    versions = {"linesight": __version__, "python": platform.python_version()}
    # Tasks that were handed in may do without a runtime.
    with contextlib.suppress(RuntimeAbsent):
        versions["runtime"] = runtime_name()
    return Description(
        versions=versions,
        hardware={"machine": platform.machine(), "cpus": os.cpu_count() or 1},
    )
