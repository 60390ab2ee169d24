"""The outbox's SQLite file: how it is opened, and set aside when it is damaged."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import secrets
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

from edge.errors import OutboxError, OutboxUnwritable
from edge.outbox.salvage import salvage

logger = logging.getLogger(__name__)

SCHEMA_VERSION = 2
_CORRUPT_KEPT = 2
_SALVAGED = 0o400
"""The mode of a damaged file when its rows are in the next one."""
_QUICK_CHECK_BYTES = 64 << 20
_SUFFIXES = ("", "-wal", "-shm")
_BUSY_S = 1.0
"""How long somebody who looks into the file with another program may hold us up."""
_FOR_PEOPLE = frozenset(
    {
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EEXIST,
        errno.EISDIR,
        errno.ELOOP,
    }
)
"""What stays as it is until somebody mends it; everything else (no space, no descriptors, an I/O
error) may be over when the service manager starts us again."""
_FOR_PEOPLE_SQLITE = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN})

# AUTOINCREMENT: without it row numbers start again when the table empties, and a late
# acknowledgement could delete a younger row.
_SCHEMA = """
CREATE TABLE outbox (
    row INTEGER PRIMARY KEY AUTOINCREMENT,
    topic TEXT NOT NULL,
    id TEXT NOT NULL,
    rev INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    payload BLOB NOT NULL,
    created_mono INTEGER NOT NULL,
    created_wall INTEGER NOT NULL,
    boot_id TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL DEFAULT 'waiting',
    error TEXT,
    UNIQUE (topic, id, rev)
);
CREATE TABLE dead (
    row INTEGER PRIMARY KEY,
    topic TEXT NOT NULL,
    id TEXT NOT NULL,
    rev INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    payload BLOB NOT NULL,
    created_wall INTEGER NOT NULL,
    error TEXT NOT NULL
);
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
"""

_LOTS = """
CREATE INDEX outbox_seq ON outbox (topic, seq);
CREATE TABLE lot (
    lot TEXT NOT NULL,
    number INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (lot, number)
) WITHOUT ROWID;
"""
"""What version 2 added: diaries of lots without a report yet, and a way to what is confirmed."""


class Damaged(Exception):
    """The file is not a database that this version wrote."""


def open_database(path: Path) -> tuple[sqlite3.Connection, Path | None]:
    """Open the file, make it if it is absent, set it aside and make a new one if it is damaged.

    What can be read of a damaged file is in the new one. Returns the connection, and where the
    damaged file is now if there was one.

    Raises
    ------
    OutboxUnwritable
        The directory or the file may not be written; only people can change that.
    OutboxError
        A newer version of LineSight wrote it, or the disk or another program is in the way now.
    """
    try:
        try:
            return _open(path), None
        except Damaged as error:
            aside = _set_aside(path)
            logger.error("%s: %s; moved to %s, starting a new one", path, error, aside.name)
            return _open(path), aside
    except (sqlite3.Error, OSError) as error:
        if isinstance(error, OutboxError):
            raise
        raise cannot_open(path, error) from error


def suspect(path: Path, error: sqlite3.Error) -> None:
    """Have the next opening look at the whole file, however large it is, if SQLite has just found
    damage in it.
    """
    if _primary(error) == sqlite3.SQLITE_CORRUPT:
        with contextlib.suppress(OSError):
            _suspected(path).touch(mode=0o600)


def is_suspect(path: Path) -> bool:
    """Whether the next opening looks at the whole file."""
    return _suspected(path).exists()


def _suspected(path: Path) -> Path:
    return path.with_name(f"{path.name}.suspect")


def connect(path: Path) -> sqlite3.Connection:
    """A connection that begins no transaction by itself; fault tests put theirs in its place."""
    return sqlite3.connect(path, isolation_level=None, timeout=_BUSY_S)


def cannot_open(path: Path, error: sqlite3.Error | OSError) -> OutboxError:
    """The typed error for an outbox that cannot be opened: does it need people, or time?"""
    if isinstance(error, OSError):
        cause, lasting = error.strerror or str(error), error.errno in _FOR_PEOPLE
    else:
        code = _primary(error)
        cause, lasting = str(error), code in _FOR_PEOPLE_SQLITE
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return OutboxError(
                f"{path}: {cause}", hint="another program has the file open: close it there"
            )
    if lasting:
        return OutboxUnwritable(
            f"{path.parent}: state directory not writable: {cause}",
            hint="make state_dir a directory that the service's user may write",
        )
    return OutboxError(f"{path}: {cause}", hint="look at the disk: full or worn out?")


def _primary(error: sqlite3.Error) -> int | None:
    """SQLite's error code without its extension; None when the error is not SQLite's own."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _open(path: Path) -> sqlite3.Connection:
    if path.is_symlink():
        raise OSError(errno.ELOOP, f"{path.name} is a symbolic link")
    # An empty file beside damaged ones: setting the last of them aside was cut short.
    damaged = _not_salvaged(path) if path.exists() else None
    _make(path)
    connection = connect(path)
    try:
        _prepare(connection, path, damaged)
    except sqlite3.DatabaseError as error:
        connection.close()
        if _primary(error) in (
            sqlite3.SQLITE_CORRUPT,
            sqlite3.SQLITE_NOTADB,
            sqlite3.SQLITE_ERROR,  # a table or column that should be there is not
        ):
            raise Damaged(str(error)) from error
        raise
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path, damaged: Path | None) -> None:
    execute = connection.execute
    execute("PRAGMA locking_mode=EXCLUSIVE")
    execute("PRAGMA journal_mode=WAL")
    execute("PRAGMA synchronous=FULL")
    execute("PRAGMA wal_autocheckpoint=200")
    execute(f"PRAGMA journal_size_limit={1 << 20}")
    execute("PRAGMA mmap_size=0")
    [version] = execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise OutboxError(
            f"{path}: written by a newer LineSight (schema {version}, this one knows "
            f"{SCHEMA_VERSION})",
            hint="install that version again, or move the file away",
        )
    if version == 0:
        if execute("SELECT count(*) FROM sqlite_master").fetchone() != (0,):
            raise Damaged("not an outbox")
        with transaction(connection):
            for statement in (_SCHEMA + _LOTS).split(";\n"):
                execute(statement)
            execute("INSERT INTO meta VALUES ('epoch', ?)", (secrets.token_hex(8),))
            execute(f"PRAGMA user_version={SCHEMA_VERSION}")
            if damaged is not None:
                salvage(damaged, connection)
        if damaged is not None:
            with contextlib.suppress(OSError):
                damaged.chmod(_SALVAGED)
        _suspected(path).unlink(missing_ok=True)
        _sync_directory(path.parent)
        return
    if path.stat().st_size <= _QUICK_CHECK_BYTES or _suspected(path).exists():
        # The quick one does not hold indices against their table.
        check = "integrity_check" if _suspected(path).exists() else "quick_check"
        [verdict] = execute(f"PRAGMA {check}(1)").fetchone()
        if verdict != "ok":
            raise Damaged(str(verdict))
        _suspected(path).unlink(missing_ok=True)
    if version == 1:
        with transaction(connection):
            for statement in _LOTS.split(";\n"):
                execute(statement)
            execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    epoch = execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()
    if epoch is None:
        raise Damaged("has no epoch")
    # After a failed sync the log may be whole in the kernel's memory only. What it holds is written
    # anew before anything is added behind it.
    execute("PRAGMA wal_checkpoint(TRUNCATE)")


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing; what is inside is on the disk when this ends without an exception."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # Some errors (disk full, I/O) have rolled back already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _make(path: Path) -> None:
    # By us, so that nobody else may read it, and SQLite follows no link put in its place.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))


def _set_aside(path: Path) -> Path:
    """Rename the file and its log to ``<stem>.corrupt-<n>``, keeping the last two of them; an empty
    file takes its place.
    """
    taken = _asides(path)
    for number in taken[: max(0, len(taken) + 1 - _CORRUPT_KEPT)]:
        for suffix in _SUFFIXES:
            path.with_name(f"{path.stem}.corrupt-{number}{suffix}").unlink(missing_ok=True)
    aside = path.with_name(f"{path.stem}.corrupt-{max(taken, default=0) + 1}")
    for suffix in reversed(_SUFFIXES):  # the log first: it must never meet another database
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    _make(path)
    _sync_directory(path.parent)
    return aside


def _asides(path: Path) -> list[int]:
    """Numbers of the files that were set aside, ascending."""
    return sorted(
        int(tail)
        for other in path.parent.glob(f"{path.stem}.corrupt-*")
        if (tail := other.name.rpartition("-")[2]).isdigit()
    )


def _not_salvaged(path: Path) -> Path | None:
    """The last file that was set aside, if its rows are not in another one yet."""
    for number in _asides(path)[-1:]:
        aside = path.with_name(f"{path.stem}.corrupt-{number}")
        if stat.S_IMODE(aside.lstat().st_mode) != _SALVAGED:
            return aside
    return None


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
