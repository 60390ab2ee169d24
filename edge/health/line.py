"""What the factory line's thread reports: its encoder, its gate, and what went wrong."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

from edge.records import LineStatus, Reason, ReasonCode

FRESH_S = 60.0
"""So long something that went wrong once counts: longer than between two health messages."""

_CODES: Mapping[str, ReasonCode] = {"frame_size": "frame_size", "late_verdict": "late_verdict"}
"""What has a code of its own; the rest is the encoder's."""

_NO_FAULT = frozenset({"lot_end_without_start"})
"""What is counted and says nothing about the line."""

_SAID: Mapping[str, str] = {
    "frame_size": "frames of another size than [[camera]] says, which have no place on the strip",
    "late_verdict": "sections that were at the gate before their verdict, and were rejected",
    "unplaced": "frames without a position: the encoder gave no samples",
    "jumped_back": "the encoder's count jumped back",
    "out_of_order": "samples that were older than the one before",
    "speed_zero": "the strip was said to stand still",
    "jumped_forward": "the encoder's count leapt ahead",
    "unreadable_lot": "lots of before whose diary cannot be read",
    "bad_sample": "samples that are none",
}


class LineHealth:
    """The line, as its threads see it; read by any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._status: LineStatus | None = None
        self._grown: dict[str, float] = {}
        self._failing: dict[str, str] = {}

    def counted(self, counts: Mapping[str, int], lot: str | None) -> None:
        """What went wrong since the start, by kind, and the open lot."""
        now = time.monotonic()
        with self._lock:
            before = self._status.counts if self._status is not None else {}
            for kind, count in counts.items():
                if count > before.get(kind, 0) and kind not in _NO_FAULT:
                    self._grown[kind] = now
            self._status = LineStatus(dict(counts), lot)

    def failing(self, what: str, detail: str | None) -> None:
        """An encoder or a digital line does not answer, or (None) it does again."""
        with self._lock:
            if detail is None:
                self._failing.pop(what, None)
            else:
                self._failing[what] = detail

    def status(self) -> LineStatus | None:
        """Its part of the status; None of a station without a line."""
        return self._status

    def reasons(self) -> list[Reason]:
        """Why the line is not well."""
        now = time.monotonic()
        with self._lock:
            found = [Reason("encoder_fault", detail) for detail in self._failing.values()]
            for kind, moment in self._grown.items():
                if now - moment < FRESH_S and self._status is not None:
                    count = self._status.counts[kind]
                    code = _CODES.get(kind, "encoder_fault")
                    found.append(Reason(code, f"{_SAID.get(kind, kind)} ({count})"))
        return found
