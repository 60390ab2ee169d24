"""Alert ids."""

from __future__ import annotations

import re

from edge.pipeline.ids import BLOCK, AlertIds

EPOCH = "0123456789abcdef"


def test_ids_come_from_the_blocks_in_order() -> None:
    """Numbers of one block, then of the next, each with its block's epoch."""
    ids = AlertIds()
    ids.give(EPOCH, range(1, 3))
    ids.give("f" * 16, range(7, 8))
    assert [ids.next() for _ in range(3)] == [f"{EPOCH}-1", f"{EPOCH}-2", f"{'f' * 16}-7"]


def test_without_a_block_ids_are_unique_all_the_same() -> None:
    """A disk that is away stops no rule: ids then carry an epoch that is never stored."""
    ids = AlertIds()
    made = [ids.next() for _ in range(5)]
    assert len(set(made)) == 5
    assert all(re.fullmatch(r"[0-9a-f]{16}-[0-9]+", one) for one in made)
    assert AlertIds().next().split("-")[0] != made[0].split("-")[0]
    ids.give(EPOCH, range(5, 6))
    assert ids.next() == f"{EPOCH}-5"


def test_another_block_is_asked_for_at_half() -> None:
    """The outbox thread is called once, when half a block is left."""
    ids = AlertIds()
    calls: list[bool] = []
    ids.on_low = lambda: calls.append(ids.low)
    assert ids.low
    ids.give(EPOCH, range(BLOCK))
    assert not ids.low
    for _ in range(BLOCK // 2 - 1):
        ids.next()
    assert calls == []
    ids.next()
    assert calls == [True]
    ids.next()
    assert calls == [True]
