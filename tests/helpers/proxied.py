"""One connection through the fault proxy: two directions, each with what waits to be passed on."""

from __future__ import annotations

import socket
import struct
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

Direction = Literal["up", "down"]
"""From the client to the target, or back."""

HELD_BYTES = 256 << 10
"""More than that waits in the sender's socket."""
PART = 64 << 10


@dataclass(frozen=True)
class Pace:
    """How fast bytes pass: so many a second, so many at a time, so much later."""

    bytes_per_s: float = float("inf")
    chunk: int = PART
    latency_s: float = 0.0


@dataclass
class Half:
    """One direction of one connection; ``sink`` None: nobody is there."""

    direction: Direction
    source: socket.socket
    sink: socket.socket | None
    lossy: bool = False
    ended: bool = False  # the source has said that no more comes
    told: bool = False  # and the sink knows
    waiting: deque[tuple[float, bytes]] = field(default_factory=deque)  # when it may leave
    size: int = 0
    next_at: float = 0.0

    @property
    def due(self) -> float | None:
        """When something may be written."""
        if not self.waiting or self.sink is None:
            return None
        return max(self.waiting[0][0], self.next_at)

    @property
    def reads(self) -> bool:
        """Whether it takes more from its source."""
        return not self.ended and self.size < HELD_BYTES

    def read(self, now: float, latency_s: float) -> int:
        """Take what has come; returns how many bytes of it were lost."""
        lost = 0
        while self.reads:
            try:
                data = self.source.recv(PART)
            except BlockingIOError:
                break
            if not data:
                self.ended = True
            elif not self.lossy:
                self.waiting.append((now + latency_s, data))
                self.size += len(data)
            else:
                lost += len(data)
        if self.lossy:
            lost += self.size
            self.waiting.clear()
            self.size = 0
        return lost

    def write(self, now: float, pace: Pace, room: int | None) -> int:
        """Pass on what is due, at most ``room`` bytes; returns how many."""
        total = 0
        while self.sink is not None and (due := self.due) is not None and due <= now:
            rest = PART if room is None else room - total
            if rest <= 0:
                break
            moment, data = self.waiting.popleft()
            try:
                sent = self.sink.send(data[: min(pace.chunk, rest)])
            except BlockingIOError:
                sent = 0
            if sent < len(data):
                self.waiting.appendleft((moment, data[sent:]))
            if not sent:
                break
            total += sent
            self.size -= sent
            self.next_at = max(now, self.next_at) + sent / pace.bytes_per_s
        if self.ended and not (self.waiting or self.told or self.lossy) and self.sink is not None:
            self.told = True
            self.sink.shutdown(socket.SHUT_WR)
        return total


@dataclass
class Pair:
    """One connection; ``left``: bytes until it is reset."""

    up: Half
    down: Half
    left: int | None

    @property
    def halves(self) -> tuple[Half, Half]:
        """Both directions."""
        return self.up, self.down

    @property
    def over(self) -> bool:
        """Whether nothing more comes from either end."""
        return all(half.ended and not half.waiting for half in self.halves)

    def close(self, *, abort: bool) -> None:
        """Close both ends, with RST if ``abort``."""
        for one in {self.up.source, self.down.source}:
            if abort:
                reset(one)
            else:
                one.close()


def pair(client: socket.socket, target: socket.socket | None, left: int | None) -> Pair:
    """A connection between two sockets; without a target all is lost that the client says."""
    for one in (client, target):
        if one is not None:
            one.setblocking(False)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    up = Half("up", client, target, lossy=target is None)
    down = Half("down", target or client, client, ended=target is None, told=target is None)
    return Pair(up, down, left)


def reset(sock: socket.socket) -> None:
    """Close with RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
