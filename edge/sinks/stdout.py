"""Messages as lines of text, for people and pipes."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Sequence
from typing import TextIO

from edge.errors import SinkError
from edge.protocols import Connected, Delivered, SinkEvent
from edge.records import Message

_WINDOW = 65535


class StdoutSink:
    """One JSON line ``{"topic": …, "payload": …}`` a message; implements :class:`Sink`.

    JSON payloads stand there as objects, plain text as a text. A line is delivered as soon as the
    stream has taken it. There is nobody who could send anything back.

    Parameters
    ----------
    stream
        Where lines go; stays open.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._open = False
        self._tokens = 0
        self._events: list[SinkEvent] = []
        self._woken = threading.Event()

    def open(self) -> None:
        """Take messages from now on."""
        if not self._open:
            self._open = True
            self._events.append(Connected(_WINDOW, None))

    def send(self, message: Message) -> int | None:
        """Write one line.

        Raises
        ------
        SinkError
            The stream is closed or its reader has gone: it will take nothing any more.
        """
        if not self._open:
            return None
        self._write(message)
        self._tokens += 1
        self._events.append(Delivered(self._tokens, 0))
        return self._tokens

    def subscribe(self, topics: Sequence[str]) -> None:
        """Nothing ever comes in."""

    def poll(self, timeout_s: float) -> Sequence[SinkEvent]:
        """What was delivered; waits for ``wake`` when there is nothing to tell."""
        if not self._events:
            self._woken.wait(timeout_s)
        self._woken.clear()
        events, self._events = self._events, []
        return events

    def wake(self) -> None:
        """Make ``poll`` return soon; any thread may call it."""
        self._woken.set()

    def close(self, timeout_s: float, farewell: Message | None = None) -> None:
        """Write ``farewell`` if open; the stream stays open."""
        if self._open and farewell is not None:
            with contextlib.suppress(SinkError):  # the reader has gone first
                self._write(farewell)
        self._open = False
        self._events.clear()

    def _write(self, message: Message) -> None:
        text = message.payload.decode("utf-8", "replace")
        try:
            body = json.loads(text)
        except ValueError:
            body = text
        line = json.dumps({"topic": message.topic, "payload": body}, ensure_ascii=False)
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError) as error:  # ValueError: the stream was closed
            self._open = False
            self._silence()
            raise SinkError(f"standard output: {error}", hint="its reader has gone") from error

    def _silence(self) -> None:
        """What the stream still holds goes nowhere: Python writes it out once more at its end, and
        would fail with a message of its own and another exit code.
        """
        with contextlib.suppress(OSError, ValueError):  # not a file, or closed
            nowhere = os.open(os.devnull, os.O_WRONLY)
            try:
                os.dup2(nowhere, self._stream.fileno())
            finally:
                os.close(nowhere)
