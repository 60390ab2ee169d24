"""Messages to an MQTT broker."""

from __future__ import annotations

from collections.abc import Sequence

from edge.protocols import SinkEvent
from edge.records import Message
from edge.sinks.mqtt_settings import MqttSettings

__all__ = ["MqttSettings", "MqttSink", "probe"]


class MqttSink:
    """Speaks MQTT in the caller's thread."""

    def __init__(self, settings: MqttSettings, will: Message | None = None) -> None:
        raise NotImplementedError

    def open(self) -> None:
        raise NotImplementedError

    def send(self, message: Message) -> int | None:
        raise NotImplementedError

    def subscribe(self, topics: Sequence[str]) -> None:
        raise NotImplementedError

    def poll(self, timeout_s: float) -> Sequence[SinkEvent]:
        raise NotImplementedError

    def wake(self) -> None:
        raise NotImplementedError

    def close(self, timeout_s: float, farewell: Message | None = None) -> None:
        raise NotImplementedError


def probe(settings: MqttSettings, timeout_s: float = 5.0) -> None:
    """Connect once and leave; raises BrokerUnreachable or BrokerRefused."""
    raise NotImplementedError
