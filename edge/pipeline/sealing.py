"""The last step before the broker, with what only the connection and the clock know."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from edge.messages import SealContext, seal
from edge.outbox import Row


class Sealer:
    """Seals rows with the state of the connection and of the clock now.

    Parameters
    ----------
    boot_id
        The kernel's id of this boot.
    is_clock_synced
        Whether the wall clock is right now.
    """

    def __init__(self, boot_id: str, is_clock_synced: Callable[[], bool]) -> None:
        self._boot_id = boot_id
        self._is_clock_synced = is_clock_synced
        self._since_ns = 0

    def connected(self) -> None:
        """A connection begins: what was stored before is a replay."""
        self._since_ns = time.monotonic_ns()

    def is_replay(self, row: Row) -> bool:
        """Whether the row is older than the connection."""
        return row.boot_id != self._boot_id or row.created_mono_ns < self._since_ns

    def seal(self, row: Row) -> bytes:
        """The row's payload as it goes on the wire."""
        return seal(
            row,
            SealContext(
                boot_id=self._boot_id,
                clock_synced=self._is_clock_synced(),
                connected_since_mono_ns=self._since_ns,
                wall_offset_ns=time.time_ns() - time.monotonic_ns(),
            ),
        )


def captured_ns(row: Row) -> int:
    """Monotonic time of the capture that a row tells of; of its storing where it tells of none."""
    mono_ns = json.loads(row.message.payload).get("mono_ns")
    return mono_ns if isinstance(mono_ns, int) else row.created_mono_ns
