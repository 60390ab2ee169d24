"""The outbox behaves like a list in memory, whatever happens in whatever order."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from edge.outbox import Outbox, Row
from edge.outbox.change import Change
from edge.records import Confirmation, LotEntry, LotForgotten, Message

MAX_ROWS = 12
MAX_BYTES = 64 << 10
TOPICS = ("a", "b")


@dataclass
class Model:
    """What a correct outbox would hold: (topic, id, rev, seq, size), oldest first."""

    rows: list[tuple[str, str, int, int, int]] = field(default_factory=list)
    seqs: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    dropped_oldest: int = 0
    dead: int = 0
    next_id: int = 1
    lots: set[tuple[str, int]] = field(default_factory=set)

    def append(self, batch: list[tuple[str, str, int, int]]) -> None:
        """Store, then evict the oldest until it fits."""
        for topic, key, rev, size in batch:
            if any(row[:3] == (topic, key, rev) for row in self.rows):
                continue
            self.seqs[topic] = self.seqs.get(topic, 0) + 1
            self.rows.append((topic, key, rev, self.seqs[topic], size))
        while len(self.rows) > MAX_ROWS or sum(row[4] for row in self.rows) > MAX_BYTES:
            self.lose(0)
            self.dropped_oldest += 1

    def lose(self, index: int) -> None:
        """Take a row out that no consumer will get."""
        topic = self.rows.pop(index)[0]
        self.dropped[topic] = self.dropped.get(topic, 0) + 1


class OutboxMachine(RuleBasedStateMachine):
    """Every method in every order, with restarts between."""

    kind: type[Outbox] = Outbox

    @initialize()
    def start(self) -> None:
        self.directory = tempfile.TemporaryDirectory()
        self.path = Path(self.directory.name) / "outbox.db"
        self.model = Model()
        self.opened = self._open()
        self.epoch = self.opened.epoch

    def _open(self) -> Outbox:
        return self.kind.open(self.path, max_rows=MAX_ROWS, max_bytes=MAX_BYTES, boot_id="b")

    @rule(
        batch=st.lists(
            st.tuples(
                st.sampled_from(TOPICS),
                st.integers(1, 30).map(str),
                st.integers(1, 3),
                st.sampled_from([2, 100, 9_000, 30_000]),
            ),
            max_size=5,
        )
    )
    def append(self, batch: list[tuple[str, str, int, int]]) -> None:
        """Store a batch."""
        self.model.append(batch)
        added = self.opened.append(
            [
                Message(topic, b"x" * size, way="outbox", id=key, rev=rev)
                for topic, key, rev, size in batch
            ]
        )
        held = {row[:4] for row in self.model.rows}
        for row in added:
            message = row.message
            assert (message.topic, message.id, message.rev, message.seq) in held

    @rule(
        lot=st.sampled_from(TOPICS),
        numbers=st.lists(st.integers(0, 9), max_size=3),
        report=st.booleans(),
    )
    def diary(self, lot: str, numbers: list[int], report: bool) -> None:
        """Write into a lot's diary; its report takes it away."""
        self.model.lots |= {(lot, number) for number in numbers}
        if report:
            self.model.lots = {one for one in self.model.lots if one[0] != lot}
        entries = [LotEntry(lot, number, "{}") for number in numbers]
        self.opened.append([], [*entries, *([LotForgotten(lot)] if report else [])])

    @rule(topic=st.sampled_from(TOPICS), seq=st.integers(0, 40), stale=st.booleans())
    def confirm(self, topic: str, seq: int, stale: bool) -> None:
        """A consumer has all of a topic up to a number; of another epoch it means nothing."""
        gone = [row for row in self.model.rows if row[0] == topic and row[3] <= seq and not stale]
        self.model.rows = [row for row in self.model.rows if row not in gone]
        epoch = "another" if stale else self.epoch
        assert len(self.opened.confirm(Confirmation(epoch, topic, seq))) == len(gone)

    @rule(data=st.data())
    def ack(self, data: st.DataObject) -> None:
        """Acknowledge any of the rows, and some that are not there."""
        indices = st.sets(st.integers(0, len(self.model.rows)), max_size=4)
        chosen = sorted(data.draw(indices), reverse=True)
        rows = self.opened.peek(100)
        self.opened.ack([rows[index].row if index < len(rows) else 10**9 for index in chosen])
        for index in chosen:
            if index < len(self.model.rows):
                del self.model.rows[index]

    @rule(data=st.data())
    def bury(self, data: st.DataObject) -> None:
        """Bury a row."""
        rows = self.opened.peek(100)
        if not rows:
            return
        index = data.draw(st.integers(0, len(rows) - 1))
        self.opened.bury(rows[index].row, "no")
        self.model.lose(index)
        self.model.dead += 1

    @rule(count=st.integers(1, 5))
    def reserve(self, count: int) -> None:
        """Reserve alert numbers."""
        first = self.model.next_id
        self.model.next_id += count
        assert self.opened.reserve_ids(count) == range(first, first + count)

    @rule()
    def reopen(self) -> None:
        """Restart."""
        self.opened.close()
        self.opened = self._open()

    @invariant()
    def agrees(self) -> None:
        """Rows, order, seqs and counters are those of the model."""
        if not hasattr(self, "opened"):
            return
        rows = self.opened.peek(1000)
        assert [
            (r.message.topic, r.message.id, r.message.rev, r.message.seq, len(r.message.payload))
            for r in rows
        ] == self.model.rows
        assert all(r.dropped_total == self.model.dropped.get(r.message.topic, 0) for r in rows)
        assert [(one.lot, one.number) for one in self.opened.lots()] == sorted(self.model.lots)
        counters = self.opened.counters()
        assert counters.rows == len(self.model.rows)
        assert counters.bytes == sum(row[4] for row in self.model.rows)
        assert counters.dropped_oldest == self.model.dropped_oldest
        assert counters.dead == self.model.dead
        assert self.opened.epoch == self.epoch

    def teardown(self) -> None:
        """Close and clean up."""
        if hasattr(self, "opened"):
            self.opened.close()
            self.directory.cleanup()


class Forgetful(Outbox):
    """Evicts without telling: the counters and ``dropped_total`` stay as they were."""

    def _evict(self, change: Change) -> None:
        lost = Change(self._meta.get)
        lost.rows, lost.bytes = change.rows, change.bytes
        super()._evict(lost)
        change.rows, change.bytes = lost.rows, lost.bytes


class Hasty(Outbox):
    """Deletes a message when it is handed out, before anybody has acknowledged it."""

    def peek(self, limit: int, after_row: int = 0) -> list[Row]:
        rows = super().peek(limit, after_row)
        if rows:
            self.ack([rows[0].row])
        return rows


class Repeating(Outbox):
    """Gives the same ``seq`` again after a restart."""

    def _load(self) -> None:
        super()._load()
        self._meta = {key: n for key, n in self._meta.items() if not key.startswith("seq:")}


class Lagging(Outbox):
    """Forgets what was acknowledged."""

    def ack(self, rows: Iterable[int], *, no_subscriber: int = 0) -> None:
        super().ack([], no_subscriber=no_subscriber)


@pytest.mark.parametrize("kind", [Forgetful, Hasty, Repeating, Lagging])
def test_a_broken_outbox_is_caught(kind: type[Outbox]) -> None:
    """The twins: one that does not count what it evicts, deletes before the acknowledgement, gives
    a ``seq`` twice or keeps what was acknowledged differs from the model.
    """
    broken = type("BrokenMachine", (OutboxMachine,), {"kind": kind})
    with pytest.raises(AssertionError):
        run_state_machine_as_test(
            broken,
            settings=settings(
                max_examples=200,
                stateful_step_count=15,
                deadline=None,
                phases=[Phase.generate],
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )


TestOutboxModel = OutboxMachine.TestCase
TestOutboxModel.settings = settings(
    max_examples=500,
    stateful_step_count=15,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
