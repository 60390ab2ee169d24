"""Immutable data that flows through the service, from a camera's frame to a broker's message.

Everything here is validated when it is built; arrays become read-only. Boxes are
``(x, y, width, height)`` in pixels of the image the camera gave, x to the right, y down.
"""

from edge.records.alert import Alert, HeldBack, HitCount, Measure, Phase, Severity
from edge.records.arrays import Floats, Image, Outputs
from edge.records.frame import EncodedFrame, Frame, Header
from edge.records.line import (
    EncoderSample,
    LineEvent,
    LineSample,
    LotEnded,
    LotEntry,
    LotForgotten,
    LotReport,
    LotTotals,
    Place,
    SpeedSample,
    Verdict,
    VerdictName,
)
from edge.records.message import Command, Confirmation, Message, RefusalCode, ReplyCode, Way
from edge.records.observation import ModelRef, Observation, Timings, Track
from edge.records.results import (
    Box,
    Classification,
    Detections,
    Ellipse,
    Ellipses,
    Region,
    Result,
    Segmentation,
)
from edge.records.status import (
    CameraStatus,
    Drops,
    LineStatus,
    MqttStatus,
    OutboxStatus,
    Percentiles,
    Reason,
    ReasonCode,
    Status,
)

__all__ = [
    "Alert",
    "Box",
    "CameraStatus",
    "Classification",
    "Command",
    "Confirmation",
    "Detections",
    "Drops",
    "Ellipse",
    "Ellipses",
    "EncodedFrame",
    "EncoderSample",
    "Floats",
    "Frame",
    "Header",
    "HeldBack",
    "HitCount",
    "Image",
    "LineEvent",
    "LineSample",
    "LineStatus",
    "LotEnded",
    "LotEntry",
    "LotForgotten",
    "LotReport",
    "LotTotals",
    "Measure",
    "Message",
    "ModelRef",
    "MqttStatus",
    "Observation",
    "OutboxStatus",
    "Outputs",
    "Percentiles",
    "Phase",
    "Place",
    "Reason",
    "ReasonCode",
    "RefusalCode",
    "Region",
    "ReplyCode",
    "Result",
    "Segmentation",
    "Severity",
    "SpeedSample",
    "Status",
    "Timings",
    "Track",
    "Verdict",
    "VerdictName",
    "Way",
]
