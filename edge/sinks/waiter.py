"""Waiting for a socket, or for another thread that has something to say."""

from __future__ import annotations

import contextlib
import select
import socket
import threading


class Waiter:
    """Waits in one thread; ``wake`` ends the wait from any other."""

    def __init__(self) -> None:
        self._inner, self._outer = socket.socketpair()
        self._inner.setblocking(False)
        self._outer.setblocking(False)
        self._lock = threading.Lock()

    def wait(self, timeout_s: float, fd: int | None = None, mask: int = 0) -> tuple[int, bool]:
        """Wait for one of the ``mask`` events of ``fd``, for a wake, or for ``timeout_s``.

        Returns what ``fd`` is ready for (0: nothing; errors and hang-ups too), and whether there
        was a wake.
        """
        wakes = self._inner.fileno()
        if wakes < 0:  # closed: there is nothing left to wait for
            return 0, True
        poller = select.poll()
        poller.register(wakes, select.POLLIN)
        if fd is not None:
            poller.register(fd, mask)
        # Rounded up, or the last part of a millisecond is spent spinning.
        ready = dict(poller.poll(min(int(timeout_s * 1000.0) + (timeout_s > 0.0), 1 << 30)))
        got = 0 if fd is None else ready.get(fd, 0)
        if not ready.get(wakes):
            return got, False
        with contextlib.suppress(BlockingIOError):
            while self._inner.recv(4096):
                pass
        return got, True

    def wake(self) -> None:
        """End the wait, or the next one; any thread may call it, also after ``close``."""
        # The lock keeps the descriptor ours while it is used. A full buffer wakes as well.
        with self._lock, contextlib.suppress(OSError):
            self._outer.send(b"\0")

    def close(self) -> None:
        """Release the sockets. Harmless when called twice."""
        with self._lock:
            self._inner.close()
            self._outer.close()
