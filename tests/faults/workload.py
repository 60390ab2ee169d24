"""What a station does to its outbox in a busy hour, written down step by step."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge.outbox import Outbox, Row
from edge.records import LotEntry, LotForgotten, Message

MAX_ROWS = 80
TOPICS = ("a", "b", "c")
Key = tuple[str, str, int, int, bytes]


@dataclass(frozen=True)
class State:
    """All that an outbox holds: epoch, messages in their order, diaries, and every counter."""

    epoch: str
    rows: tuple[Key, ...]
    lots: tuple[LotEntry, ...]
    counters: tuple[tuple[str, int], ...]

    @classmethod
    def of(cls, outbox: Outbox) -> State:
        """Read it."""
        rows = tuple(_key(row) for row in outbox.peek(100_000))
        counters = tuple(sorted(outbox._meta.items()))  # seqs, numbers, losses
        return cls(outbox.epoch, rows, tuple(outbox.lots()), counters)


def _key(row: Row) -> Key:
    message = row.message
    assert message.id is not None
    assert message.seq is not None
    return (message.topic, message.id, message.rev or 0, message.seq, message.payload)


@dataclass(frozen=True)
class Step:
    """A call that has returned.

    ``accepted`` is what it promised to keep, ``gone`` what may be missing from when it began,
    ``at`` the length of the disk's log when it returned; ``firm`` says that it was synced.
    """

    at: int
    state: State
    firm: bool
    accepted: frozenset[object] = frozenset()
    gone: frozenset[object] = frozenset()


class Workload:
    """Appends in groups of 1 to 16, acknowledgements, burials, diaries, evictions and restarts."""

    def __init__(self, path: Path, seed: int, now: Callable[[], int]) -> None:
        self._path = path
        self._rng = random.Random(seed)
        self._now = now
        self._number = 0
        self._outbox = self._open()
        self._state = State.of(self._outbox)
        self.steps = [Step(now(), self._state, True)]

    def _open(self) -> Outbox:
        return Outbox.open(self._path, max_rows=MAX_ROWS, boot_id="b")

    def run(self, steps: int) -> list[Step]:
        """So many calls, then the end of the process in good order."""
        for _ in range(steps):
            choice = self._rng.random()
            if choice < 0.60:
                self._append()
            elif choice < 0.90:
                rows = self._outbox.peek(self._rng.randint(1, 20))
                self._outbox.ack([row.row for row in rows])
                self._done(firm=False)
            elif choice < 0.95:
                oldest = self._outbox.peek(1)
                for row in oldest:
                    self._outbox.bury(row.row, "no")
                self._done(firm=bool(oldest))
            elif choice < 0.98:
                self._outbox.reserve_ids(10)
                self._done(firm=True)
            else:
                self._outbox.close()
                self._outbox = self._open()
                self._done(firm=False)
        self._outbox.close()
        return self.steps

    def _append(self) -> None:
        messages = []
        for _ in range(self._rng.randint(1, 16)):
            self._number += 1
            payload = self._rng.randbytes(self._rng.randint(50, 900))
            topic = self._rng.choice(TOPICS)
            messages.append(Message(topic, payload, way="outbox", id=str(self._number), rev=1))
        lots: list[LotEntry | LotForgotten] = []
        if self._rng.random() < 0.3:
            lot = f"l{self._number // 300}"
            lots.append(LotEntry(lot, self._number, f"{{{self._number}}}"))
        if self._rng.random() < 0.05:
            lots.append(LotForgotten(f"l{self._number // 300}"))
        self._outbox.append(messages, lots)
        self._done(firm=True)

    def _done(self, *, firm: bool) -> None:
        before, after = self._state, State.of(self._outbox)
        had, has = {*before.rows, *before.lots}, {*after.rows, *after.lots}
        step = Step(self._now(), after, firm, frozenset(has - had), frozenset(had - has))
        self.steps.append(step)
        self._state = after
