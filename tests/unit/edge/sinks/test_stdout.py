"""Standard output as a sink: what the conformance suite cannot ask of every sink."""

from __future__ import annotations

import io
import os

import pytest

from edge.errors import MessageRefused, SinkError
from edge.records import Message
from edge.sinks.stdout import StdoutSink

MESSAGE = Message("t/a", b"1", way="latest")


def test_a_reader_that_has_gone_breaks_the_sink() -> None:
    """The error says that nothing can be sent any more, not that this message never can, and
    Python's own last flush of the stream stays silent.
    """
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream:
        sink = StdoutSink(stream)
        sink.open()
        assert sink.send(MESSAGE) == 1
        os.close(reader)
        with pytest.raises(SinkError, match=r"standard output: .*Broken pipe") as caught:
            sink.send(MESSAGE)
        assert not isinstance(caught.value, MessageRefused)
        assert caught.value.exit_code == 1
        assert sink.send(MESSAGE) is None
        sink.close(1.0, MESSAGE)
        stream.flush()


def test_a_closed_stream_breaks_the_sink() -> None:
    """A stream that was closed is the same to the caller as a reader that has gone."""
    stream = io.StringIO()
    sink = StdoutSink(stream)
    sink.open()
    stream.close()
    with pytest.raises(SinkError, match="standard output"):
        sink.send(MESSAGE)
