"""A process to be killed: stores messages, says when they are accepted, delivers some.

``python outbox_writer.py DATABASE FIRST [early]`` prints ``A <id>`` when a message is accepted and
``D <id>`` before a delivered one is acknowledged. ``early`` breaks the guarantee: it says accepted
before the commit.
"""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path

from edge.outbox import Outbox
from edge.records import Message


def say(word: str, key: str) -> None:
    """One line that is out of this process when the call returns."""
    os.write(1, f"{word} {key}\n".encode())


def main(database: str, first: int, *, early: bool) -> None:
    """Run until killed."""
    outbox = Outbox.open(Path(database), boot_id="b")
    for number in itertools.count(first, 3):
        batch = [
            Message("t", b"x" * 400, way="outbox", id=str(number + more), rev=1)
            for more in range(3)
        ]
        if early:
            for message in batch:
                say("A", str(message.id))
        outbox.append(batch)
        if not early:
            for message in batch:
                say("A", str(message.id))
        if number % 2:
            delivered = outbox.peek(2)
            for row in delivered:
                say("D", str(row.message.id))
            outbox.ack([row.row for row in delivered])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), early="early" in sys.argv[3:])
