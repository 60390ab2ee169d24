"""The last step before the broker: what only the outbox and the connection know."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from edge.messages.parts import moment
from edge.records import Message


class Stored(Protocol):
    """A message that the outbox stored; ``edge.outbox.Row`` is one."""

    @property
    def message(self) -> Message:
        """With its ``seq``."""

    @property
    def epoch(self) -> str:
        """What ``seq`` counts in."""

    @property
    def created_mono_ns(self) -> int:
        """Monotonic time when it was stored, in the boot ``boot_id``."""

    @property
    def boot_id(self) -> str:
        """The boot in which it was stored."""

    @property
    def dropped_total(self) -> int:
        """Messages of the same topic and epoch that were lost so far."""


@dataclass(frozen=True, slots=True)
class SealContext:
    """What holds while messages are sent over one connection.

    Parameters
    ----------
    boot_id
        The kernel's id of this boot.
    clock_synced
        Whether the wall clock is known to be right now.
    connected_since_mono_ns
        Monotonic time of the last ``Connected``; what was stored before it is a replay.
    wall_offset_ns
        UTC since the epoch minus monotonic time, in ns, of the clock as it is now; used to correct
        times of this boot that were taken before the clock was synchronised.
    """

    boot_id: str
    clock_synced: bool
    connected_since_mono_ns: int
    wall_offset_ns: int


def seal(row: Stored, context: SealContext) -> bytes:
    """The payload as it goes on the wire.

    Adds ``seq``, ``epoch`` and ``dropped_total``, and ``replayed`` when the message was stored
    before the connection was made. A ``ts`` that was taken before the clock was synchronised is
    corrected when the clock has been synchronised in the same boot since.

    Raises
    ------
    ValueError
        The message has no ``seq``, or its payload is not a JSON object of ours.
    """
    message = row.message
    if message.seq is None:
        raise ValueError(f"message to {message.topic} has no seq: the outbox never stored it")
    try:
        body = json.loads(message.payload)
    except RecursionError as error:
        raise ValueError(f"message to {message.topic}: payload is nested too deep") from error
    if not isinstance(body, dict):
        raise ValueError(f"message to {message.topic}: payload is not a JSON object")
    body["seq"] = message.seq
    body["epoch"] = row.epoch
    body["dropped_total"] = row.dropped_total
    same_boot = row.boot_id == context.boot_id
    if not same_boot or row.created_mono_ns < context.connected_since_mono_ns:
        body["replayed"] = True
    if "clock" in body and not _synced(body, message.topic) and same_boot and context.clock_synced:
        body["ts"] = moment(_corrected(body, message.topic, context.wall_offset_ns))
        body["clock"] = {"synced": True}
    return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _synced(body: dict[str, Any], topic: str) -> bool:
    clock = body["clock"]
    synced = clock.get("synced") if isinstance(clock, dict) else None
    if not isinstance(synced, bool):
        raise ValueError(f"message to {topic}: clock does not say whether it is synced")
    return synced


def _corrected(body: dict[str, Any], topic: str, wall_offset_ns: int) -> datetime:
    mono_ns = body.get("mono_ns")
    if not isinstance(mono_ns, int):
        raise ValueError(f"message to {topic}: mono_ns is not a whole number")
    seconds, rest_ns = divmod(mono_ns + wall_offset_ns, 1_000_000_000)
    try:
        whole = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError) as error:
        raise ValueError(f"message to {topic}: mono_ns is no time") from error
    # Whole seconds and microseconds apart: a float of both would round milliseconds away.
    return whole.replace(microsecond=rest_ns // 1000)
