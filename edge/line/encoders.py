"""Encoders: a counter of the machine, the edges of a GPIO line, or another part of the process."""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from edge.errors import LineUnavailable
from edge.line.gpio import line_errors, opened, release, request_line
from edge.records import EncoderSample

if TYPE_CHECKING:
    import gpiod

# Counts are unsigned 64-bit numbers: 20 digits and the end of the line.
_COUNT = re.compile(rb"[0-9]{1,20}\s*")
_READ_BYTES = 64
_SEQNO_RANGE = 1 << 32


class CounterEncoder:
    """An ``Encoder`` on a counter of Linux's counter subsystem.

    Hardware counts, so no edge is lost however busy the processor is.

    Parameters
    ----------
    path
        ``/sys/bus/counter/devices/counter0/count0``, or the file ``count`` in it.
    """

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)
        self._file: Path | None = None
        self._ceiling: int | None = None

    @property
    def ceiling(self) -> int | None:
        """The highest count, after which it wraps; None where the counter does not say."""
        return self._ceiling

    def open(self) -> None:
        """Find the counter and read it once.

        Raises
        ------
        LineUnavailable
            It is absent or forbidden, or what it gives is no count.
        """
        self.close()
        try:
            file = self._path / "count" if self._path.is_dir() else self._path
            _number(file, _content(file))
            ceiling = file.with_name("ceiling")
            has_ceiling = ceiling.exists()
        except (PermissionError, ValueError) as error:
            # A folder above it may be forbidden, and the path may hold a NUL.
            reason = error.strerror if isinstance(error, PermissionError) else str(error)
            raise LineUnavailable(f"counter {str(self._path)!r}: {reason}") from error
        self._ceiling = _number(ceiling, _content(ceiling)) if has_ceiling else None
        self._file = file

    def read(self) -> EncoderSample:
        """The counter now.

        Raises
        ------
        LineUnavailable
            It has gone, gives no count, or is not open.
        """
        if self._file is None:
            raise LineUnavailable(f"counter {self._path}: is not open")
        content = _content(self._file)
        # The clock after the counter: the read may wait for a bus or the processor. A time from
        # before it would say that the strip was there earlier than it was.
        mono_ns = time.monotonic_ns()
        return EncoderSample(_number(self._file, content), mono_ns)

    def close(self) -> None:
        """Forget the counter. Harmless when not open; never raises."""
        self._file = None
        self._ceiling = None


class GpioEncoder:
    """An ``Encoder`` that counts the rising edges of a GPIO line since it was opened.

    The kernel queues 16 edges and drops the oldest when nobody reads them, but numbers each: the
    newest one's number tells how many there were, read or not. What this cannot tell is edges
    that follow each other faster than the kernel serves interrupts; above some thousand a second
    a ``CounterEncoder`` is needed.

    Parameters
    ----------
    chip
        Path of the chip, ``/dev/gpiochip0``.
    line
        The line's number on the chip, from 0.
    """

    def __init__(self, chip: str, line: int) -> None:
        self._chip = chip
        self._line = line
        self._request: gpiod.LineRequest | None = None
        self._total = 0
        self._seqno = 0

    def open(self) -> None:
        """Request the line. Counts begin at 0 again, as edges were missed while it was closed.

        Raises
        ------
        LineUnavailable
            The chip or the line is absent, forbidden, or used by another program.
        ExtraAbsent
            The package ``gpiod`` is not installed.
        """
        self.close()
        self._request = request_line(self._chip, self._line, "rising edges")
        self._total = 0
        self._seqno = 0  # the kernel gives a request's first edge the number 1

    def read(self) -> EncoderSample:
        """All edges up to now.

        Raises
        ------
        LineUnavailable
            The chip has gone, or the line is not open.
        """
        with line_errors(self._chip, self._line):
            request = opened(self._request)
            # One read takes the whole queue: libgpiod reads up to 64 edges at once. A second one
            # would let a line that never rests hold the thread.
            if request.wait_edge_events(0):
                for event in request.read_edge_events():
                    self._total += (event.line_seqno - self._seqno) % _SEQNO_RANGE
                    self._seqno = event.line_seqno
        return EncoderSample(self._total, time.monotonic_ns())

    def close(self) -> None:
        """Release the line. Harmless when not open; never raises."""
        request, self._request = self._request, None
        release(request)


class LocalEncoder:
    """An ``Encoder`` that another part of this process turns, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sample: EncoderSample | None = None

    def advance(self, counts: int, mono_ns: int | None = None) -> None:
        """Count on from the latest count, at first from 0; the moment is now when not given."""
        with self._lock:
            count = 0 if self._sample is None else self._sample.count
            self._sample = _sample(count + counts, mono_ns)

    def set(self, count: int, mono_ns: int | None = None) -> None:
        """Set the count; the moment is now when not given."""
        with self._lock:
            self._sample = _sample(count, mono_ns)

    def open(self) -> None:
        """Do nothing: it is always there."""

    def read(self) -> EncoderSample:
        """The latest sample.

        Raises
        ------
        LineUnavailable
            There is none yet.
        """
        sample = self._sample
        if sample is None:
            raise LineUnavailable("local encoder: has not counted yet")
        return sample

    def close(self) -> None:
        """Do nothing: whoever turns it may go on."""


def _sample(count: int, mono_ns: int | None) -> EncoderSample:
    return EncoderSample(count, time.monotonic_ns() if mono_ns is None else mono_ns)


def _content(file: Path) -> bytes:
    try:
        with file.open("rb", buffering=0) as opened_file:
            return opened_file.read(_READ_BYTES)
    except OSError as error:
        raise LineUnavailable(f"counter {file}: {error.strerror}") from error


def _number(file: Path, content: bytes) -> int:
    if not _COUNT.fullmatch(content):
        raise LineUnavailable(f"counter {file}: holds {content[:24]!r} and no count")
    return int(content)
