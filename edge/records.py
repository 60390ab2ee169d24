"""Immutable data that flows through the service, from a camera's frame to a broker's message.

Everything here is validated when it is built; arrays become read-only. Boxes are
``(x, y, width, height)`` in pixels of the image the camera gave, x to the right, y down.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Outputs = Mapping[str, npt.NDArray[Any]]
"""A model's raw outputs in the model's own dtype, keyed by manifest name; axis 0 is the batch."""

Phase = Literal["new", "update", "end"]
Severity = Literal["info", "warning", "critical"]
Way = Literal["outbox", "latest", "transient"]


def _frozen_array(owner: object, name: str, dtype: type, shape: tuple[int | None, ...]) -> None:
    """Replace a field of a frozen record by a read-only view, after checking dtype and shape."""
    array = getattr(owner, name)
    if not isinstance(array, np.ndarray) or array.dtype != dtype:
        raise TypeError(f"{type(owner).__name__}.{name}: needs an array of {dtype.__name__}")
    if array.ndim != len(shape) or any(
        want is not None and have != want for have, want in zip(array.shape, shape, strict=True)
    ):
        raise ValueError(f"{type(owner).__name__}.{name}: shape {array.shape}, expected {shape}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"{type(owner).__name__}.{name}: holds NaN or infinity")
    view = array.view()
    view.flags.writeable = False
    object.__setattr__(owner, name, view)


def _utc(owner: object, moment: datetime) -> None:
    offset = moment.utcoffset()
    if offset is None or offset.total_seconds() != 0:
        raise ValueError(f"{type(owner).__name__}.captured_at: must be UTC")


def _fraction(owner: object, name: str, value: float) -> None:
    if not (math.isfinite(value) and 0.0 <= value <= 1.0):
        raise ValueError(f"{type(owner).__name__}.{name}: {value} is not in [0, 1]")


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture of one camera.

    Parameters
    ----------
    image
        (H, W, 3) uint8, BGR as OpenCV has it; made read-only.
    camera
        The camera's id.
    sequence
        Counts from 0 for each opened source; a gap means frames the source itself lost.
    captured_ns, ready_ns
        Monotonic time when the driver handed the frame over, and when it was decoded.
    captured_at
        UTC wall-clock time that belongs to ``captured_ns``.
    """

    image: Image
    camera: str
    sequence: int
    captured_ns: int
    ready_ns: int
    captured_at: datetime

    def __post_init__(self) -> None:
        _frozen_array(self, "image", np.uint8, (None, None, 3))
        if self.image.shape[0] < 1 or self.image.shape[1] < 1:
            raise ValueError("Frame.image: has no pixels")
        _utc(self, self.captured_at)

    @property
    def height(self) -> int:
        """Rows, in pixels."""
        return int(self.image.shape[0])

    @property
    def width(self) -> int:
        """Columns, in pixels."""
        return int(self.image.shape[1])

    @property
    def header(self) -> Header:
        """All but the pixels."""
        return Header(
            self.camera,
            self.sequence,
            self.captured_ns,
            self.ready_ns,
            self.captured_at,
            self.width,
            self.height,
        )


@dataclass(frozen=True, slots=True)
class Header:
    """A frame without its pixels; ``width`` and ``height`` are the image's, in pixels."""

    camera: str
    sequence: int
    captured_ns: int
    ready_ns: int
    captured_at: datetime
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Box:
    """An upright rectangle in image pixels."""

    x: float
    y: float
    width: float
    height: float

    def __post_init__(self) -> None:
        if not all(math.isfinite(v) for v in (self.x, self.y, self.width, self.height)):
            raise ValueError("Box: holds NaN or infinity")
        if self.width < 0 or self.height < 0:
            raise ValueError("Box: negative size")


@dataclass(frozen=True, slots=True, eq=False)
class Classification:
    """One score in [0, 1] for each label: ``scores`` is (C,) float32."""

    labels: tuple[str, ...]
    scores: Floats

    def __post_init__(self) -> None:
        _frozen_array(self, "scores", np.float32, (len(self.labels),))
        if self.scores.size and not (0.0 <= self.scores.min() and self.scores.max() <= 1.0):
            raise ValueError("Classification.scores: not in [0, 1]")

    @property
    def label(self) -> str:
        """The label with the highest score."""
        return self.labels[int(self.scores.argmax())]

    @property
    def score(self) -> float:
        """The highest score."""
        return float(self.scores.max())

    def score_of(self, label: str) -> float:
        """The score of one label.

        Raises
        ------
        ValueError
            There is no such label.
        """
        return float(self.scores[self.labels.index(label)])


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Boxes that were found in one image, best score first.

    Parameters
    ----------
    boxes
        (N, 4) float32: x, y, width, height in image pixels.
    scores
        (N,) float32 in [0, 1], how sure the detector is.
    labels
        N labels from the detector's manifest.
    classifications
        Empty, or what a second model says of each of the N boxes.
    """

    boxes: Floats
    scores: Floats
    labels: tuple[str, ...]
    classifications: tuple[Classification, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.labels)
        _frozen_array(self, "boxes", np.float32, (count, 4))
        _frozen_array(self, "scores", np.float32, (count,))
        if count and not (0.0 <= self.scores.min() and self.scores.max() <= 1.0):
            raise ValueError("Detections.scores: not in [0, 1]")
        if count and self.boxes[:, 2:].min() < 0:
            raise ValueError("Detections.boxes: negative size")
        if len(self.classifications) not in (0, count):
            raise ValueError("Detections.classifications: must be empty or one for each box")

    def __len__(self) -> int:
        return len(self.labels)

    def box(self, index: int) -> Box:
        """One row of ``boxes``."""
        x, y, width, height = (float(v) for v in self.boxes[index])
        return Box(x, y, width, height)


@dataclass(frozen=True, slots=True)
class Region:
    """A connected area of one label; lengths and areas in image pixels."""

    label: str
    box: Box
    area_px: float
    length_px: float
    width_px: float
    score: float

    def __post_init__(self) -> None:
        _fraction(self, "score", self.score)


@dataclass(frozen=True, slots=True, eq=False)
class Segmentation:
    """One binary mask for each label: ``masks`` is (C, H, W) bool in image pixels."""

    labels: tuple[str, ...]
    masks: npt.NDArray[np.bool_]
    regions: tuple[Region, ...] = ()

    def __post_init__(self) -> None:
        _frozen_array(self, "masks", np.bool_, (len(self.labels), None, None))


@dataclass(frozen=True, slots=True)
class Ellipse:
    """Centre, full axes (major >= minor) in image pixels, angle of the major axis in degrees."""

    label: str
    x: float
    y: float
    major_px: float
    minor_px: float
    angle_deg: float
    score: float

    def __post_init__(self) -> None:
        _fraction(self, "score", self.score)
        if not self.major_px >= self.minor_px >= 0:
            raise ValueError("Ellipse: needs major_px >= minor_px >= 0")


@dataclass(frozen=True, slots=True)
class Ellipses:
    """Ellipses that were fitted in one image."""

    ellipses: tuple[Ellipse, ...]


Result = Classification | Detections | Segmentation | Ellipses


@dataclass(frozen=True, slots=True)
class ModelRef:
    """Which model file gave a result; ``sha256`` is of the variant's file, in hex."""

    name: str
    version: str
    variant: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Timings:
    """Where one frame's time went, in milliseconds.

    ``capture``: driver hand-over to decoded image; ``queue``: waiting in the mailbox.
    """

    capture_ms: float = 0.0
    queue_ms: float = 0.0
    preprocess_ms: float = 0.0
    infer_ms: float = 0.0
    postprocess_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Observation:
    """A frame's result with the frame's header, the model that decides and the time it took."""

    header: Header
    result: Result
    model: ModelRef
    timings: Timings


@dataclass(frozen=True, slots=True)
class Track:
    """One thing followed over frames.

    Parameters
    ----------
    id
        Counts from 1 for each camera since the service started.
    box
        Where it is now (its last seen place while it is not seen).
    index
        Row of the observation's ``Detections`` it was matched with, None when not seen.
    missed
        Frames in a row that it was not seen.
    """

    id: int
    box: Box
    index: int | None
    missed: int = 0


@dataclass(frozen=True, slots=True)
class HitCount:
    """The evidence of an alert: ``hit`` of the last ``of`` judged frames; sequence numbers."""

    hit: int
    of: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class HeldBack:
    """Alerts that the rate limit held back: how many, and between which UTC moments."""

    held_back: int
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Alert:
    """One revision in the life of an alert.

    ``id`` is the same in all revisions, ``rev`` counts from 1. ``score`` is the rule's label now,
    ``peak`` its highest value so far. ``box`` and what follows are absent in a summary of alerts
    that the rate limit held back.
    """

    id: str
    rev: int
    phase: Phase
    task: str
    severity: Severity
    label: str
    score: float
    peak: float
    header: Header
    model: ModelRef
    timings: Timings
    frames: HitCount | None = None
    box: Box | None = None
    track: int | None = None
    summary: HeldBack | None = None

    def __post_init__(self) -> None:
        _fraction(self, "score", self.score)
        _fraction(self, "peak", self.peak)
        if self.rev < 1:
            raise ValueError("Alert.rev: counts from 1")


@dataclass(frozen=True, slots=True)
class Message:
    """What goes to a broker.

    Parameters
    ----------
    topic
        The whole topic.
    payload
        UTF-8 JSON or plain text, without what ``edge.messages.seal`` adds.
    way
        ``outbox``: through the disk, at least once; ``latest``: one slot a topic, sent again after
        each connect; ``transient``: dropped when not connected.
    qos, retain, expiry_s
        As MQTT has them; ``expiry_s`` None never expires.
    id, rev
        The consumer's key; of ``outbox`` messages only.
    seq
        Contiguous per topic and epoch, given when the outbox stored the message.
    properties
        MQTT 5 response data: ``response_topic`` of a reply's request, ``correlation_data`` hex.
    """

    topic: str
    payload: bytes
    way: Way
    qos: Literal[0, 1] = 1
    retain: bool = False
    expiry_s: int | None = None
    id: str | None = None
    rev: int | None = None
    seq: int | None = None
    properties: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.way == "outbox" and (self.id is None or self.rev is None):
            raise ValueError(f"Message to {self.topic}: the outbox needs id and rev")


@dataclass(frozen=True, slots=True)
class Command:
    """A request that came in: one of a closed list of verbs.

    ``camera`` is None for the whole station; ``response_topic`` and ``correlation`` come from the
    MQTT 5 request; ``received_ns`` is monotonic.
    """

    verb: str
    txn: str
    camera: str | None
    arguments: Mapping[str, Any]
    response_topic: str | None
    correlation: bytes | None
    received_ns: int


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
    """One camera's counters since the service started; ``age_ms_p95`` capture to verdict."""

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
    """The outbox: what waits, and what was lost or may come twice since it was made."""

    rows: int
    bytes: int
    oldest_s: float
    dropped_oldest: int
    dead: int
    no_subscriber: int
    duplicates_possible: int


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
