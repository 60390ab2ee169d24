"""What comes in: commands are parsed here, and wait here for the pipeline's control step.

What a stranger may send is bounded before it is looked at: length, nesting, a closed list of verbs.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from typing import Any

from edge.errors import LineSightError
from edge.messages import Topics
from edge.records import Command, Confirmation, LineSample, RefusalCode

VERBS = frozenset({"ping", "info", "lot_start", "lot_end"})
"""The closed list of verbs that this version carries out."""

ALWAYS_ON = frozenset({"ping", "info"})
"""Verbs that need no leave in ``allow_commands``."""

MAX_BYTES = 64 << 10
_MAX_DEPTH = 32
_MAX_TXN = 128
_TXNS_KEPT = 1024
_MOST_SEQ = (1 << 63) - 1
SAMPLES = 1024
"""Samples of a line's movement that wait; then the oldest gives way: what matters is the newest."""


class CommandRefused(LineSightError, ValueError):
    """A command came in that this station does not carry out.

    ``code`` says why in one word; ``command`` is who can be told so, None when the message has no
    ``txn`` to name in a reply.
    """

    def __init__(
        self, code: RefusalCode, message: str, *, hint: str = "", command: Command | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.code: RefusalCode = code
        self.command = command


def parse_command(
    topic: str,
    payload: bytes,
    retain: bool,
    response_topic: str | None,
    correlation: bytes | None,
    topics: Topics,
    cameras: frozenset[str],
    allow: frozenset[str],
    received_ns: int,
) -> Command:
    """A message from a command topic as a typed command.

    ``cameras`` are the station's camera ids, ``allow`` the verbs of ``allow_commands``; those in
    ``ALWAYS_ON`` need no leave. ``received_ns`` is monotonic.

    Raises
    ------
    CommandRefused
        It is larger than 64 KiB, nested deeper than 32, not a JSON object, or has no ``txn`` of 1
        to 128 printable characters; or it is retained, its verb is unknown or not allowed, or the
        camera unknown: then the error carries the command.
    """
    target = topics.command(topic)
    # What a stranger sent is shown shortened and escaped, so that it cannot forge a log line.
    shown = ascii(topic[:200])
    if target is None:
        raise CommandRefused("unknown_verb", f"{shown}: no such command")
    if len(payload) > MAX_BYTES:
        raise CommandRefused("too_large", f"{shown}: {len(payload)} bytes, at most {MAX_BYTES}")
    body = _json_object(payload, shown)
    txn = body.pop("txn", None)
    if not isinstance(txn, str) or not 0 < len(txn) <= _MAX_TXN or not txn.isprintable():
        raise CommandRefused(
            "no_txn", f"{shown}: needs a txn, a text of 1 to {_MAX_TXN} printable characters"
        )
    camera, verb = target
    command = Command(verb, txn, camera, body, response_topic, correlation, received_ns)
    if verb not in VERBS:
        raise CommandRefused("unknown_verb", f"{shown}: no such command", command=command)
    if camera is not None and camera not in cameras:
        raise CommandRefused("unknown_camera", f"{shown}: no such camera", command=command)
    if retain:
        # It would be carried out again after every reconnect.
        raise CommandRefused(
            "retained", f"{shown}: a retained command", hint="publish it plainly", command=command
        )
    if verb not in ALWAYS_ON and verb not in allow:
        raise CommandRefused(
            "not_allowed",
            f"{shown}: not allowed",
            hint="name the verb in [mqtt].allow_commands",
            command=command,
        )
    return command


def parse_ack(payload: bytes, topics: Topics) -> Confirmation:
    """A message of the topic ``cmd/ack`` as a confirmation: ``{epoch, topic, seq}``, of a topic of
    this station.

    Raises
    ------
    CommandRefused
        It is none.
    """
    if len(payload) > MAX_BYTES:
        raise CommandRefused("too_large", f"ack: {len(payload)} bytes, at most {MAX_BYTES}")
    body = _json_object(payload, "ack")
    match body:
        case {"epoch": str(epoch), "topic": str(topic), "seq": int(seq)} if (
            not isinstance(seq, bool)
            and 0 < seq <= _MOST_SEQ
            and topic.startswith(f"{topics.station}/")
            and epoch.isascii()
            and topic.isascii()  # ids are, and a lone surrogate is no text for the database
        ):
            return Confirmation(epoch, topic, seq)
    raise CommandRefused(
        "bad_argument", "ack: needs epoch, topic of this station, and seq, a number from 1"
    )


def _json_object(payload: bytes, shown: str) -> dict[str, Any]:
    # Brackets inside of texts count too: too strict for odd texts, and never too lax.
    depth = 0
    for byte in payload:
        if byte in b"[{":
            depth += 1
            if depth > _MAX_DEPTH:
                raise CommandRefused("too_deep", f"{shown}: nested deeper than {_MAX_DEPTH}")
        elif byte in b"]}":
            depth -= 1
    try:
        body = json.loads(payload, parse_constant=_no_constant)
    except ValueError as error:
        raise CommandRefused("junk", f"{shown}: not JSON") from error
    if not isinstance(body, dict):
        raise CommandRefused("junk", f"{shown}: not a JSON object")
    return body


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


class Inbox:
    """A bounded queue of commands between the publish thread and the control step, and beside it
    one of samples of a line's movement.

    Every method may be called by any thread; none waits.

    Parameters
    ----------
    capacity
        Commands that wait; more are refused.
    """

    def __init__(self, capacity: int = 64) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._waiting: deque[Command] = deque()
        self._samples: deque[LineSample] = deque(maxlen=SAMPLES)
        self._txns: dict[str, None] = {}
        self.control = threading.Lock()
        """Held by whoever takes commands and carries them out."""

    def put(self, command: Command) -> None:
        """Queue a command.

        Raises
        ------
        CommandRefused
            Its ``txn`` is one of the last 1,024, or the queue is full, which does not use the
            ``txn`` up.
        """
        with self._lock:
            if command.txn in self._txns:
                raise CommandRefused(
                    "replayed", f"{command.verb}: txn {command.txn!a} came before", command=command
                )
            if len(self._waiting) >= self._capacity:
                raise CommandRefused(
                    "full", f"{command.verb}: {self._capacity} commands wait", command=command
                )
            self._txns[command.txn] = None
            if len(self._txns) > _TXNS_KEPT:
                del self._txns[next(iter(self._txns))]
            self._waiting.append(command)

    def get(self) -> Command | None:
        """The oldest command, None when there is none."""
        with self._lock:
            return self._waiting.popleft() if self._waiting else None

    def sample(self, sample: LineSample) -> None:
        """Hand over a sample of the strip's movement."""
        with self._lock:
            self._samples.append(sample)

    def samples(self) -> tuple[LineSample, ...]:
        """What came since the last call, oldest first."""
        with self._lock:
            found = tuple(self._samples)
            self._samples.clear()
        return found
