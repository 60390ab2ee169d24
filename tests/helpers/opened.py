"""Whether anybody opens a file: the kernel tells (inotify), also of libraries written in C."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_IN_ACCESS, _IN_OPEN = 0x1, 0x20
_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def watched(path: Path) -> Iterator[Callable[[], bool]]:
    """Watch a file; gives a function that says whether it was opened since."""
    queue = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    assert queue >= 0
    try:
        assert _libc.inotify_add_watch(queue, bytes(path), _IN_ACCESS | _IN_OPEN) >= 0

        def opened() -> bool:
            try:
                return bool(os.read(queue, 4096))
            except BlockingIOError:
                return False

        yield opened
    finally:
        os.close(queue)
