"""Frames of a folder, end to end: each is the next piece of a strip."""

from __future__ import annotations

import time

from edge.errors import FrameCorrupt, UsageError
from edge.line.encoders import LocalEncoder
from edge.protocols import Source
from edge.records import EncodedFrame, Frame


class FolderStrip:
    """A source of frames and, beside it, the encoder of a strip that is one frame further with
    each; a count is a column of a frame.

    Parameters
    ----------
    source
        Gives the frames; not open.
    size
        Width and height of the frames.

    Attributes
    ----------
    encoder
        Counts the strip.
    began_ns
        Monotonic time at which nothing had passed yet.
    last_ns
        Monotonic time of the last frame.
    over
        Whether the source has ended.
    """

    def __init__(self, source: Source, size: tuple[int, int]) -> None:
        self.live = source.live
        self.encoder = LocalEncoder()
        self.began_ns = time.monotonic_ns()
        self.encoder.set(0, self.began_ns)
        self.last_ns = 0
        self.over = False
        self._source = source
        self._size = size
        self._frames = 0

    @property
    def due_ns(self) -> int:
        """See :class:`edge.protocols.Source`."""
        return self._source.due_ns

    def open(self) -> None:
        """See :class:`edge.protocols.Source`."""
        self._source.open()
        self._frames = 0

    def read(self) -> Frame | EncodedFrame | None:
        """See :class:`edge.protocols.Source`."""
        frame = self._source.read()
        if frame is None:
            self.over = True
            return None
        self._frames += 1
        self.last_ns = frame.captured_ns
        self.encoder.set(self._frames * self._size[0], frame.captured_ns)
        return frame

    def close(self) -> None:
        """See :class:`edge.protocols.Source`."""
        self._source.close()


def first_size(source: Source) -> tuple[int, int]:
    """Width and height of a source's first whole frame; it is closed afterwards.

    Raises
    ------
    UsageError
        It gives none.
    SourceError
        It cannot be opened or read.
    """
    source.open()
    try:
        while True:
            try:
                frame = source.read()
            except FrameCorrupt:
                continue
            if frame is None:
                raise UsageError("--source: gives no frame", hint="name a folder of pictures")
            whole = frame if isinstance(frame, Frame) else frame.decoded()
            return whole.width, whole.height
    finally:
        source.close()
