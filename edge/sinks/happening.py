"""What happens on one connection to a broker, as the transport reports it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Greeted:
    """CONNACK: ``code`` 0 or why the broker refuses, the broker's limits."""

    code: int
    name: str
    receive_maximum: int
    max_packet: int | None


@dataclass(frozen=True, slots=True)
class Published:
    """PUBACK, or a QoS 0 message that was written."""

    mid: int
    code: int


@dataclass(frozen=True, slots=True)
class Arrived:
    """PUBLISH from the broker."""

    topic: str
    payload: bytes
    retain: bool
    response_topic: str | None
    correlation: bytes | None


@dataclass(frozen=True, slots=True)
class Ended:
    """The connection has gone; ``code`` of the broker's DISCONNECT or paho's own.

    ``silent``: it was closed from the far side, without a DISCONNECT.
    """

    code: int
    name: str
    silent: bool = False


Happening = Greeted | Published | Arrived | Ended
