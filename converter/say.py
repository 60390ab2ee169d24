"""What the person who waits gets to hear: a line for each step, and how far a long one is."""

from __future__ import annotations

import time
from typing import TextIO

EVERY_S = 0.2
"""A terminal is not told more often than this."""


class Say:
    """Writes lines; on a terminal also one that is rewritten while something long runs.

    Parameters
    ----------
    out
        Usually standard output. Into a file or a pipe go whole lines only.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._terminal = out.isatty()
        self._width = 0
        self._told = 0.0

    def __call__(self, line: str) -> None:
        """Write one line."""
        self._clear()
        self._out.write(f"{line}\n")
        self._out.flush()

    def step(self, what: str, done: int, total: int) -> None:
        """Say how far a long step is; nothing remains of it when the next line comes."""
        now = time.monotonic()
        if not self._terminal or now - self._told < EVERY_S:
            return
        self._told = now
        self._clear()
        line = f"{what} {done}/{total}"
        self._out.write(line)
        self._out.flush()
        self._width = len(line)

    def _clear(self) -> None:
        if self._width:
            self._out.write("\r" + " " * self._width + "\r")
            self._width = 0
