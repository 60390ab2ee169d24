"""Does a broker answer, and does it take us?"""

from __future__ import annotations

import dataclasses
import time

from edge.protocols import Connected
from edge.sinks import mqtt_errors
from edge.sinks.mqtt import MqttSink
from edge.sinks.mqtt_settings import MqttSettings


def probe(settings: MqttSettings, timeout_s: float = 5.0) -> None:
    """Connect once, with a client id of its own and no traces, and leave again.

    Raises
    ------
    BrokerUnreachable
        Nobody answers like a broker.
    BrokerRefused
        The broker does not want us.
    ConfigError
        A certificate file cannot be read.
    """
    other = dataclasses.replace(settings, client_id=f"{settings.client_id}-check")
    sink = MqttSink(other, session_expiry_s=0)
    end = time.monotonic() + timeout_s
    try:
        sink.open()
        while time.monotonic() < end:
            for event in sink.poll(max(0.0, end - time.monotonic())):
                if isinstance(event, Connected):
                    return
                if sink.last_error is not None:
                    raise sink.last_error
        if sink.is_dialled:
            raise mqtt_errors.silent(settings)
        raise mqtt_errors.unanswered(settings, timeout_s)
    finally:
        sink.close(1.0)
