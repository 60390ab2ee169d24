"""What the process that holds a model may use, and what it may never do."""

from __future__ import annotations

import ctypes
import mmap
import os
import resource
import signal
from dataclasses import dataclass

_ROOM = 64 * 2**20
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38


@dataclass(frozen=True, slots=True)
class Limits:
    """Of the child process.

    Parameters
    ----------
    memory_bytes
        Data segment, which is what it allocates (``RLIMIT_DATA``); TensorFlow alone takes 1 GB.
    seconds
        Of one request: on the wall clock, and processor seconds for each processor.
    """

    memory_bytes: int = 4 * 2**30
    seconds: float = 600.0


def confine(parent: int, memory_bytes: int) -> None:
    """Tie this process to its parent and limit it, before it reads anything foreign.

    Parameters
    ----------
    parent
        Process id that must still be the parent; when it dies, the kernel kills this process.
    memory_bytes
        See :class:`Limits`.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    for option, value in ((_PR_SET_PDEATHSIG, signal.SIGKILL), (_PR_SET_NO_NEW_PRIVS, 1)):
        if libc.prctl(option, int(value), 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), f"prctl {option}")
    if os.getppid() != parent:  # it died before the kernel knew of the tie
        raise SystemExit(1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))


def allow_seconds(seconds: float) -> None:
    """From now on, so many processor seconds for each processor; then SIGXCPU ends the process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    used = usage.ru_utime + usage.ru_stime
    processors = len(os.sched_getaffinity(0))
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used + seconds * processors) + 1, hard))


def is_memory_short() -> bool:
    """The process stands so close to its limit that it cannot have another 64 MiB."""
    try:
        mmap.mmap(-1, _ROOM, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
    except OSError:
        return True
    return False
