"""The factory line in the service: who may touch it when, and its thread."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from edge.errors import LotAbsent
from edge.health import LineHealth
from edge.inbox import CommandRefused
from edge.messages import StationInfo, encode_lot, encode_lot_report, encode_verdict
from edge.protocols import Encoder, Line, LineInput, LineOutput
from edge.records import (
    Alert,
    Command,
    LineEvent,
    LineSample,
    LotEnded,
    LotEntry,
    LotForgotten,
    LotReport,
    LotTotals,
    Message,
    Observation,
    Verdict,
)

LONGEST_NAME = 64

ARCHIVE_S = 300.0
"""How long a report waits for a disk that does not take its files."""

ARCHIVE_RETRY_S = 10.0
"""Between two attempts."""

Entry = LotEntry | LotForgotten

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LineParts:
    """What a line is put together from.

    Parameters
    ----------
    line
        Its state.
    archive
        Keeps a report's files for people; what it raises of ``OSError`` is logged.
    encoder
        Counts the strip; None where samples come in, or a speed is known.
    open_gate
        Opens the output that is on while the strip at the gate may pass; None without one.
    open_lots
        Opens the input that is on while a lot runs; None without one.
    """

    line: Line
    archive: Callable[[LotReport], object]
    encoder: Encoder | None = None
    open_gate: Callable[[], LineOutput] | None = None
    open_lots: Callable[[], LineInput] | None = None


@dataclass(slots=True)
class _Over:
    """A lot that is to be reported; ``since`` and ``again`` are monotonic seconds."""

    key: str
    since: float
    again: float = 0.0


class LineDesk:
    """The line of a station.

    Whoever uses it holds its lock: the owner of the camera's rule with a judged frame, the control
    step with a command, the line's own thread with the time that passes. What it says is put in
    order while the lock is held: the diary of a lot must not arrive behind its report.

    Parameters
    ----------
    parts
        What it is made of.
    station
        Gives the context that messages are encoded in.
    new_id
        Gives each lot its id.
    store
        Takes what goes to the disk; what is handed over together is committed together.
    publish
        Takes verdicts and the retained lot.
    health
        Where the line's state is told.
    """

    def __init__(
        self,
        parts: LineParts,
        *,
        station: Callable[[], StationInfo],
        new_id: Callable[[], str],
        store: Callable[..., None],
        publish: Callable[[Message], None],
        health: LineHealth,
    ) -> None:
        self.camera = parts.line.camera
        self._parts = parts
        self._line = parts.line
        self._station = station
        self._new_id = new_id
        self._store = store
        self._publish = publish
        self._health = health
        self._lock = threading.Lock()
        self._ended: deque[_Over] = deque()
        self._without_start = self._bad_samples = 0

    # Before the threads start.

    def restore(self, entries: Sequence[LotEntry]) -> None:
        """Take up the lots of an earlier run of the service."""
        with self._lock:
            self._say(self._line.restore(entries, datetime.now(UTC)))
            if entries and self._line.lot is not None:
                _log.warning("lot %s goes on", self._line.lot)

    # The owner of the camera's rule.

    def judged(
        self,
        observation: Observation,
        alerts: Sequence[Alert],
        send: Callable[[Sequence[Alert], Sequence[Entry]], None],
    ) -> None:
        """Take in a judged frame; ``send`` gets the alerts with their places, and what is to be
        stored with them.
        """
        with self._lock:
            placed, events = self._line.observe(observation, alerts)
            send(placed, [one for one in events if isinstance(one, Entry)])
            self._say([one for one in events if not isinstance(one, Entry)])

    def placed(self, alerts: Sequence[Alert]) -> tuple[Alert, ...]:
        """Alerts that end because the camera stops, with their places."""
        with self._lock:
            return self._line.place(alerts)

    @property
    def lot(self) -> str | None:
        """Name of the open lot."""
        with self._lock:
            return self._line.lot

    def flush(self) -> None:
        """No frame comes any more."""
        with self._lock:
            self._say(self._line.flush())

    # The control step.

    def tell(self, sample: LineSample) -> None:
        """Take a sample of the strip's movement that came in; one that is none is counted."""
        try:
            self._line.tell(sample)
        except (TypeError, ValueError) as error:
            self._bad_samples += 1
            _log.debug("line: %s", error)

    def carry_out(self, command: Command) -> dict[str, str]:
        """Start or end a lot; the data of the reply.

        Raises
        ------
        CommandRefused
            The lot has no name, or there is none to end.
        """
        if command.verb == "lot_end":
            try:
                return {"lot": self.end_lot(command.received_ns)}
            except LotAbsent as error:
                raise CommandRefused("no_lot", error.message, command=command) from error
        name = command.arguments.get("lot")
        if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
            raise CommandRefused(
                "bad_argument",
                f"lot_start: needs lot, a name of 1 to {LONGEST_NAME} printable characters",
                command=command,
            )
        self.start_lot(name, command.received_ns)
        return {"lot": name}

    def start_lot(self, name: str, at_ns: int) -> None:
        """Begin a lot at a moment of the monotonic clock; one that is open ends."""
        with self._lock:
            self._say(self._line.start_lot(self._new_id(), name, datetime.now(UTC), at_ns))
        _log.info("lot %s: started", name)

    def end_lot(self, at_ns: int) -> str:
        """End the open lot; its name.

        Raises
        ------
        LotAbsent
            There is none; it is counted.
        """
        with self._lock:
            name = self._line.lot
            try:
                self._say(self._line.end_lot(datetime.now(UTC), at_ns))
            except LotAbsent:
                self._without_start += 1
                raise
        _log.info("lot %s: ended", name)
        return name or ""

    # The main thread.

    def report(self, *, last: bool = False) -> None:
        """Report the lots that are over: files for people, then the message for the outbox.

        While the files cannot be written the report waits, for some minutes at most; ``last``: it
        does not, for the diary on the disk keeps the lot until the next start.
        """
        now = time.monotonic()
        for _ in range(len(self._ended)):
            over = self._ended.popleft()
            if now < over.again and not last:
                self._ended.append(over)
                continue
            report = self._line.report(over.key)
            try:
                self._parts.archive(report)
            except OSError as error:
                _log.error("lot %s: its files cannot be written: %s", report.name, error)
                self._health.failing("lots", f"files of lot {report.name}: {error}")
                if last:
                    continue
                if now - over.since < ARCHIVE_S:
                    over.again = now + ARCHIVE_RETRY_S
                    self._ended.append(over)
                    continue
            else:
                self._health.failing("lots", None)
            message = encode_lot_report(
                report, self._station(), now=datetime.now(UTC), now_ns=time.monotonic_ns()
            )
            with self._lock:
                self._store(message, LotForgotten(over.key))
                self._line.reported(over.key)
            _log.info("lot %s: %s", report.name, report.data["grade"]["verdict"])

    # The line's own thread.

    def pass_time(self, now_ns: int) -> bool:
        """What the time brings; whether the strip at the gate may pass."""
        with self._lock:
            self._say(self._line.pass_time(now_ns))
            return self._line.may_pass(now_ns)

    def count(self) -> None:
        """Tell the health what went wrong up to now."""
        with self._lock:
            counts = dict(self._line.counts)
            lot = self._line.lot
        counts["lot_end_without_start"] = self._without_start
        counts["bad_sample"] = self._bad_samples
        self._health.counted(counts, lot)

    # With the lock held.

    def _say(self, events: Sequence[LineEvent]) -> None:
        """Hand on what the line says, in its order."""
        entries = [one for one in events if isinstance(one, Entry)]
        if entries:
            self._store(*entries)
        now = datetime.now(UTC)
        for event in events:
            match event:
                case Verdict():
                    self._publish(encode_verdict(event, self._station(), now=now))
                case LotTotals():
                    self._publish(encode_lot(event, self._station(), now=now))
                case LotEnded(key):
                    self._ended.append(_Over(key, time.monotonic()))
                case LotEntry() | LotForgotten():
                    pass
