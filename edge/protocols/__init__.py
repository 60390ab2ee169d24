"""The seams of the service. Each docstring is the contract that every implementation keeps;
``tests/conformance`` runs one suite over all implementations of a protocol.
"""

from edge.protocols.line import Encoder, Line, LineInput, LineOutput
from edge.protocols.station import (
    Connected,
    Delivered,
    Disconnected,
    Engine,
    Received,
    Refused,
    Rule,
    Sink,
    SinkEvent,
    Source,
    Task,
    Tracker,
)

__all__ = [
    "Connected",
    "Delivered",
    "Disconnected",
    "Encoder",
    "Engine",
    "Line",
    "LineInput",
    "LineOutput",
    "Received",
    "Refused",
    "Rule",
    "Sink",
    "SinkEvent",
    "Source",
    "Task",
    "Tracker",
]
