"""The few methods of ``sqlite3.Connection`` that the outbox uses, on apsw's SQLite and its VFS."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import apsw


class Result:
    """Rows that a statement gave; it has run to its end, as the outbox expects of its own."""

    def __init__(self, rows: list[Any], lastrowid: int) -> None:
        self._rows = iter(rows)
        self.lastrowid = lastrowid

    def fetchone(self) -> Any:
        """The next row, or None."""
        return next(self._rows, None)

    def fetchall(self) -> list[Any]:
        """The rows that are left."""
        return list(self._rows)

    def __iter__(self) -> Iterator[Any]:
        return self._rows


class Connection:
    """An apsw connection that speaks like the standard library's.

    ``rewrite`` may change a statement before it runs: the switch of the twins.
    """

    def __init__(self, path: Path, vfs: str, rewrite: Callable[[str], str]) -> None:
        self._rewrite = rewrite
        self._raw = _translated(lambda: apsw.Connection(str(path), vfs=vfs))
        self._raw.set_busy_timeout(1000)

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Result:
        """Run one statement."""
        rows = _translated(lambda: list(self._raw.execute(self._rewrite(sql), tuple(parameters))))
        return Result(rows, self._raw.last_insert_rowid())

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]]) -> None:
        """Run one statement for each set of parameters."""
        _translated(lambda: list(self._raw.executemany(sql, parameters)))

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return bool(self._raw.in_transaction)

    def close(self) -> None:
        """Close it."""
        _translated(self._raw.close)


def _translated(call: Callable[[], Any]) -> Any:
    """The call's result; apsw's errors become those of the standard library."""
    try:
        return call()
    except apsw.Error as error:
        known = sqlite3.OperationalError(str(error))
        known.sqlite_errorcode = getattr(error, "extendedresult", 0) or sqlite3.SQLITE_ERROR
        raise known from error


def connector(
    vfs: str, rewrite: Callable[[str], str] = str
) -> Callable[[Path], sqlite3.Connection]:
    """What takes the place of ``edge.outbox.database.connect``."""
    return lambda path: cast("sqlite3.Connection", Connection(path, vfs, rewrite))
