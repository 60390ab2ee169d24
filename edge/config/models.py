"""The tables of ``station.toml`` as frozen models: types, ranges, defaults, cross-checks.

Checks that look at two keys are validators of the *later* key, so that they still run when a third
key is wrong: every mistake is reported in one run.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    Field,
    ValidationInfo,
    field_validator,
)

from edge.config.line import LineTable
from edge.config.table import Identifier, Table
from edge.inbox import VERBS
from edge.sinks.mqtt_settings import is_local

Root: TypeAlias = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$", max_length=128)
]
BundleName: TypeAlias = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Fraction: TypeAlias = Annotated[float, Field(ge=0.0, le=1.0)]
Verb: TypeAlias = Literal[
    "ping", "info", "snapshot", "reload", "pause", "resume", "lot_start", "lot_end"
]
"""Every name of a verb, those of later versions too; this one carries out ``VERBS``."""

STATE_DIR = Path("/var/lib/linesight")

TASK_DEFAULTS: Mapping[str, Mapping[str, Mapping[str, float]]] = {
    "face_mask": {
        "rule": {"hits": 5, "of": 8, "holdoff_s": 10.0},
        "outbox": {"rate_per_s": 0.1, "burst": 20},
    },
    "steel_defect": {
        "rule": {"hits": 1, "of": 1, "holdoff_s": 0.0},
        "outbox": {"rate_per_s": 20.0, "burst": 2000},
    },
}
"""Task → table → key → the default that fits this task."""


def with_derived_defaults(tables: Mapping[str, Any]) -> dict[str, Any]:
    """The tables of a file with those defaults filled in that depend on another key.

    Without a known task, which is an error of its own, any task's defaults will do.
    """
    station, mqtt = tables.get("station"), tables.get("mqtt", {})
    task = station.get("task") if isinstance(station, dict) else None
    known = task if isinstance(task, str) and task in TASK_DEFAULTS else "face_mask"
    port = {"port": 8883 if isinstance(mqtt, dict) and "ca" in mqtt else 1883}
    filled = dict(tables)
    for name, defaults in {**TASK_DEFAULTS[known], "mqtt": port}.items():
        own = tables.get(name, {})
        filled[name] = {**defaults, **own} if isinstance(own, dict) else own
    return filled


def _nameable(path: Path) -> Path:
    if "\0" in str(path):
        raise ValueError("a path has no NUL character")
    return path


Folder: TypeAlias = Annotated[Path, AfterValidator(_nameable)]


def _state_dir() -> Path:
    """What systemd's ``StateDirectory=`` gave us, or the same place by its usual name."""
    return Path(os.environ.get("STATE_DIRECTORY", "").split(":")[0] or STATE_DIR)


class Station(Table):
    """``[station]``: who we are. ``models_dir`` is searched before the installed models."""

    node: Identifier
    root: Root = "linesight"
    task: Literal["face_mask", "steel_defect"]
    state_dir: Folder = Field(default_factory=_state_dir)
    models_dir: Folder | None = None


class Camera(Table):
    """``[[camera]]``: one source of frames.

    ``width``, ``height`` (pixels) and ``fps`` are asked of the driver; without them it chooses.
    ``mailbox`` without a value: ``every`` for files, ``latest`` for everything live.
    """

    id: Identifier
    source: Annotated[str, Field(min_length=1, max_length=4096)]
    width: Annotated[int, Field(ge=16, le=8192)] | None = None
    height: Annotated[int, Field(ge=16, le=8192)] | None = None
    fps: Annotated[float, Field(ge=0.1, le=1000.0)] | None = None
    mailbox: Literal["latest", "every"] | None = None


class Models(Table):
    """``[models]``: bundles by folder name; ``auto`` takes the variant that suits the device.

    A face_mask station has a detector and a classifier, a steel_defect station a segmenter.
    """

    detector: BundleName = "face_detector"
    classifier: BundleName = "mask_classifier"
    segmenter: BundleName = "steel_defect"
    variant: Literal["auto", "float32", "float16", "dynamic", "int8", "int16x8"] = "auto"


class Inference(Table):
    """``[inference]``: ``threads`` of each interpreter; live frames older than ``max_age_ms`` when
    their turn comes are not judged.
    """

    workers: Annotated[int, Field(ge=1, le=16)] = 1
    threads: Annotated[int, Field(ge=1, le=64)] = 2
    max_age_ms: Annotated[int, Field(ge=10, le=600_000)] = 1000


class RuleSettings(Table):
    """``[rule]``: an alert is raised when ``hits`` of the last ``of`` judged frames score at or
    above ``raise_at``, and ends when ``hits`` of the last ``of`` score below ``clear_at``, or when
    the person is lost. After its end the same person raises no alert for ``holdoff_s`` seconds.
    """

    raise_at: Fraction = 0.6
    clear_at: Annotated[Fraction, Field(validate_default=True)] = 0.4
    of: Annotated[int, Field(ge=1, le=1000)]
    hits: Annotated[int, Field(ge=1, le=1000)]
    holdoff_s: Annotated[float, Field(ge=0.0, le=86_400.0)]

    @field_validator("clear_at")
    @classmethod
    def _hysteresis(cls, value: float, info: ValidationInfo) -> float:
        raise_at = info.data.get("raise_at")
        if raise_at is not None and not value < raise_at:
            raise ValueError(f"{value} must be below rule.raise_at, which is {raise_at}")
        return value

    @field_validator("hits")
    @classmethod
    def _hits_of(cls, value: int, info: ValidationInfo) -> int:
        of = info.data.get("of")
        if of is not None and value > of:
            raise ValueError(f"{value} hits of {of} frames are impossible; rule.of is {of}")
        return value


class Mqtt(Table):
    """``[mqtt]``: the broker. TLS is used exactly when ``ca`` is set; ``insecure`` permits plain
    TCP to another host and never turns off a certificate check.
    """

    host: Annotated[str, Field(pattern=r"^[^\s/@]+$", max_length=255)] = "localhost"
    port: Annotated[int, Field(ge=1, le=65535)]
    protocol: Literal["5", "3.1.1"] = "5"
    username: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    password_file: Path | None = None
    ca: Path | None = None
    cert: Path | None = None
    key: Annotated[Path | None, Field(validate_default=True)] = None
    insecure: Annotated[bool, Field(validate_default=True)] = False
    ack: Literal["broker", "app"] = "broker"
    allow_commands: tuple[Verb, ...] = ()

    @field_validator("password_file")
    @classmethod
    def _password_needs_user(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is not None and "username" in info.data and info.data["username"] is None:
            raise ValueError("a password needs mqtt.username")
        return value

    @field_validator("key")
    @classmethod
    def _certificate_and_key(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if "cert" in info.data and (value is None) != (info.data["cert"] is None):
            raise ValueError("mqtt.cert and mqtt.key go together; set both or none")
        if value is not None and "ca" in info.data and info.data["ca"] is None:
            raise ValueError("a client certificate needs TLS; set mqtt.ca too")
        return value

    @field_validator("allow_commands")
    @classmethod
    def _verbs_are_built(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for verb in value:
            if verb not in VERBS:
                raise ValueError(f"{verb!r} comes with a later version")
        return value

    @field_validator("insecure")
    @classmethod
    def _plain_tcp_in_writing(cls, value: bool, info: ValidationInfo) -> bool:
        host = info.data.get("host")
        if value or host is None or "ca" not in info.data or info.data["ca"] is not None:
            return value
        if not is_local(host):
            raise ValueError(
                f"plain TCP to {host} lets the network read and forge every message; "
                "set mqtt.ca to the broker's CA file (TLS), or write insecure = true"
            )
        return value

    @property
    def tls(self) -> bool:
        """Is the connection encrypted?"""
        return self.ca is not None


class Outbox(Table):
    """``[outbox]``: what waits on disk at most, and how many alerts a camera may send on average
    (``rate_per_s``) and at once (``burst``).
    """

    max_rows: Annotated[int, Field(ge=1, le=10_000_000)] = 100_000
    max_mb: Annotated[int, Field(ge=1, le=65_536)] = 64
    rate_per_s: Annotated[float, Field(gt=0.0, le=10_000.0)]
    burst: Annotated[int, Field(ge=1, le=1_000_000)]


class Config(Table):
    """A whole ``station.toml``, checked, with every default filled in."""

    station: Station
    camera: Annotated[tuple[Camera, ...], Field(min_length=1, max_length=64)]
    models: Models = Field(default_factory=Models)
    inference: Inference = Field(default_factory=Inference)
    rule: RuleSettings
    mqtt: Mqtt
    outbox: Outbox
    line: LineTable | None = None

    @field_validator("camera")
    @classmethod
    def _ids_differ(cls, cameras: tuple[Camera, ...]) -> tuple[Camera, ...]:
        ids = [camera.id for camera in cameras]
        twice = sorted({name for name in ids if ids.count(name) > 1})
        if twice:
            raise ValueError(f"the id {twice[0]!r} stands at more than one camera")
        return cameras

    @field_validator("line")
    @classmethod
    def _line_has_its_camera(cls, line: LineTable | None, info: ValidationInfo) -> LineTable | None:
        station, cameras = info.data.get("station"), info.data.get("camera")
        if line is None or station is None or cameras is None:
            return line
        if station.task != "steel_defect":
            raise ValueError(f"a {station.task} station has no line")
        line_camera(line, cameras)
        return line

    @property
    def bundles(self) -> tuple[str, ...]:
        """Names of the bundles that the station's task runs."""
        return bundles_of(self.station.task, self.models)

    def effective(self) -> dict[str, Any]:
        """Every value in force as plain data, keys as in the file, passwords in URIs masked."""
        data: dict[str, Any] = self.model_dump(mode="json", exclude_none=True)
        for camera in data["camera"]:
            camera["source"] = without_password(camera["source"])
        return data

    @property
    def fingerprint(self) -> str:
        """First 12 hex digits of the SHA-256 of :meth:`effective`: the ``config`` of an alert.

        Secrets do not enter, so that nobody can try passwords against it.
        """
        text = json.dumps(self.effective(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def line_camera(line: LineTable, cameras: tuple[Camera, ...]) -> Camera:
    """The camera over a line's strip.

    Raises
    ------
    ValueError
        There is none of that name, it is not clear which, or its size is not known.
    """
    ids = [camera.id for camera in cameras]
    if line.camera is None and len(ids) > 1:
        raise ValueError(f"camera: name one of {', '.join(ids)}")
    name = line.camera or ids[0]
    if name not in ids:
        raise ValueError(f"camera: {name!r} is none of {', '.join(ids)}")
    found = cameras[ids.index(name)]
    if frame_size(line, found) is None:
        raise ValueError(
            f"camera {name!r} needs width and height, or the line frame_px: mm_per_px holds for "
            "one size of the picture"
        )
    return found


def frame_size(line: LineTable, camera: Camera) -> tuple[int, int] | None:
    """Width and height of the frames of a line's camera in pixels, None when nobody says it."""
    if line.frame_px is not None:
        return line.frame_px
    if camera.width is None or camera.height is None:
        return None
    return camera.width, camera.height


def bundles_of(task: str, models: Models) -> tuple[str, ...]:
    """Names of the bundles that a task runs, a detector before its classifier."""
    if task == "steel_defect":
        return (models.segmenter,)
    return (models.detector, models.classifier)


def without_password(uri: str) -> str:
    """``rtsp://user:secret@host/`` as ``rtsp://user:***@host/``."""
    return re.sub(r"^([A-Za-z][A-Za-z0-9+.-]*://[^/?#:@]*):[^/?#]*@", r"\1:***@", uri)
