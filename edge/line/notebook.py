"""Clean strip is written down now and then, a defect at once."""

from __future__ import annotations

from dataclasses import replace

from edge.line.diary import Seen, write
from edge.records import LotEntry

NOTE_NS = 1_000_000_000
"""How long clean strip is judged before it is written down: what a crash may cost."""


class Notebook:
    """What of a lot was seen and not written down yet: one stretch of clean strip."""

    def __init__(self) -> None:
        self._lot = ""
        self._clean: Seen | None = None
        self._since_ns = 0

    def add(self, lot: str, seen: Seen, now_ns: int) -> list[LotEntry]:
        """Note what a frame showed; what is to be written down now, in order."""
        clean = self._clean
        grown = None
        if clean is not None and self._lot == lot and _touch(clean, seen):
            grown = replace(
                seen,
                start_mm=min(clean.start_mm, seen.start_mm),
                end_mm=max(clean.end_mm, seen.end_mm),
                error_mm=max(clean.error_mm, seen.error_mm),
            )
        apart = seen.defects or (clean is not None and grown is None)
        # The part before a defect stays a note of its own: what is joined with what depends on
        # where the frames began.
        entries = self.flush() if apart else []
        if seen.defects:
            return [*entries, write(lot, seen)]
        if grown is None:
            self._since_ns = now_ns
        self._lot, self._clean = lot, grown or seen
        return self.flush() if now_ns - self._since_ns >= NOTE_NS else entries

    def flush(self) -> list[LotEntry]:
        """What is not written down yet."""
        clean, self._clean = self._clean, None
        return [] if clean is None else [write(self._lot, clean)]


def _touch(one: Seen, other: Seen) -> bool:
    return one.start_mm <= other.end_mm and other.start_mm <= one.end_mm
