"""A TCP proxy on 127.0.0.1 that spoils a connection in every way a network can, on command.

::

    with FaultProxy(broker.port) as proxy:
        ...                     # a client connects to proxy.port
        proxy.blackhole()       # nothing passes, nobody is told
        proxy.heal()            # what was held arrives

Directions are ``up``, from the client to the target, and ``down``.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Self

from tests.helpers.proxied import Direction, Pace, Pair, pair, reset


class FaultProxy:
    """Passes connections on to a port of this machine until it is told otherwise.

    Modes may change while connections live; ``heal`` ends them all. Any thread may call them.

    Attributes
    ----------
    moments
        Monotonic seconds of each connection that was taken.
    lost
        Bytes that were dropped.
    resets
        Connections that were reset by this proxy.
    """

    def __init__(self, target: int) -> None:
        self.moments: list[float] = []
        self.lost = self.resets = 0
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.port = int(self._listener.getsockname()[1])
        self._inner, self._outer = socket.socketpair()
        self._inner.setblocking(False)
        self._lock = threading.Lock()
        self._closing = False
        self._pairs: list[Pair] = []
        self._fillers: list[socket.socket] = []
        self._forget()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)

    def _forget(self) -> None:
        self._held: frozenset[Direction] = frozenset()
        self._deaf = self._silent = self._refusing = False
        self._dropping: frozenset[Direction] = frozenset()
        self._budget: Callable[[], int] | None = None
        self._pace = Pace()

    # The modes.

    def heal(self) -> None:
        """Pass everything. What was held arrives; a connection that lost bytes stays dead."""
        with self._changing():
            self._forget()
            self._listener.listen(128)

    def blackhole(self, *directions: Direction) -> None:
        """Hold what comes, without FIN or RST; of both directions when none is named.

        A connection cannot be made meanwhile if both are held: it is not answered.
        """
        with self._changing():
            self._held = frozenset(directions or ("up", "down"))
            self._deaf = len(self._held) == 2
            if self._deaf:
                self._fill()

    def drop(self, *directions: Direction) -> None:
        """Throw away what comes, on live connections and on new ones, without FIN or RST."""
        with self._changing():
            self._dropping = frozenset(directions or ("up", "down"))
            self._spoil(self._dropping)

    def cut(self) -> None:
        """Live connections lose everything from now on and nobody is told; new ones pass."""
        with self._changing():
            self._spoil(frozenset({"up", "down"}))

    def silence(self) -> None:
        """Take new connections and never answer; live ones stay as they are."""
        with self._changing():
            self._silent = True

    def reset(self) -> None:
        """RST to both ends of every live connection, at once."""
        with self._changing():
            for one in list(self._pairs):
                self._reset(one)

    def refuse(self) -> None:
        """``reset``, and each new connection is reset at once."""
        self.reset()
        with self._changing():
            self._refusing = True

    def reset_after(self, budget: Callable[[], int]) -> None:
        """Reset each new connection when so many bytes have passed, both directions together."""
        with self._changing():
            self._budget = budget

    def slow(self, bytes_per_s: float, *, latency_s: float = 0.0, chunk: int = 1) -> None:
        """Let so many bytes a second pass in each direction, ``chunk`` at a time, that late."""
        with self._changing():
            self._pace = Pace(bytes_per_s, chunk, latency_s)

    @property
    def live(self) -> int:
        """Connections that stand."""
        with self._lock:
            return len(self._pairs)

    def close(self) -> None:
        """End the thread and every connection. Harmless when called twice."""
        with self._changing():
            self._closing = True
        if self._thread.is_alive():
            self._thread.join(5.0)
        for one in list(self._pairs):
            self._end(one)
        for sock in (self._listener, self._inner, self._outer, *self._fillers):
            sock.close()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        with self._lock:
            yield
        with contextlib.suppress(OSError):
            self._outer.send(b"\0")

    def _fill(self) -> None:
        """A full queue of connections answers no further one."""
        self._listener.listen(0)
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self.port))
            self._fillers.append(filler)

    def _spoil(self, directions: frozenset[Direction]) -> None:
        for one in self._pairs:
            for half in one.halves:
                half.lossy |= half.direction in directions

    # The thread.

    def _run(self) -> None:
        while True:
            with self._lock:
                if self._closing:
                    return
                poller, wait_s = self._interest(time.monotonic())
            poller.poll(None if wait_s is None else max(0.0, wait_s) * 1000.0 + 0.5)
            with self._lock:
                with contextlib.suppress(BlockingIOError):
                    while self._inner.recv(4096):
                        pass
                if not self._deaf:
                    self._accept()
                for one in list(self._pairs):
                    self._serve(one, time.monotonic())

    def _interest(self, now: float) -> tuple[select.poll, float | None]:
        masks: dict[int, int] = {self._inner.fileno(): select.POLLIN}
        if not self._deaf:
            masks[self._listener.fileno()] = select.POLLIN
        wait_s: float | None = None
        for half in (half for one in self._pairs for half in one.halves):
            if half.direction in self._held:
                continue
            if half.reads:
                number = half.source.fileno()
                masks[number] = masks.get(number, 0) | select.POLLIN
            if (due := half.due) is None or half.sink is None:
                continue
            if due <= now:
                number = half.sink.fileno()
                masks[number] = masks.get(number, 0) | select.POLLOUT
            else:
                wait_s = due - now if wait_s is None else min(wait_s, due - now)
        poller = select.poll()
        for number, mask in masks.items():
            poller.register(number, mask)
        return poller, wait_s

    def _accept(self) -> None:
        while True:
            try:
                client, address = self._listener.accept()
            except BlockingIOError:
                return
            if any(address == filler.getsockname() for filler in self._fillers):
                client.close()
                continue
            self.moments.append(time.monotonic())
            if self._refusing:
                self.resets += 1
                reset(client)
                continue
            target: socket.socket | None = None
            if not self._silent:
                try:
                    target = socket.create_connection(("127.0.0.1", self._target), timeout=1.0)
                except OSError:
                    reset(client)
                    continue
            found = pair(client, target, self._budget() if self._budget else None)
            for half in found.halves:
                half.lossy |= half.direction in self._dropping
            self._pairs.append(found)

    def _serve(self, one: Pair, now: float) -> None:
        try:
            for half in one.halves:
                if half.direction in self._held:
                    continue
                self.lost += half.read(now, self._pace.latency_s)
                passed = half.write(now, self._pace, one.left)
                if one.left is not None and passed:
                    one.left -= passed
                    if one.left <= 0:
                        self._reset(one)
                        return
        except OSError:
            self._end(one, abort=not any(half.lossy for half in one.halves))
            return
        if one.over:
            self._end(one)

    def _reset(self, one: Pair) -> None:
        self.resets += 1
        self._end(one, abort=True)

    def _end(self, one: Pair, *, abort: bool = False) -> None:
        self._pairs.remove(one)
        one.close(abort=abort)
