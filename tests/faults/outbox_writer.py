"""Processes to be killed: store messages, say when they are accepted, deliver some.

``python outbox_writer.py`` reads orders, one a line: ``DATABASE FIRST FAULT POINT``. For each it
makes a process that says ``P <pid>``, ``A <id>`` when a message is accepted and ``D <id>`` when one
is delivered, until it is killed; then ``X <signal>``.

``POINT`` is where the process kills itself, or ``-``; ``FAULT`` breaks a guarantee, or is ``-``:
``early`` says accepted before the commit, ``hasty`` deletes a message before it is delivered.
"""

from __future__ import annotations

import itertools
import os
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from edge.outbox import Outbox, database
from edge.outbox.change import Change
from edge.records import Message

BATCH = 3
SMALL = 60
"""Room for so many messages where eviction is to be interrupted."""


def say(word: str, key: object) -> None:
    """One line that is out of this process when the call returns."""
    os.write(1, f"{word} {key}\n".encode())


def die() -> None:
    """As if somebody had killed us."""
    os.kill(os.getpid(), signal.SIGKILL)


class Fragile(sqlite3.Connection):
    """Dies at the ``left``-th commit, before or after it."""

    before = False
    left = 10

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        if sql != "COMMIT":
            return super().execute(sql, parameters)
        Fragile.left -= 1
        if Fragile.left == 0 and self.before:
            die()
        done = super().execute(sql, parameters)
        if Fragile.left == 0:
            die()
        return done


class Evicting(Outbox):
    """Dies when an eviction has deleted rows and counted them, before the commit."""

    left = 5

    def _evict(self, change: Change) -> None:
        super()._evict(change)
        Evicting.left -= change.values.get("dropped_oldest", 0) > 0
        if Evicting.left == 0:
            die()


class Deaf(Outbox):
    """Dies before or after the deletion of what was delivered."""

    after = False
    left = 5

    def ack(self, rows: Iterable[int], *, no_subscriber: int = 0) -> None:
        Deaf.left -= 1
        if Deaf.left == 0 and not self.after:
            die()
        super().ack(rows, no_subscriber=no_subscriber)
        if Deaf.left == 0:
            die()


def checkpoint_kills() -> Callable[[], None]:
    """Put a SQLite in place that dies at the third write to the database itself, which in WAL mode
    only a checkpoint makes; returns what arms it.
    """
    from tests.helpers.apsw_connection import connector
    from tests.helpers.disk import Disk

    disk = Disk("fragile")
    left = 3

    def count(what: str, path: Path) -> None:
        nonlocal left
        left -= what == "write" and path.suffix == ".db"
        if left == 0:
            die()

    def arm() -> None:
        disk.on_operation = count

    database.connect = connector(disk.vfs.name)  # type: ignore[assignment]
    return arm


def work(path: Path, first: int, fault: str, point: str) -> None:
    """Run until killed."""
    kind: type[Outbox] = Outbox
    room = 100_000
    arm: Callable[[], None] = lambda: None  # noqa: E731
    match point:
        case "before_commit" | "after_commit":
            Fragile.before = point == "before_commit"
            database.connect = lambda path: sqlite3.connect(
                path, isolation_level=None, factory=Fragile
            )
        case "eviction":
            kind = Evicting
            room = SMALL
        case "delivered" | "deleted":
            kind = Deaf
            Deaf.after = point == "deleted"
        case "checkpoint":
            arm = checkpoint_kills()
    outbox = kind.open(path, max_rows=room, boot_id="b")
    arm()
    for number in itertools.count(first, BATCH):
        ids = [str(number + more) for more in range(BATCH)]
        batch = [Message("t", b"x" * 400, way="outbox", id=key, rev=1) for key in ids]
        if fault == "early":
            for key in ids:
                say("A", key)
        outbox.append(batch)
        if fault != "early":
            for key in ids:
                say("A", key)
        if number % 2 and room > SMALL:
            deliver(outbox, hasty=fault == "hasty")


def deliver(outbox: Outbox, *, hasty: bool) -> None:
    """Two messages go out."""
    rows = outbox.peek(2)
    if hasty:
        outbox.ack([row.row for row in rows])
    for row in rows:
        say("D", row.message.id)
    if not hasty:
        outbox.ack([row.row for row in rows])


def main() -> None:
    """Make a process for each order."""
    for order in sys.stdin:
        path, first, fault, point = order.split()
        child = os.fork()
        if child == 0:
            try:
                say("P", os.getpid())
                work(Path(path), int(first), fault, point)
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        say("X", os.WTERMSIG(status) if os.WIFSIGNALED(status) else f"status {status}")


if __name__ == "__main__":
    main()
