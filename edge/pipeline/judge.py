"""One camera's tracker and rule: from results, which may come out of order, to alerts."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from edge.health import CameraHealth
from edge.messages import StationInfo, encode_alert, encode_state
from edge.pipeline.line import Entry, LineDesk
from edge.protocols import Rule, Tracker
from edge.records import Alert, Frame, Message, Observation, Track

AHEAD = 16
"""How many tickets a worker may be ahead of the one that is due."""

Observer = Callable[[Frame, Observation, Sequence[Track], Sequence[Alert]], None]
"""Told of each judged frame, on the thread of the rule's owner."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one ticket of the mailbox.

    ``observation`` is None when the frame was not judged (stale, NaN, a failure), or when the
    ticket said that the camera has ended (``ended``). ``frame`` is for the observer.
    """

    frame: Frame | None = None
    observation: Observation | None = None
    ended: bool = False


class Judge:
    """Owns a camera's tracker and rule.

    Workers deliver outcomes as they finish. They are put back into the order of their tickets:
    what comes early waits, and the worker that delivers the missing one judges all that follow.
    Whoever judges holds the lock, so at any time the tracker and the rule have one owner. What
    waits is bounded, for a worker asks :meth:`in_reach` before it works on a frame, and holds
    pixels only when there is an observer to see them.

    Parameters
    ----------
    camera
        The camera's id.
    tracker, rule
        Used under the lock only.
    station
        Gives the context that messages are encoded in.
    store
        Takes the alerts' messages for the outbox; what is handed over together is committed
        together.
    publish
        Takes the camera's retained state.
    health
        The camera's counters.
    line
        The factory line under this camera; None of any other camera.
    observer
        Told of each judged frame; what it raises is logged, once, and harms nothing.
    """

    def __init__(
        self,
        camera: str,
        tracker: Tracker,
        rule: Rule,
        *,
        station: Callable[[], StationInfo],
        store: Callable[..., None],
        publish: Callable[[Message], None],
        health: CameraHealth,
        line: LineDesk | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.camera = camera
        self._tracker = tracker
        self._rule = rule
        self._station = station
        self._store = store
        self._publish = publish
        self._health = health
        self._line = line
        self._observer = observer
        self._lock = threading.Condition(threading.Lock())
        self._early: dict[int, Outcome] = {}
        self._next = 0
        self._finished = False
        self._open: set[str] = set()
        self._total = 0

    def in_reach(self, ticket: int, timeout_s: float) -> bool:
        """Whether a ticket is less than ``AHEAD`` tickets from the one that is due; waits for that.

        Who has the ticket that is due never waits here, so the others do not wait for ever.
        """
        with self._lock:
            return self._lock.wait_for(lambda: ticket < self._next + AHEAD, timeout_s)

    def deliver(self, ticket: int, outcome: Outcome) -> None:
        """Every ticket must be delivered exactly once, whatever happened to its frame."""
        if self._observer is None:
            outcome = replace(outcome, frame=None)
        with self._lock:
            self._early[ticket] = outcome
            try:
                while (due := self._early.pop(self._next, None)) is not None:
                    self._next += 1
                    self._judge(due)
            finally:
                self._lock.notify_all()

    def finish(self, timeout_s: float) -> bool:
        """End every open alert, also when the camera's last ticket never comes: its workers died.

        Harmless when the camera has ended already. What is delivered afterwards is not judged.
        False when a worker holds the tracker and the rule for longer than ``timeout_s``.
        """
        if not self._lock.acquire(timeout=timeout_s):
            return False
        try:
            self._finish()
        finally:
            self._lock.release()
        return True

    def announce(self, last: Alert | None = None) -> None:
        """Publish the camera's retained summary."""
        self._publish(
            encode_state(
                self._station(),
                self.camera,
                open_alerts=len(self._open),
                alerts_total=self._total,
                last=last,
                now=datetime.now(UTC),
            )
        )

    def _finish(self) -> None:
        if not self._finished:
            self._finished = True
            alerts = self._rule.finish()
            if self._line is not None:
                alerts = self._line.placed(alerts)
            self._send(alerts)

    def _judge(self, outcome: Outcome) -> None:
        if outcome.ended:
            self._finish()
        frame, observation = outcome.frame, outcome.observation
        if observation is None or self._finished:
            return
        tracks = self._tracker.update(observation)
        alerts = self._rule.update(observation, tracks)
        if self._line is None:
            self._send(alerts)
        else:
            self._line.judged(observation, alerts, self._send)
        self._health.judged((time.monotonic_ns() - observation.header.captured_ns) / 1e6)
        if self._observer is not None and frame is not None:
            try:
                self._observer(frame, observation, tracks, alerts)
            except Exception:  # noqa: BLE001 - a spectator must not harm the station
                _log.exception(
                    "camera %s: the observer failed and is not called again", self.camera
                )
                self._observer = None

    def _send(self, alerts: Sequence[Alert], entries: Sequence[Entry] = ()) -> None:
        station, now_ns = self._station(), time.monotonic_ns()
        messages = [encode_alert(alert, station, encoded_ns=now_ns) for alert in alerts]
        if messages or entries:
            self._store(*messages, *entries)
        for alert in alerts:
            if alert.phase == "new":
                self._open.add(alert.id)
                self._total += 1
            elif alert.phase == "end":
                self._open.discard(alert.id)
            _log.info(
                "camera %s: alert %s %s: %s %.2f",
                self.camera,
                alert.id,
                alert.phase,
                alert.label,
                alert.score,
            )
        changes = [alert for alert in alerts if alert.phase != "update"]
        if changes:
            self.announce(changes[-1])
