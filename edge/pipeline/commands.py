"""From what comes in to typed commands; on the publish thread, so only parsing and queueing."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from edge.inbox import CommandRefused, Inbox, parse_command
from edge.messages import StationInfo
from edge.protocols import Received

_log = logging.getLogger(__name__)


class CommandDesk:
    """Parses messages from command topics and queues what is allowed.

    Parameters
    ----------
    inbox
        Takes the commands, counts what is refused.
    station
        Gives the station's topics.
    allow
        Verbs that ``allow_commands`` names.
    """

    def __init__(
        self, inbox: Inbox, station: Callable[[], StationInfo], allow: frozenset[str]
    ) -> None:
        self._inbox = inbox
        self._station = station
        self._allow = allow

    def take(self, message: Received) -> None:
        """Queue one command, or count why not. Never raises for what the message holds."""
        try:
            command = parse_command(
                message.topic,
                message.payload,
                message.retain,
                message.response_topic,
                message.correlation,
                self._station().topics,
                self._allow,
                time.monotonic_ns(),
            )
        except CommandRefused as error:
            self._inbox.count_refused(error.code)
            _log.debug("refused: %s", error)
            return
        try:
            self._inbox.put(command)
        except CommandRefused as error:  # counted by the inbox itself
            _log.debug("refused: %s", error)
