"""The outbox thread: the only one that touches the database.

Messages come in through a short queue in memory and are committed in groups: whatever came while
the last commit ran is the next group, so a lone message does not wait for company. Going out, a
few rows at a time are read ahead for the publish thread; a row stays on disk until that thread
says that the broker has it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from edge.errors import OutboxError
from edge.health import OutboxHealth
from edge.outbox import Outbox, Row
from edge.pipeline.ahead import ReadAhead
from edge.pipeline.ids import BLOCK, AlertIds
from edge.records import Confirmation, LotEntry, LotForgotten, Message, OutboxStatus
from edge.stage import Stage

Stored = Message | LotEntry | LotForgotten
"""What goes to the disk."""

QUEUE = 1000
"""Messages, or groups of them, that wait in memory for the disk; then the oldest gives way."""
GROUP = 16
"""Messages in one commit."""
ACK_GROUP = 64
ACK_DELAY_S = 1.0
"""Acknowledged rows are deleted in groups of so many, or after so long."""
CONFIRMATIONS = 1000
"""Topics with a confirmation that waits."""
RETRY_S = 1.0
"""Between two attempts to use a disk that fails."""
COUNT_S = 1.0
"""Between two readings of the outbox's counters."""

_log = logging.getLogger(__name__)


class Store:
    """Hands messages to the disk, and rows from the disk to the publish thread.

    Parameters
    ----------
    open_outbox
        Opens the database; called on the outbox thread, again after the disk failed.
    health
        Where failures and counters are told.
    ids
        Supplied with blocks of alert numbers.
    on_rows
        Called when there is something new for the publish thread.
    """

    def __init__(
        self,
        open_outbox: Callable[[], Outbox],
        health: OutboxHealth,
        ids: AlertIds,
        on_rows: Callable[[], None],
    ) -> None:
        self.ready = threading.Event()
        self.accepted = 0
        self.lots: tuple[LotEntry, ...] = ()
        """Diaries of the lots of an earlier run; there when ``ready``."""
        self.rows = ReadAhead(self.wake)
        self._open_outbox = open_outbox
        self._health = health
        self._ids = ids
        self._on_rows = on_rows
        self._work = threading.Condition()
        ids.on_low = self.wake
        # Guarded by _work.
        self._incoming: deque[tuple[Stored, ...]] = deque()
        self._storing = 0
        self._acks: list[tuple[Row, bool]] = []
        self._acked_since = 0.0
        self._burials: list[tuple[Row, str]] = []
        self._confirmations: dict[tuple[str, str], int] = {}  # (epoch, topic) → seq
        self._dropped: dict[str, int] = {}  # by topic, committed
        # The outbox thread's own.
        self._counted = 0.0

    # Any thread.

    def put(self, *items: Stored) -> None:
        """Queue what belongs together for the disk: one commit takes all of it or nothing. Never
        waits. The oldest gives way when memory is full.
        """
        with self._work:
            if len(self._incoming) >= QUEUE:
                gone = self._incoming.popleft()
                self._health.lose(sum(isinstance(item, Message) for item in gone))
            self._incoming.append(items)
            self._work.notify()

    def wake(self) -> None:
        """Make the outbox thread look at what is to be done."""
        with self._work:
            self._work.notify()

    # The publish thread.

    def ack(self, row: Row, *, no_subscriber: bool) -> None:
        """The broker has this row: delete it soon."""
        if not self.rows.is_out(row):
            return
        with self._work:
            if not self._acks:
                self._acked_since = time.monotonic()
            self._acks.append((row, no_subscriber))
            if len(self._acks) >= ACK_GROUP:
                self._work.notify()

    def confirm(self, confirmation: Confirmation) -> None:
        """A consumer has these rows: delete them soon."""
        key = (confirmation.epoch, confirmation.topic)
        with self._work:
            # Those of other epochs confirm nothing: a stranger's must not pile up.
            if key in self._confirmations or len(self._confirmations) < CONFIRMATIONS:
                before = self._confirmations.get(key, 0)
                self._confirmations[key] = max(before, confirmation.seq)
            self._work.notify()

    def bury(self, row: Row, error: str) -> None:
        """The broker will never take this row: put it aside."""
        if not self.rows.is_out(row):
            return
        with self._work:
            self._burials.append((row, error))
            self._work.notify()

    def dropped_total(self, topic: str) -> int:
        """Messages of a topic that were evicted or buried up to now, in this epoch.

        Burials that wait for the disk count: the next message must announce the gap.
        """
        with self._work:
            waiting = sum(row.message.topic == topic for row, _ in self._burials)
            return self._dropped.get(topic, 0) + waiting

    @property
    def drained(self) -> bool:
        """Whether nothing waits to be stored or sent, but for parked topics."""
        with self._work:
            if self._incoming or self._storing:
                return False
        return self.rows.drained

    # The outbox thread.

    def run(self, stage: Stage) -> None:
        """The thread's body: until it is stopped and everything that came in is stored.

        Raises
        ------
        OutboxError
            The database cannot be opened at the start.
        """
        outbox = self._open_outbox()
        try:
            self._supply_ids(outbox)
            self._note_damage(outbox)
            self._count(outbox)
            self._note_drops(outbox)
            self.lots = tuple(outbox.lots())
            self.ready.set()
            while True:
                stage.beat()
                self._await_work(stage)
                try:
                    self._step(outbox, stopping=stage.stopping)
                except OutboxError as error:
                    outbox = self._recover(stage, outbox, error)
                if stage.stopping and not self._has_work(stopping=True):
                    return
        finally:
            outbox.close()

    def _has_work(self, *, stopping: bool) -> bool:
        due = self._acks and (
            stopping
            or len(self._acks) >= ACK_GROUP
            or time.monotonic() - self._acked_since >= ACK_DELAY_S
        )
        ahead = self.rows.low and not stopping
        return bool(
            self._incoming or due or self._burials or self._confirmations or ahead or self._ids.low
        )

    def _await_work(self, stage: Stage) -> None:
        with self._work:
            if not stage.stopping and not self._has_work(stopping=False):
                self._work.wait(ACK_DELAY_S / 2)

    def _step(self, outbox: Outbox, *, stopping: bool) -> None:
        self._append(outbox)
        self._delete(outbox, stopping=stopping)
        self._confirm(outbox)
        if self.rows.fill(outbox.peek):
            self._on_rows()
        if self._ids.low:
            self._supply_ids(outbox)
        if time.monotonic() - self._counted >= COUNT_S or stopping:
            self._count(outbox)

    def _append(self, outbox: Outbox) -> None:
        with self._work:
            group = [self._incoming.popleft() for _ in range(min(GROUP, len(self._incoming)))]
            self._storing = len(group)
        if not group:
            return
        messages = [item for items in group for item in items if isinstance(item, Message)]
        lots = [item for items in group for item in items if not isinstance(item, Message)]
        try:
            outbox.append(messages, lots)
        except OutboxError:
            with self._work:
                self._incoming.extendleft(reversed(group))
                self._storing = 0
            raise
        self._note_drops(outbox)
        with self._work:  # accepted: the commit has returned
            self.accepted += len(messages)
            self._storing = 0
            self.rows.extended()

    def _delete(self, outbox: Outbox, *, stopping: bool) -> None:
        with self._work:
            burials = list(self._burials)
            waited = time.monotonic() - self._acked_since
            due = stopping or len(self._acks) >= ACK_GROUP or waited >= ACK_DELAY_S
            acks: list[tuple[Row, bool]] = []
            if due:
                acks, self._acks = self._acks, []
        try:
            if acks:
                unheard = sum(no_subscriber for _, no_subscriber in acks)
                outbox.ack([row.row for row, _ in acks], no_subscriber=unheard)
            for row, error in burials:
                outbox.bury(row.row, error)
                self._note_drops(outbox, buried=row)
                self.rows.deleted([row])
        except OutboxError:
            with self._work:  # deleting twice does no harm, not deleting would send twice
                self._acks[:0] = acks
            raise
        self.rows.deleted(row for row, _ in acks)

    def _confirm(self, outbox: Outbox) -> None:
        """One at a time, so that alerts are stored in between."""
        with self._work:
            if not self._confirmations:
                return
            (epoch, topic), seq = next(iter(self._confirmations.items()))
            del self._confirmations[epoch, topic]
        confirmation = Confirmation(epoch, topic, seq)
        try:
            self.rows.confirmed(outbox.confirm(confirmation))
        except OutboxError:
            self.confirm(confirmation)  # deleting twice does no harm
            raise

    def _note_drops(self, outbox: Outbox, *, buried: Row | None = None) -> None:
        """After a commit: what it lost, so that the next message that is sealed says so."""
        dropped = outbox.dropped()
        with self._work:  # at once, so that a burial counts neither twice nor not at all
            self._dropped = dropped
            if buried is not None:
                self._burials = [one for one in self._burials if one[0] is not buried]

    def _supply_ids(self, outbox: Outbox) -> None:
        while self._ids.low:
            self._ids.give(outbox.epoch, outbox.reserve_ids(BLOCK))

    def _count(self, outbox: Outbox) -> None:
        self._counted = time.monotonic()
        c = outbox.counters()
        self._health.counted(
            OutboxStatus(
                rows=c.rows,
                bytes=c.bytes,
                oldest_s=c.oldest_s,
                dropped_oldest=c.dropped_oldest,
                dead=c.dead,
                no_subscriber=c.no_subscriber,
                duplicates_possible=0,
            )
        )

    def _recover(self, stage: Stage, outbox: Outbox, error: OutboxError) -> Outbox:
        """Keep trying to open the database anew: after a failed fsync the old one must not be
        trusted (a repeated fsync says "done" for pages that the kernel has thrown away).
        """
        _log.error("outbox: %s; alerts wait in memory", error)
        epoch = outbox.epoch
        while True:
            self._health.failing(error.message)
            outbox.close()
            if stage.wait(RETRY_S):
                raise error
            stage.beat()
            try:
                outbox = self._open_outbox()
                self._reopened(outbox, replaced=outbox.epoch != epoch)
                epoch = outbox.epoch
                # Reading works on a full disk: writing is what counts, and that whatever failed
                # does not fail again in the next moment.
                outbox.probe()
                self._append(outbox)
                self._delete(outbox, stopping=True)
                self._count(outbox)
            except OutboxError as again:
                error = again
                continue
            _log.warning("outbox: works again")
            return outbox

    def _note_damage(self, outbox: Outbox) -> None:
        """Tell the health of a file that was set aside, and what came out of it."""
        if outbox.damaged is not None:
            saved = outbox.counters().salvaged
            self._health.damaged(f"moved to {outbox.damaged.name}, {saved} entries salvaged")

    def _reopened(self, outbox: Outbox, *, replaced: bool) -> None:
        """What was to be deleted stays to be deleted, unless its database is no longer there."""
        if replaced:
            with self._work:
                self._acks, self._burials = [], []
        self._note_drops(outbox)
        self._note_damage(outbox)
        self.rows.restart(replaced=replaced)
