"""The line's thread: its encoder, the time that passes, the gate, and the input for lots."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Generic, TypeVar

from edge.errors import LineUnavailable, LotAbsent
from edge.health import LineHealth
from edge.inbox import Inbox
from edge.pipeline.line import LineDesk, LineParts
from edge.protocols import LineInput, LineOutput
from edge.stage import Stage

POLL_S = 0.005
"""Between two looks at the encoder, the gate and the clock."""

RETRY_NS = 1_000_000_000
"""Between two attempts to reach an encoder or a digital line that does not answer."""

STEADY = 4
"""Equal readings of the input in a row that count: a contact bounces."""

COUNT_NS = 500_000_000
"""Between two tellings of the counts."""

_log = logging.getLogger(__name__)


_Port = TypeVar("_Port", bound=LineOutput | LineInput)
_Value = TypeVar("_Value")


class _Wire(Generic[_Port]):
    """One digital line, opened again when it failed; None where the station has none."""

    def __init__(
        self, name: str, open_port: Callable[[], _Port] | None, health: LineHealth
    ) -> None:
        self._name = name
        self._open = open_port
        self._health = health
        self._port: _Port | None = None
        self._retry_ns = 0
        self._said = ""

    def use(self, act: Callable[[_Port], _Value], now_ns: int) -> _Value | None:
        """What it says, or None while it does not answer, which the health is told."""
        if self._open is None or now_ns < self._retry_ns:
            return None
        try:
            if self._port is None:
                self._port = self._open()
            value = act(self._port)
        except LineUnavailable as error:
            self.close()
            if self._said != error.message:
                self._said = error.message
                _log.warning("%s; trying again", error)
            self._retry_ns = now_ns + RETRY_NS
            self._health.failing(self._name, error.message)
            return None
        if self._said:
            self._said = ""
            self._health.failing(self._name, None)
        return value

    def close(self) -> None:
        """Release it. Harmless when not open."""
        port, self._port = self._port, None
        if port is not None:
            port.close()


class LineThread:
    """Looks at everything of a line that does not come with a frame.

    Parameters
    ----------
    desk
        The line.
    parts
        Its encoder, gate and input, used by this thread only.
    health
        Where it is told which of them does not answer.
    inbox
        Samples that came in.
    """

    def __init__(self, desk: LineDesk, parts: LineParts, health: LineHealth, inbox: Inbox) -> None:
        self._desk = desk
        self._parts = parts
        self._health = health
        self._inbox = inbox
        self._reading = threading.Lock()
        self._encoder_open = False
        self._encoder_retry_ns = 0
        self._gate = _Wire("gate", parts.open_gate, health)
        self._lots = _Wire("lots input", parts.open_lots, health)
        self._levels: deque[bool] = deque(maxlen=STEADY)
        self._lot_on: bool | None = None
        self._counted_ns = 0

    def run(self, stage: Stage) -> None:
        """The thread's body: until it is stopped. The gate is off afterwards."""
        try:
            while not stage.stopping:
                stage.beat()
                now_ns = time.monotonic_ns()
                self.read_encoder()
                for sample in self._inbox.samples():
                    self._desk.tell(sample)
                self._read_lots(now_ns)
                self._drive_gate(self._desk.pass_time(now_ns), now_ns)
                self._count(now_ns)
                stage.wait(POLL_S)
        finally:
            self._gate.close()
            self._lots.close()
            self._close_encoder()

    def read_encoder(self) -> None:
        """Take a sample now, unless the encoder is away; any thread may call it.

        The camera's thread does when a frame has come: so the position at its capture lies between
        two samples, however late this thread is.
        """
        encoder = self._parts.encoder
        if encoder is None:
            return
        with self._reading:
            now_ns = time.monotonic_ns()
            if now_ns < self._encoder_retry_ns:
                return
            try:
                if not self._encoder_open:
                    encoder.open()
                    self._encoder_open = True
                self._desk.tell(encoder.read())
            except LineUnavailable as error:
                encoder.close()
                if not self._encoder_retry_ns:
                    _log.warning("%s; trying again", error)
                self._encoder_open = False
                self._encoder_retry_ns = now_ns + RETRY_NS
                self._health.failing("encoder", error.message)
                return
            if self._encoder_retry_ns:
                _log.warning("the encoder answers again")
                self._encoder_retry_ns = 0
                self._health.failing("encoder", None)

    def _close_encoder(self) -> None:
        with self._reading:
            self._encoder_retry_ns = sys.maxsize  # no frame opens it again
            if self._parts.encoder is not None:
                self._parts.encoder.close()

    def _read_lots(self, now_ns: int) -> None:
        """Begin and end lots as the input says.

        At first, a lot that is open already goes on while it is on: that of before a restart.
        """
        on = self._lots.use(lambda lots: lots.get(), now_ns)
        if on is None:
            return
        self._levels.append(on)
        if len(self._levels) < STEADY or len(set(self._levels)) > 1 or on == self._lot_on:
            return
        first, self._lot_on = self._lot_on is None, on
        if on and (not first or self._desk.lot is None):
            name = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")[:-3] + "Z"
            self._desk.start_lot(name, now_ns)
        elif not on and (not first or self._desk.lot is not None):
            try:
                self._desk.end_lot(now_ns)
            except LotAbsent as error:
                _log.warning("%s", error)

    def _drive_gate(self, passes: bool, now_ns: int) -> None:
        self._gate.use(lambda gate: gate.set(passes), now_ns)

    def _count(self, now_ns: int) -> None:
        if now_ns - self._counted_ns < COUNT_NS:
            return
        self._counted_ns = now_ns
        self._desk.count()
