"""What the kernel says about this process and this machine."""

from __future__ import annotations

import ctypes
import os
import resource
import uuid
from pathlib import Path

_TIMESYNCD = Path("/run/systemd/timesync/synchronized")
_TIME_ERROR = 5
"""What adjtimex(2) returns while nothing disciplines the clock."""


def rss_mb() -> float:
    """Resident memory of this process in MB (1e6 bytes); the peak where /proc is hidden."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    except (OSError, ValueError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def clock_synced() -> bool:
    """Whether the wall clock is known to be right.

    True when systemd-timesyncd says so, or when the kernel says that any daemon (chrony, ntpd)
    disciplines the clock. Where a sandbox forbids the question only timesyncd can answer it.
    """
    if _TIMESYNCD.exists():
        return True
    try:
        # struct timex is 208 bytes on 64-bit Linux; all zero means "only ask".
        answer = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512))
    except (OSError, AttributeError):
        return False
    return 0 <= int(answer) < _TIME_ERROR


def boot_id() -> str:
    """The kernel's id of this boot; random for each process where /proc is hidden."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return str(uuid.uuid4())
