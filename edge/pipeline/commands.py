"""From what comes in to typed commands, and what each is answered."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable

from edge.inbox import CommandRefused, Inbox, parse_ack, parse_command
from edge.messages import StationInfo, encode_reply
from edge.pipeline.line import LineDesk
from edge.protocols import Received
from edge.records import Command, Confirmation, Message

LOT_VERBS = frozenset({"lot_start", "lot_end"})

_log = logging.getLogger(__name__)


class CommandDesk:
    """Parses messages from command topics and queues what is allowed.

    On the publish thread, so it carries nothing out.

    Parameters
    ----------
    inbox
        Takes the commands.
    station
        Gives the station's topics.
    cameras
        The ids of the station's cameras.
    allow
        Verbs that ``allow_commands`` names.
    confirm
        Takes what consumers confirm; None where the broker's word is enough.
    """

    def __init__(
        self,
        inbox: Inbox,
        station: Callable[[], StationInfo],
        cameras: frozenset[str],
        allow: frozenset[str],
        confirm: Callable[[Confirmation], None] | None = None,
    ) -> None:
        self._inbox = inbox
        self._station = station
        self._cameras = cameras
        self._allow = allow
        self._confirm = confirm

    def take(self, message: Received) -> Message | None:
        """Queue one command; or the reply that it is refused, if it has a ``txn`` to answer to.

        Never raises for what the message holds.
        """
        try:
            if self._confirm is not None and message.topic == self._station().topics.ack:
                self._take_ack(message, self._confirm)
                return None
            command = parse_command(
                message.topic,
                message.payload,
                message.retain,
                message.response_topic,
                message.correlation,
                self._station().topics,
                self._cameras,
                self._allow,
                time.monotonic_ns(),
            )
            self._inbox.put(command)
        except CommandRefused as error:
            _log.debug("refused: %s", error)
            if error.command is None:
                return None
            return encode_reply(
                error.command, self._station(), ok=False, code=error.code, error=error.message
            )
        return None

    def _take_ack(self, message: Received, confirm: Callable[[Confirmation], None]) -> None:
        """It has no ``txn`` and gets no reply; a retained one would confirm what it never saw."""
        if message.retain:
            raise CommandRefused("retained", "ack: a retained confirmation")
        confirm(parse_ack(message.payload, self._station().topics))


def carry_out(
    command: Command, station: StationInfo, info: Message | None, line: LineDesk | None
) -> Message:
    """Do what a command asks for; the reply.

    ``ping`` has an empty reply; that of ``info`` holds the content of the retained message
    ``info``, of a station that has one; that of ``lot_start`` and ``lot_end`` the lot's name.
    """
    data = None
    if command.verb == "info" and info is not None:
        data = json.loads(info.payload)
    elif command.verb in LOT_VERBS:
        try:
            if line is None:
                raise CommandRefused("no_line", "this station has no [line]", command=command)
            data = line.carry_out(command)
        except CommandRefused as error:
            _log.warning("refused: %s", error)
            return encode_reply(command, station, ok=False, code=error.code, error=error.message)
    return encode_reply(command, station, ok=True, code="ok", data=data)
