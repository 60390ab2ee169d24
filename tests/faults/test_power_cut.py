"""The power goes at any moment of a busy outbox (F64): what was accepted is there afterwards."""

from __future__ import annotations

import bisect
import random
import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.outbox import Outbox
from tests.faults.workload import MAX_ROWS, State, Step, Workload
from tests.helpers.apsw_connection import connector
from tests.helpers.disk import Disk
from tests.helpers.long import LONG

CUTS = 20_000 if LONG else 1_000
EACH = 250
"""Cuts of one run of the workload."""
STEPS = 150


@pytest.fixture
def ram(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: only the imagined disk's syncs count."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as folder:
        yield Path(folder)


def cut_many(folder: Path, cuts: int, seed: int, *, synchronous: str = "FULL") -> Counter[str]:
    """Work, cut the power at ``cuts`` moments, open what is left; returns what was found."""

    def rewrite(sql: str) -> str:
        return re.sub("synchronous=(FULL|NORMAL)", f"synchronous={synchronous}", sql)

    switch = str if synchronous == "FULL" else rewrite
    found: Counter[str] = Counter()
    disk = Disk(f"cut-{seed}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edge.outbox.database.connect", connector(disk.vfs.name, switch))
        workload = Workload(folder / "work" / "outbox.db", seed, lambda: len(disk.log))
        steps = workload.run(STEPS)
    disk.vfs.unregister()
    rng = random.Random(seed)
    points = sorted(rng.randint(0, len(disk.log)) for _ in range(cuts))
    left = folder / "left"
    left.mkdir(parents=True)
    for point, files in disk.cuts(points, rng):
        for name, content in files.items():
            (left / name).write_bytes(content)
        last = disk.log[point - 1] if point else None
        found["in a checkpoint"] += last is not None and last.what == "write" and last.file == 1
        found.update(judge(left, steps, point))
        for file in left.iterdir():
            file.unlink()
    left.rmdir()
    return found


def judge(left: Path, steps: list[Step], point: int) -> list[str]:
    """What is wrong with the files that a cut left: lost, corrupt or strange; or nothing."""
    outbox = Outbox.open(left / "outbox.db", max_rows=MAX_ROWS, boot_id="b")
    state = State.of(outbox)
    outbox.close()
    if any(".corrupt-" in file.name for file in left.iterdir()):
        return ["cut", "corrupt"]
    done = bisect.bisect_right([step.at for step in steps], point)
    if done == 0:
        return ["cut", *(["strange"] if state.rows or state.lots else [])]
    wrong = ["cut"]
    # In plain words: what a call that returned has promised, but for what a later one took away.
    promised: set[object] = set()
    for step in steps[:done]:
        promised |= step.accepted
        promised -= step.gone
    for step in steps[done : done + 1]:
        promised -= step.gone
    if promised - {*state.rows, *state.lots}:
        wrong.append("lost")
    # And exactly: it is as it was after the last synced call, or after one of those that followed.
    firm = max(index for index in range(done) if steps[index].firm)
    states = [step.state for step in steps]
    if not state.rows and not state.lots and state.epoch != states[0].epoch:
        wrong.append("anew")
    elif state not in states[firm : done + 1]:
        wrong.append("old" if state in states[:firm] else "strange")
    return wrong


@pytest.mark.timeout(900)
def test_f64_power_cuts_lose_nothing(ram: Path) -> None:
    """After each of 1,000 cuts (20,000 in the long form) all that was accepted is there, in order,
    and the database is whole.
    """
    found: Counter[str] = Counter()
    for run in range(CUTS // EACH):
        found += cut_many(ram / f"{run}", EACH, run)
    print(dict(found))
    assert found.pop("cut") == CUTS
    assert found.pop("in a checkpoint") > CUTS // 100
    assert found == {}


def test_f64_commits_without_a_sync_are_caught(ram: Path) -> None:
    """The twin: with ``synchronous=NORMAL`` the same cuts lose messages, and damage nothing."""
    found = cut_many(ram / "twin", EACH, 99, synchronous="NORMAL")
    print(dict(found))
    assert found["lost"] > EACH // 4
    assert (found["corrupt"], found["strange"]) == (0, 0)


def test_f64_damage_by_a_cut_is_caught(ram: Path) -> None:
    """The other twin: with ``synchronous=OFF`` databases are found damaged."""
    found = cut_many(ram / "twin", EACH, 98, synchronous="OFF")
    print(dict(found))
    assert found["corrupt"] > 0
    assert found["lost"] > 0
