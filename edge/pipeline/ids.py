"""Numbers for alerts: reserved on disk by the outbox thread, taken by the rules' owners."""

from __future__ import annotations

import secrets
import threading
from collections import deque
from collections.abc import Callable

BLOCK = 1000
"""Numbers in one block; the outbox commits a block as used before any of it is used."""


class AlertIds:
    """Gives each alert an id ``<epoch>-<number>`` that no other alert ever had.

    :meth:`next` never waits for the disk. When the blocks run out because the disk is away, ids
    carry a fresh random epoch that is never stored, so that they are unique all the same.
    """

    def __init__(self) -> None:
        self.on_low: Callable[[], None] = lambda: None
        """Called when half a block is left, so that the outbox thread brings another."""
        self._lock = threading.Lock()
        self._blocks: deque[tuple[str, deque[int]]] = deque()
        self._left = 0
        self._spare_epoch = secrets.token_hex(8)
        self._spare = 0

    @property
    def low(self) -> bool:
        """Whether another block is wanted."""
        return self._left <= BLOCK // 2

    def give(self, epoch: str, numbers: range) -> None:
        """Add a block that was reserved."""
        with self._lock:
            self._blocks.append((epoch, deque(numbers)))
            self._left += len(numbers)

    def next(self) -> str:
        """An id that was never given before. Any thread may call it."""
        with self._lock:
            while self._blocks and not self._blocks[0][1]:
                self._blocks.popleft()
            if not self._blocks:
                self._spare += 1
                return f"{self._spare_epoch}-{self._spare}"
            epoch, numbers = self._blocks[0]
            number = numbers.popleft()
            self._left -= 1
            ask = self._left == BLOCK // 2
        if ask:
            self.on_low()
        return f"{epoch}-{number}"
