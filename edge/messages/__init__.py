"""Alert, status, reply to topic and versioned JSON: pure functions.

``Topics`` names the topics, ``encode_*`` make messages, ``seal`` adds what the outbox and the
connection know, ``schemas`` describes what goes on the wire.
"""

from edge.messages.encode import (
    OUTBOX_EXPIRY_S,
    encode_alert,
    encode_availability,
    encode_info,
    encode_reply,
    encode_state,
    encode_status,
)
from edge.messages.encode_line import encode_lot, encode_lot_report, encode_verdict
from edge.messages.schema import schemas
from edge.messages.seal import SealContext, Stored, seal
from edge.messages.station import StationInfo
from edge.messages.topics import Topics, fleet_topics

__all__ = [
    "OUTBOX_EXPIRY_S",
    "SealContext",
    "StationInfo",
    "Stored",
    "Topics",
    "encode_alert",
    "encode_availability",
    "encode_info",
    "encode_lot",
    "encode_lot_report",
    "encode_reply",
    "encode_state",
    "encode_status",
    "encode_verdict",
    "fleet_topics",
    "schemas",
    "seal",
]
