"""What comes in: commands are parsed here, and wait here for the pipeline's control step."""

from __future__ import annotations

from collections.abc import Mapping

from edge.errors import LineSightError
from edge.messages import Topics
from edge.records import Command

VERBS = frozenset({"ping"})
"""The closed list of verbs that this version carries out."""

ALWAYS_ON = frozenset({"ping"})
"""Verbs that need no leave in ``allow_commands``."""


class CommandRefused(LineSightError, ValueError):
    """A command came in that this station does not carry out; ``code`` says why in one word."""

    def __init__(self, code: str, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


def parse_command(
    topic: str,
    payload: bytes,
    retain: bool,
    response_topic: str | None,
    correlation: bytes | None,
    topics: Topics,
    allow: frozenset[str],
    received_ns: int,
) -> Command:
    """A message from a command topic as a typed command."""
    raise NotImplementedError


class Inbox:
    """A bounded queue of commands between the publish thread and the control step."""

    def __init__(self, capacity: int = 64) -> None:
        raise NotImplementedError

    def put(self, command: Command) -> None:
        """Queue a command; raises ``CommandRefused`` for a txn already seen and when full."""

    def count_refused(self, code: str) -> None:
        """Count a message that ``parse_command`` refused."""

    def get(self) -> Command | None:
        """The oldest command, None when there is none; never waits."""
        raise NotImplementedError

    @property
    def refused(self) -> Mapping[str, int]:
        """How many messages were refused, by code."""
        raise NotImplementedError
