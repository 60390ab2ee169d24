"""Takes ``multipart/x-mixed-replace`` apart, whatever pieces the network cuts it into. No I/O."""

from __future__ import annotations

import re
from collections.abc import Callable

HEADER_LIMIT = 64 << 10
"""Bytes of one header, or between two parts; more end the connection."""
PART_LIMIT = 16 << 20
"""Bytes of one picture; more end the connection."""

_Step = Callable[[list[bytes]], bool]
"""Goes on in the buffer; False when it needs more bytes."""

_BLANK = re.compile(rb"\r?\n\r?\n")
_LENGTH = re.compile(rb"^content-length[ \t]*:[ \t]*([0-9]{1,18})[ \t]*\r?$", re.I | re.M)
_BOUNDARY = re.compile(r';\s*boundary\s*=\s*(?:"([^"]+)"|([^\s;"]+))', re.I)
_SCAN_END = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # stuffing, restart marks and padding go on


class BrokenStream(ValueError):
    """What comes is no multipart, or exceeds a limit; the connection is of no more use."""


def boundary_of(content_type: str) -> str | None:
    """The boundary without its leading dashes, which some cameras count and some do not."""
    match = _BOUNDARY.search(content_type)
    name = (match[1] or match[2]).lstrip("-") if match else ""
    return name if name and name.isascii() else None


class Multipart:
    """Collects bytes and gives the bodies that they complete.

    A part ends after its ``Content-Length``; without one at the end of the JPEG, found by walking
    its segments (a thumbnail has an end mark too), or at the next boundary if that comes first.

    Attributes
    ----------
    ended
        The closing boundary has come; what follows is ignored.
    """

    def __init__(self, boundary: str) -> None:
        name = re.escape(boundary.encode("ascii"))
        self._between = re.compile(rb"-{2,8}" + name)
        self._inside = re.compile(rb"\n-{2,8}" + name)
        self._keep = len(boundary) + 9
        self._buffer = bytearray()
        self._scanned = 0
        self._step: _Step = self._seek
        self._length = 0
        self._end = JpegEnd()
        self.ended = False

    def feed(self, data: bytes) -> list[bytes]:
        """The bodies that are complete with ``data``, in order.

        Raises
        ------
        BrokenStream
            A header or a part is larger than its limit.
        """
        self._buffer += data
        bodies: list[bytes] = []
        while not self.ended and self._step(bodies):
            pass
        return bodies

    def _seek(self, _: list[bytes]) -> bool:
        match = self._between.search(self._buffer, max(self._scanned - self._keep, 0))
        if (match.start() if match else len(self._buffer) - self._keep) > HEADER_LIMIT:
            raise BrokenStream(f"no boundary within {HEADER_LIMIT >> 10} KiB")
        if match is None:
            self._scanned = len(self._buffer)
            return False
        self._go(match.end(), self._header)
        return True

    def _header(self, _: list[bytes]) -> bool:
        if self._buffer[:2] == b"--":
            self.ended = True
            return False
        match = _BLANK.search(self._buffer, max(self._scanned - 3, 0))
        if (match.end() if match else len(self._buffer)) > HEADER_LIMIT:
            raise BrokenStream(f"the header of a part exceeds {HEADER_LIMIT >> 10} KiB")
        if match is None:
            self._scanned = len(self._buffer)
            return False
        length = _LENGTH.search(self._buffer[: match.end()])
        if length:
            self._length = int(length[1])
            if self._length > PART_LIMIT:
                raise BrokenStream(
                    f"a part of {self._length} bytes is announced, allowed are {PART_LIMIT >> 20} "
                    "MiB"
                )
        self._end = JpegEnd()
        self._go(match.end(), self._sized if length else self._unsized)
        return True

    def _sized(self, bodies: list[bytes]) -> bool:
        if len(self._buffer) < self._length:
            return False
        # A picture that was cut off after its length was written: the next one is not its end.
        early = self._inside.search(self._buffer, 0, self._length)
        self._finish(early.start() if early else self._length, bodies)
        return True

    def _unsized(self, bodies: list[bytes]) -> bool:
        early = self._inside.search(self._buffer, max(self._scanned - self._keep, 0))
        end = self._end.find(self._buffer)
        if early and (end is None or early.start() < end):
            end = early.start()
        if (len(self._buffer) if end is None else end) > PART_LIMIT:
            raise BrokenStream(f"a part exceeds {PART_LIMIT >> 20} MiB")
        if end is None:
            self._scanned = len(self._buffer)
            return False
        self._finish(end, bodies)
        return True

    def _finish(self, end: int, bodies: list[bytes]) -> None:
        bodies.append(bytes(memoryview(self._buffer)[:end]))
        self._go(end, self._seek)

    def _go(self, end: int, step: _Step) -> None:
        del self._buffer[:end]
        self._scanned = 0
        self._step = step


class JpegEnd:
    """Finds where a JPEG ends, in a buffer that grows."""

    def __init__(self) -> None:
        self._at = 0
        self._in_scan = False
        self._broken = False

    def find(self, data: bytearray) -> int | None:
        """Bytes up to and with the end mark; None when it is not there (yet) or this is no JPEG."""
        while not self._broken and self._at + 2 <= len(data):
            if self._in_scan:
                match = _SCAN_END.search(data, self._at)
                if match is None:
                    self._at = len(data) - 1
                    return None
                self._at = match.start()
                self._in_scan = False
            kind = data[self._at + 1]
            if data[self._at] != 0xFF or (self._at == 0 and kind != 0xD8):
                self._broken = True
            elif kind == 0xD9:
                return self._at + 2
            elif kind == 0xFF:
                self._at += 1
            elif kind == 0x01 or 0xD0 <= kind <= 0xD8:
                self._at += 2
            elif self._at + 4 > len(data):
                return None
            else:
                self._at += 2 + int.from_bytes(data[self._at + 2 : self._at + 4], "big")
                self._in_scan = kind == 0xDA
        return None


class Chunked:
    """Undoes the chunked transfer coding, which small cameras use whatever they are asked for."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._left = 0  # of this chunk and the line end behind it
        self.ended = False

    def feed(self, data: bytes) -> bytes:
        """The bytes that ``data`` carries.

        Raises
        ------
        BrokenStream
            A chunk's size cannot be read.
        """
        self._buffer += data
        out = bytearray()
        while self._buffer and not self.ended:
            if self._left:
                out += self._buffer[: min(max(self._left - 2, 0), len(self._buffer))]
                taken = min(self._left, len(self._buffer))
                self._left -= taken
                del self._buffer[:taken]
                continue
            end = self._buffer.find(b"\n", 0, 1024)
            if end < 0 and len(self._buffer) < 1024:
                break
            line = bytes(self._buffer[:end]) if end >= 0 else b""
            size = re.fullmatch(rb"[ \t]*([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\n]*)?\r?", line)
            if size is None:
                raise BrokenStream("a chunk has no size")
            del self._buffer[: len(line) + 1]
            self._left = int(size[1], 16) + 2
            self.ended = self._left == 2
        return bytes(out)
