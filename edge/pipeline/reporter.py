"""Tells how the station is: to the broker, and in the log when that changes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from edge.health import Health
from edge.messages import StationInfo, encode_info, encode_status
from edge.pipeline.parts import Description
from edge.records import Message, ModelRef, Reason, ReasonCode

_log = logging.getLogger(__name__)


class Reporter:
    """Publishes the health: each interval, and at once when the reasons change.

    Used by the main thread.

    Parameters
    ----------
    health
        The counters.
    publish
        Takes the messages.
    station
        Gives the context that messages are encoded in.
    interval_s
        Between two messages when nothing changes.
    """

    def __init__(
        self,
        health: Health,
        publish: Callable[[Message], None],
        *,
        station: Callable[[], StationInfo],
        interval_s: float,
    ) -> None:
        self.info: Message | None = None
        """What :meth:`introduce` published."""
        self._health = health
        self._publish = publish
        self._station = station
        self._interval_s = interval_s
        self._due = 0.0
        self._told: tuple[bool, list[tuple[ReasonCode, str | None]]] | None = None

    @property
    def summary(self) -> str:
        """How the station is, for people: ``ok``, or everything that is not well."""
        return _one_line(self._health.reasons())

    def introduce(
        self, description: Description, models: Sequence[ModelRef], last_exit: str | None = None
    ) -> None:
        """Publish what runs here, and how the run before it ended."""
        message = encode_info(
            self._station(),
            versions=description.versions,
            hardware=description.hardware,
            models=models,
            now=datetime.now(UTC),
            last_exit=last_exit,
        )
        self.info = message
        self._publish(message)

    def tick(self) -> None:
        """Tell the health if it is due or has changed."""
        codes = [(reason.code, reason.cam) for reason in self._health.reasons()]
        state = self._health.outbox.losing, codes
        changed = state != self._told
        if time.monotonic() >= self._due:
            self.tell()
        elif changed:
            self._tell(anew=False)
        if changed:
            first, self._told = self._told is None, state
            if codes or not first:
                level = logging.WARNING if codes else logging.INFO
                _log.log(level, "health: %s", self.summary)

    def tell(self) -> None:
        """Tell the health now; the next interval begins."""
        self._due = time.monotonic() + self._interval_s
        self._tell(anew=True)

    def _tell(self, *, anew: bool) -> None:
        status = self._health.status(anew=anew)
        message = encode_status(status, self._station(), self._interval_s, now=datetime.now(UTC))
        self._publish(message)


def _one_line(reasons: Sequence[Reason]) -> str:
    return (
        "; ".join(
            f"{reason.code}{f' ({reason.cam})' if reason.cam else ''}: {reason.detail}"
            for reason in reasons
        )
        or "ok"
    )
