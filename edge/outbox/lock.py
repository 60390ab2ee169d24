"""One process owns an outbox: a lock file that dies with its owner."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from edge.errors import OutboxLocked


class OwnerLock:
    """An exclusive ``flock`` on a file that names its owner's process id.

    The kernel gives the lock up when the process ends, however it ends, so there is nothing to
    clean up after ``kill -9``.

    Raises
    ------
    OutboxLocked
        Another process (or this one, elsewhere) has it.
    OSError
        The file cannot be made; a symbolic link at its place is refused.
    """

    def __init__(self, path: Path) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._fd = os.open(path, flags, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._fd)
            raise OutboxLocked(
                f"another instance (pid {owner}) owns {path.parent}",
                hint="stop it, or give this one a state_dir of its own",
            ) from error
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Give the lock up. Harmless when called twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
