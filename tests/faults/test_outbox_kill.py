"""kill -9 at random points: what was accepted is delivered or still there (F71)."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

from edge.outbox import Outbox

WRITER = Path(__file__).with_name("outbox_writer.py")
KILLS = 10


def losses(database: Path, *, early: bool, seed: int) -> tuple[int, int]:
    """Kill a writer several times; returns how many it had accepted and how many are lost."""
    rng = random.Random(seed)
    accepted: list[int] = []
    delivered: set[int] = set()
    first = 1
    for _ in range(KILLS):
        command = [sys.executable, str(WRITER), str(database), str(first)]
        with subprocess.Popen(
            [*command, *(["early"] if early else [])],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
            env={"PYTHONPATH": str(Path(__file__).parents[2])},
        ) as writer:
            assert writer.stdout is not None
            words = []
            for _ in range(rng.randrange(1, 60)):
                words.append(writer.stdout.readline().split())
            writer.kill()
            words += [line.split() for line in writer.stdout]
        for word, key in (pair for pair in words if len(pair) == 2):
            accepted += [int(key)] if word == "A" else []
            delivered |= {int(key)} if word == "D" else set()
        first = max(accepted) + 10
    outbox = Outbox.open(database, boot_id="b")
    waiting = [int(str(row.message.id)) for row in outbox.peek(100_000)]
    outbox.close()
    assert waiting == sorted(waiting), "out of order"
    assert len(set(waiting)) == len(waiting), "stored twice"
    # At most the batch that was being stored at each kill is there without having been accepted.
    assert len(set(waiting) - set(accepted)) <= 3 * KILLS
    return len(accepted), len(set(accepted) - delivered - set(waiting))


def test_nothing_accepted_is_lost(tmp_path: Path) -> None:
    """After 10 kills every accepted message was delivered or waits, in order, once."""
    accepted, lost = losses(tmp_path / "outbox.db", early=False, seed=1)
    assert accepted >= 3 * KILLS
    assert lost == 0


def test_accepting_early_is_caught(tmp_path: Path) -> None:
    """The twin: a writer that says accepted before the commit is found to lose messages."""
    _, lost = losses(tmp_path / "outbox.db", early=True, seed=2)
    assert lost > 0
