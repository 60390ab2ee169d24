"""One camera's tracker and rule: from results, which may come out of order, to alerts."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from edge.health import CameraHealth
from edge.messages import StationInfo, encode_alert, encode_state
from edge.protocols import Rule, Tracker
from edge.records import Alert, Frame, Message, Observation, Track

Observer = Callable[[Frame, Observation, Sequence[Track], Sequence[Alert]], None]
"""Told of each judged frame, on the thread of the rule's owner."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one ticket of the mailbox.

    ``observation`` is None when the frame was not judged (stale, NaN, a failure); ``frame`` is
    None as well when the ticket said that the camera has ended (``ended``).
    """

    frame: Frame | None = None
    observation: Observation | None = None
    ended: bool = False


class Judge:
    """Owns a camera's tracker and rule.

    Workers deliver outcomes as they finish. They are put back into the order of their tickets:
    what comes early waits, and the worker that delivers the missing one judges all that follow.
    Whoever judges holds the lock, so at any time the tracker and the rule have one owner. What
    waits is bounded: each other worker is at one frame, and a worker that hangs ends the process.

    Parameters
    ----------
    camera
        The camera's id.
    tracker, rule
        Used under the lock only.
    station
        Gives the context that messages are encoded in.
    store
        Takes the alerts' messages for the outbox.
    publish
        Takes the camera's retained state.
    health
        The camera's counters.
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
        store: Callable[[Message], None],
        publish: Callable[[Message], None],
        health: CameraHealth,
        observer: Observer | None = None,
    ) -> None:
        self.camera = camera
        self._tracker = tracker
        self._rule = rule
        self._station = station
        self._store = store
        self._publish = publish
        self._health = health
        self._observer = observer
        self._lock = threading.Lock()
        self._early: dict[int, Outcome] = {}
        self._next = 0
        self._open: set[str] = set()
        self._total = 0

    def deliver(self, ticket: int, outcome: Outcome) -> None:
        """Every ticket must be delivered exactly once, whatever happened to its frame."""
        with self._lock:
            self._early[ticket] = outcome
            while (due := self._early.pop(self._next, None)) is not None:
                self._next += 1
                self._judge(due)

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

    def _judge(self, outcome: Outcome) -> None:
        if outcome.ended:
            self._send(self._rule.finish())
            return
        frame, observation = outcome.frame, outcome.observation
        if frame is None or observation is None:
            return
        tracks = self._tracker.update(observation)
        alerts = self._rule.update(observation, tracks)
        self._send(alerts)
        self._health.judged((time.monotonic_ns() - frame.captured_ns) / 1e6)
        if self._observer is not None:
            try:
                self._observer(frame, observation, tracks, alerts)
            except Exception:  # noqa: BLE001 - a spectator must not harm the station
                _log.exception(
                    "camera %s: the observer failed and is not called again", self.camera
                )
                self._observer = None

    def _send(self, alerts: Sequence[Alert]) -> None:
        for alert in alerts:
            self._store(encode_alert(alert, self._station(), encoded_ns=time.monotonic_ns()))
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
