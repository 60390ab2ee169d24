"""Driving a sink as the publish thread does."""

from __future__ import annotations

import time
from collections.abc import Callable

from edge.protocols import Connected, Sink, SinkEvent
from edge.records import Message


def poll_until(
    sink: Sink, wanted: Callable[[SinkEvent], bool], timeout_s: float = 10.0
) -> list[SinkEvent]:
    """Poll until an event is as wanted; returns all that came, the wanted one among the last.

    Raises
    ------
    TimeoutError
        It did not come; the text lists what came instead.
    """
    events: list[SinkEvent] = []
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        new = sink.poll(end - time.monotonic())
        events += new
        if any(wanted(event) for event in new):
            return events
    raise TimeoutError(f"after {timeout_s} s: {events}")


def connect(sink: Sink, timeout_s: float = 10.0) -> Connected:
    """Open a sink and wait until it is connected."""
    sink.open()
    events = poll_until(sink, lambda event: isinstance(event, Connected), timeout_s)
    return next(event for event in events if isinstance(event, Connected))


def message(topic: str, text: str = "{}", *, qos: int = 1, retain: bool = False) -> Message:
    """A transient message."""
    return Message(topic, text.encode(), way="transient", qos=1 if qos else 0, retain=retain)
