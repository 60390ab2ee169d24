"""Rows that are read ahead of the publish thread, and which of them it has."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from edge.outbox import Row

AHEAD = 64
"""Rows in one reading; the next follows when half of them are left."""


class ReadAhead:
    """The hand-over of rows from the outbox thread to the publish thread.

    A cursor runs over the outbox from the oldest row to the newest. A row that was handed over is
    *out* until it is deleted, or until the publish thread gives it up; what is out is never handed
    over again, so the cursor may go back to the start at any time.

    Parameters
    ----------
    wake
        Called when the outbox thread should read on.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._serving = False
        self._more = False  # whether rows behind the cursor may exist
        self._cursor = 0
        self._rows: deque[Row] = deque()
        self._out: dict[int, Row] = {}
        self._parked: frozenset[str] = frozenset()
        self._resting: dict[int, float] = {}  # row → monotonic time until which it is not offered
        self._again: int | None = None  # a second cursor, over rows that have rested

    # The publish thread.

    def serve(self, *, parked: frozenset[str] = frozenset(), anew: bool = False) -> None:
        """Offer every row again from the oldest, except those that are out, those that rest, and
        parked topics.

        Called after each connect (``anew``: then nothing rests), and when a topic is parked or no
        longer is.
        """
        with self._lock:
            if anew:
                self._resting.clear()
                self._again = None
            self._serving, self._more, self._cursor = True, True, 0
            self._parked = parked
            # What was read ahead is read again, so that the order within a topic holds.
            self._forget(self._rows)
            self._rows.clear()
        self._wake()

    def suspend(self, sent: Iterable[Row]) -> None:
        """Stop reading ahead; rows that were ``sent`` and not acknowledged are offered again."""
        with self._lock:
            self._serving = False
            self._forget([*self._rows, *sent])
            self._rows.clear()

    def next_row(self) -> Row | None:
        """The next row to send, None when none is read ahead now."""
        with self._lock:
            row = self._rows.popleft() if self._rows else None
            low = self._is_low()
        if low:
            self._wake()
        return row

    def give_back(self, row: Row) -> None:
        """Return the row that ``next_row`` gave, unsent; it is the next again."""
        with self._lock:
            self._rows.appendleft(row)

    def release(self, row: Row) -> None:
        """A row that was sent was refused: offer it again at the next ``serve``."""
        with self._lock:
            self._forget([row])

    def rest(self, row: Row, until: float) -> None:
        """The broker has this row, and its consumer has not confirmed it: it stays on disk, and is
        offered again behind ``until``, in monotonic seconds.
        """
        with self._lock:
            if self._out.get(row.row) is row:
                del self._out[row.row]
                self._resting[row.row] = until

    def offer_rested(self) -> None:
        """Offer those again that have rested, once every row was offered that never was."""
        now = time.monotonic()
        with self._lock:
            left = {key: until for key, until in self._resting.items() if until > now}
            if self._again is None and len(left) < len(self._resting):
                self._again = 0
            self._resting = left
        self._wake()

    @property
    def drained(self) -> bool:
        """Whether the publish thread has every row that it may have."""
        with self._lock:
            return not (self._rows or self._more)

    # The outbox thread.

    @property
    def low(self) -> bool:
        """Whether rows should be read."""
        with self._lock:
            return self._is_low()

    def is_out(self, row: Row) -> bool:
        """Whether the publish thread has this very row, and not one of a replaced database."""
        with self._lock:
            return self._out.get(row.row) is row

    def extended(self) -> None:
        """New rows were stored."""
        with self._lock:
            self._more = True

    def deleted(self, rows: Iterable[Row]) -> None:
        """Rows are no longer on disk."""
        with self._lock:
            self._forget(rows)

    def confirmed(self, rows: Iterable[int]) -> None:
        """Rows of these numbers are no longer on disk."""
        with self._lock:
            gone = set(rows)
            self._rows = deque(row for row in self._rows if row.row not in gone)
            for number in gone:
                self._out.pop(number, None)
                self._resting.pop(number, None)

    def restart(self, *, replaced: bool) -> None:
        """The outbox was opened anew; when it was ``replaced`` its row numbers mean other rows."""
        with self._lock:
            if replaced:
                self._out.clear()
                self._rows.clear()
                self._resting.clear()
            self._again = None
            self._cursor, self._more = 0, True

    def fill(self, peek: Callable[[int, int], Sequence[Row]]) -> bool:
        """Read once with ``peek(limit, after_row)`` if rows should be read.

        True when there are rows for the publish thread.
        """
        with self._lock:
            if not self._is_low():
                return False
            cursor, again = self._cursor, None if self._more else self._again
        rows = peek(AHEAD, cursor if again is None else again)
        with self._lock:
            if not self._serving or self._cursor != cursor:
                return False  # the publish thread began anew meanwhile
            if again is not None:
                return self._fill_again(rows)
            self._more = len(rows) == AHEAD
            for row in rows:
                self._cursor = row.row
                if row.row in self._out or row.row in self._resting:
                    continue
                if row.message.topic not in self._parked:
                    self._rows.append(row)
                    self._out[row.row] = row
            return bool(self._rows)

    def _fill_again(self, rows: Sequence[Row]) -> bool:
        """Of rows that were offered before, take those that have rested."""
        ended = len(rows) < AHEAD or rows[-1].row >= self._cursor
        self._again = None if ended else rows[-1].row
        for row in rows:
            if row.row > self._cursor or row.row in self._out or row.row in self._resting:
                continue
            if row.message.topic not in self._parked:
                self._rows.append(row)
                self._out[row.row] = row
        return bool(self._rows)

    def _is_low(self) -> bool:
        wanted = self._more or self._again is not None
        return self._serving and wanted and len(self._rows) <= AHEAD // 2

    def _forget(self, rows: Iterable[Row]) -> None:
        for row in rows:
            if self._out.get(row.row) is row:
                del self._out[row.row]
