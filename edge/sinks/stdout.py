"""Messages as lines of text, for people and pipes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from edge.protocols import SinkEvent
from edge.records import Message


class StdoutSink:
    """One JSON line ``{"topic": …, "payload": …}`` for each message, delivered at once."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

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
