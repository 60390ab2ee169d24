"""One lot's diary as it is written: a defect at once, clean strip now and then."""

from __future__ import annotations

from dataclasses import replace

from edge.line.diary import Note, Seen, write
from edge.records import LotEntry

NOTE_NS = 1_000_000_000
"""How long clean strip is judged before it is written down: what a crash may cost."""


class Notebook:
    """What of a lot goes to its diary, in order, and the one stretch of clean strip that waits.

    Parameters
    ----------
    lot
        The lot's id.
    number
        Of the next entry.
    """

    def __init__(self, lot: str, number: int = 0) -> None:
        self._lot = lot
        self._number = number
        self._clean: Seen | None = None
        self._since_ns = 0

    def write(self, note: Note) -> LotEntry:
        """The entry of a note."""
        entry = LotEntry(self._lot, self._number, write(note))
        self._number += 1
        return entry

    def see(self, seen: Seen, now_ns: int) -> list[LotEntry]:
        """Note what a frame showed; what is to be written down now, in order."""
        clean, grown = self._clean, None
        if clean is not None and _touch(clean, seen):
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
            return [*entries, self.write(seen)]
        if grown is None:
            self._since_ns = now_ns
        self._clean = grown or seen
        return self.flush() if now_ns - self._since_ns >= NOTE_NS else entries

    def flush(self, now_ns: int | None = None) -> list[LotEntry]:
        """What is not written down yet; with a moment, only what has waited long enough then."""
        clean = self._clean
        if clean is None or (now_ns is not None and now_ns - self._since_ns < NOTE_NS):
            return []
        self._clean = None
        return [self.write(clean)]


def _touch(one: Seen, other: Seen) -> bool:
    return one.start_mm <= other.end_mm and other.start_mm <= one.end_mm
