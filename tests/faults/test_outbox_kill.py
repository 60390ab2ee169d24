"""kill -9 of a busy outbox, at random and at named points (F71, F72), counted exactly."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edge.outbox import Outbox
from tests.faults.outbox_writer import BATCH
from tests.helpers.long import LONG

ROOT = Path(__file__).parents[2]
KILLS = 1_000 if LONG else 100
AT_EACH_POINT = 50 if LONG else 10
POINTS = ("before_commit", "after_commit", "delivered", "deleted", "checkpoint", "eviction")


@dataclass
class Tally:
    """What the processes said before they died, and what is left."""

    kills: int = 0
    accepted: list[int] = field(default_factory=list)
    delivered: list[int] = field(default_factory=list)
    waiting: list[int] = field(default_factory=list)
    first_seq: int = 1
    evicted: int = 0

    def hear(self, word: str, key: str) -> None:
        """One line of a process."""
        match word:
            case "A":
                self.accepted.append(int(key))
            case "D":
                self.delivered.append(int(key))
            case "X":
                assert key == str(int(signal.SIGKILL)), "ended by itself"
                self.kills += 1

    def look(self, path: Path) -> None:
        """What waits after the last kill; it counts as delivered by the next process."""
        outbox = Outbox.open(path, boot_id="b")
        rows = outbox.peek(100_000)
        self.waiting = [int(str(row.message.id)) for row in rows]
        seqs = [row.message.seq or 0 for row in rows]
        assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
        self.first_seq = seqs[0]
        self.evicted = outbox.counters().dropped_oldest
        outbox.close()

    @property
    def lost(self) -> set[int]:
        """What was accepted and neither went out nor waits."""
        return set(self.accepted) - set(self.delivered) - set(self.waiting)

    @property
    def duplicates(self) -> float:
        """Deliveries that the consumer has had already, of all, when what waits has gone out."""
        all_of_them = self.delivered + self.waiting
        return 1 - len(set(all_of_them)) / len(all_of_them)

    def in_order(self) -> bool:
        """Whether a consumer that drops duplicates gets ascending numbers."""
        new = list(dict.fromkeys(self.delivered + self.waiting))
        return new == sorted(new)


class Victims:
    """Makes processes that write to an outbox until they are killed."""

    def __init__(self, maker: subprocess.Popen[str], path: Path) -> None:
        self._maker = maker
        self.path = path
        self.tally = Tally()

    def one(self, *, fault: str = "-", point: str = "-", words: int | None = None) -> None:
        """One process: killed after it said ``words`` lines, or by itself at ``point``."""
        assert self._maker.stdin is not None
        assert self._maker.stdout is not None
        first = max(self.tally.accepted, default=0) + 10
        self._maker.stdin.write(f"{self.path} {first} {fault} {point}\n")
        self._maker.stdin.flush()
        pid = 0
        for said, line in enumerate(self._maker.stdout):
            word, key = line.split()
            if word == "P":
                pid = int(key)
            self.tally.hear(word, key)
            if word == "X":
                return
            if said == words:
                os.kill(pid, signal.SIGKILL)
        raise AssertionError("the maker of processes is gone")


@contextmanager
def victims(path: Path) -> Iterator[Victims]:
    """The maker of processes, waiting for orders."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.faults.outbox_writer"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as maker:
        made = Victims(maker, path)
        yield made
        assert maker.stdin is not None
        maker.stdin.close()
        assert maker.wait(10) == 0
    made.tally.look(path)


def kill_at_random(path: Path, kills: int, seed: int, fault: str = "-") -> Tally:
    """So many processes one after the other, each killed somewhere."""
    rng = random.Random(seed)
    with victims(path) as made:
        for _ in range(kills):
            made.one(fault=fault, words=rng.randrange(1, 160))
    return made.tally


@pytest.mark.timeout(600)
def test_f71_kills_at_random_lose_nothing(tmp_path: Path) -> None:
    """After 100 kills (1,000 in the long form) every accepted message was delivered or waits, in
    order, and at most 5 % of what the consumer gets it has had already.
    """
    tally = kill_at_random(tmp_path / "outbox.db", KILLS, 1)
    print(f"{tally.kills} kills, {len(tally.accepted)} accepted, {tally.duplicates:.1%} twice")
    assert tally.kills == KILLS
    assert len(set(tally.accepted)) == len(tally.accepted) > 20 * KILLS
    assert tally.lost == set()
    assert tally.duplicates <= 0.05
    assert tally.in_order()
    # At most the batch that was being stored at each kill is there without having been accepted.
    assert len(set(tally.waiting) - set(tally.accepted)) <= BATCH * KILLS


def test_f71_accepting_early_is_caught(tmp_path: Path) -> None:
    """The twin: who says accepted before the commit is found to lose messages."""
    assert len(kill_at_random(tmp_path / "outbox.db", 40, 2, "early").lost) > 0


@pytest.mark.parametrize("point", POINTS)
def test_f72_kills_at_named_points_lose_nothing(tmp_path: Path, point: str) -> None:
    """Killed before or after a commit, before or after the deletion of what was delivered, inside a
    checkpoint or an eviction, again and again: nothing is lost, and an eviction is undone.
    """
    with victims(tmp_path / "outbox.db") as made:
        for _ in range(AT_EACH_POINT):
            made.one(point=point)
    tally = made.tally
    assert tally.kills == AT_EACH_POINT
    assert tally.in_order()
    if point == "eviction":
        assert tally.first_seq == tally.evicted + 1 > 1
        assert {key for key in tally.accepted if key >= tally.waiting[0]} <= set(tally.waiting)
        assert max(tally.accepted) in tally.waiting
        return
    assert tally.lost == set()
    heard = tally.delivered + tally.waiting
    twice = len(heard) - len(set(heard))
    assert twice <= 2 * AT_EACH_POINT
    assert twice == 2 * AT_EACH_POINT or point != "delivered"


@pytest.mark.parametrize(("point", "fault"), [("before_commit", "early"), ("deleted", "hasty")])
def test_f72_broken_writers_are_caught_at_their_point(
    tmp_path: Path, point: str, fault: str
) -> None:
    """The twins: killed where it matters, they lose at each kill what was on its way."""
    with victims(tmp_path / "outbox.db") as made:
        for _ in range(5):
            made.one(point=point, fault=fault)
    assert len(made.tally.lost) >= 5
