"""What goes to a broker and what comes from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Way = Literal["outbox", "latest", "transient"]

RefusalCode = Literal[
    "retained", "too_large", "too_deep", "junk", "unknown_verb", "unknown_camera", "not_allowed",
    "no_txn", "replayed", "full", "no_line", "no_lot", "bad_argument",
]  # fmt: skip
"""Why a command is not carried out."""

ReplyCode = Literal["ok", RefusalCode]
"""What a reply says of its command."""


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
        MQTT 5 response data: ``correlation_data`` of a reply's request, hex.
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
class Confirmation:
    """A consumer has everything of a topic up to a ``seq`` of an epoch."""

    epoch: str
    topic: str
    seq: int


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
