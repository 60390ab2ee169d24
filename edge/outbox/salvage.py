"""What can still be read in a damaged outbox moves into the new one."""

from __future__ import annotations

import json
import logging
import sqlite3
import time
from collections import deque
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

BUDGET_S = 3.0
"""What reading may take; the start of the service waits for it."""
MAX_ROWS = 100_000
MAX_PAYLOAD_BYTES = 64 << 10
_MAX_NUMBER = 1 << 53
"""A larger row number is damage; with it the new table would soon run out of numbers."""
_UNKNOWN_END = 1 << 20
_HOPELESS = 4096
"""Ranges in which nothing could be read, after which a table is given up."""
_STEPS = 10_000
"""SQLite's steps between two looks at the clock."""

_MESSAGES = "row, topic, id, rev, payload, created_mono, created_wall, boot_id"


def salvage(
    aside: Path,
    fresh: sqlite3.Connection,
    *,
    max_rows: int = MAX_ROWS,
    budget_s: float = BUDGET_S,
) -> int:
    """Copy messages and diaries from the file ``aside`` in the transaction that ``fresh`` is in.

    Messages keep their order and their (topic, id, rev), and get new ``seq`` in the new epoch. The
    key ``salvaged`` of ``meta`` counts what was copied; it is returned too. Whatever the damaged
    file does, it raises nothing and is left as it is.

    Raises
    ------
    sqlite3.Error
        The new database cannot be written.
    """
    reader = _Reader(aside, time.monotonic() + budget_s)
    saved = 0
    with reader:
        for number, *words in reader.diaries():
            diary = _texts(words)
            if diary is not None and _is_json(diary[1]) and saved < max_rows:
                saved += _count(
                    fresh.execute(
                        "INSERT OR IGNORE INTO lot VALUES (?, ?, ?) RETURNING 1",
                        (diary[0], number, diary[1]),
                    )
                )
        for number, *words, rev, payload, mono, wall, boot in reader.messages():
            message = _message(number, words, rev, payload, mono, wall, boot)
            if message is not None:
                saved += _count(
                    fresh.execute(
                        f"INSERT OR IGNORE INTO outbox ({_MESSAGES}, seq)"  # noqa: S608
                        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0) RETURNING 1",
                        message,
                    )
                )
            if saved >= 2 * max_rows:
                break
    fresh.execute(
        "UPDATE outbox SET seq = counted.seq FROM (SELECT row AS number, row_number() OVER"
        " (PARTITION BY topic ORDER BY row) AS seq FROM outbox) AS counted WHERE row = number"
    )
    fresh.execute("INSERT INTO meta SELECT 'seq:' || topic, max(seq) FROM outbox GROUP BY topic")
    fresh.execute("INSERT INTO meta VALUES ('salvaged', ?)", (saved,))
    logger.warning("%s: %d messages and diary lines salvaged%s", aside, saved, reader.remark)
    return saved


class _Reader:
    """A damaged database, read as far as that goes; the file is not written to.

    Attributes
    ----------
    remark
        What was in the way, for the log.
    """

    def __init__(self, path: Path, deadline: float) -> None:
        self.remark = ""
        self._path = path
        self._deadline = deadline
        self._connection: sqlite3.Connection | None = None

    def __enter__(self) -> None:
        try:
            self._connection = connection = sqlite3.connect(
                f"{self._path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None
            )
            connection.text_factory = bytes
            connection.set_progress_handler(self._late, _STEPS)
            connection.execute("PRAGMA trusted_schema=OFF")
            connection.execute("PRAGMA writable_schema=ON")  # a file cut short is read all the same
            connection.execute("PRAGMA cell_size_check=ON")
        except sqlite3.Error as error:
            self.remark = f"; {error}"

    def __exit__(self, *error: object) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
        with suppress(OSError):  # made by reading; of no worth
            self._path.with_name(self._path.name + "-shm").unlink(missing_ok=True)

    def messages(self) -> Iterator[tuple[Any, ...]]:
        """The messages that can be read, each once."""
        last = self._last(
            "SELECT max(row) FROM outbox",
            "SELECT seq FROM sqlite_sequence WHERE name = 'outbox'",
        )
        columns = f"SELECT {_MESSAGES} FROM outbox"  # noqa: S608
        yield from self._rows(f"{columns} WHERE row BETWEEN ? AND ? ORDER BY row", last)

    def diaries(self) -> Iterator[tuple[Any, ...]]:
        """The entries of diaries that can be read, each once: number, lot, body."""
        lots: dict[bytes, None] = {}
        for order in ("", "DESC"):  # from both ends as far as it goes
            try:
                for (lot,) in self._execute(f"SELECT lot FROM lot ORDER BY lot {order}"):  # noqa: S608
                    lots[lot] = None
            except (sqlite3.Error, UnicodeError) as error:
                self.remark = f"; {error}"
        for lot in lots:
            for name in _texts([lot]) or ():
                last = self._last("SELECT max(number) FROM lot WHERE lot = ?", bound=(name,))
                yield from self._rows(
                    "SELECT number, lot, body FROM lot WHERE lot = ? AND number BETWEEN ? AND ?"
                    " ORDER BY number",
                    last,
                    bound=(name,),
                )

    def _rows(self, sql: str, last: int, bound: tuple[str, ...] = ()) -> Iterator[tuple[Any, ...]]:
        """Rows by their number, which is the first column.

        Where a page is damaged the range of numbers is halved, widest ranges first, until what is
        around the damage has been read, time is up, or thousands of them in a row gave nothing.
        """
        spans = deque([(0, last)])
        failures = 0
        while spans and failures < _HOPELESS and not self._late():
            low, high = spans.popleft()
            try:
                with closing(self._execute(sql, (*bound, low, high))) as found:
                    for row in found:
                        if not isinstance(row[0], int) or not low <= row[0] <= high:
                            raise sqlite3.DatabaseError("row out of order")
                        yield row
                        failures = 0
                        low = row[0] + 1
                        if self._late():
                            return
            except (sqlite3.Error, UnicodeError, OverflowError) as error:
                self.remark = f"; {error}"
                failures += 1
                middle = (low + high) // 2
                if low < high:
                    spans += [(low, middle), (middle + 1, high)]

    def _late(self) -> bool:
        late = time.monotonic() > self._deadline
        if late:
            self.remark = "; there was no time for the rest"
        return late

    def _last(self, *questions: str, bound: tuple[str, ...] = ()) -> int:
        """The largest number there may be: the first answer, or a guess; -1 when there is none."""
        for sql in questions:
            with suppress(sqlite3.Error, UnicodeError):
                found = self._execute(sql, bound).fetchone()
                if found is None or found[0] is None:
                    return -1
                if isinstance(found[0], int) and 0 <= found[0] <= _MAX_NUMBER:
                    return found[0]
        return _UNKNOWN_END

    def _execute(self, sql: str, values: tuple[str | int, ...] = ()) -> sqlite3.Cursor:
        if self._connection is None:
            raise sqlite3.OperationalError("cannot be opened")
        return self._connection.execute(sql, values)


def _message(number: int, words: list[Any], *rest: Any) -> tuple[Any, ...] | None:
    """The values of a message, or None when one of them cannot be right."""
    rev, payload, mono, wall, boot = rest
    texts = _texts([*words, boot])
    if texts is None or not all(isinstance(one, int) for one in (rev, mono, wall)):
        return None
    topic, key, boot_id = texts
    if not topic or not key or any(sign in topic for sign in "+#\0"):
        return None
    if not isinstance(payload, bytes) or len(payload) > MAX_PAYLOAD_BYTES or not _is_json(payload):
        return None
    return (number, topic, key, rev, payload, mono, wall, boot_id)


def _texts(words: list[Any]) -> list[str] | None:
    try:
        return [word.decode() for word in words]
    except (AttributeError, UnicodeDecodeError):
        return None


def _is_json(text: str | bytes) -> bool:
    """Whether it is an object, as messages and entries are; half of one would spoil its lot."""
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _count(cursor: sqlite3.Cursor) -> int:
    """1 if the row went in, 0 if one like it is there."""
    return len(cursor.fetchall())
