"""libgpiod at the seam of its Python package: there is no GPIO chip where tests run.

Names, parameters and defaults are those of ``gpiod`` 2, which a test checks against the real one;
the kernel behind them is modelled as far as an edge can get lost in it.
"""

from __future__ import annotations

import errno
import os
import sys
from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from types import ModuleType

import pytest

CHIP = "/dev/gpiochip0"
LINES = 54
QUEUE = 16  # the kernel's default for a request of one line
READ_AT_ONCE = 64  # libgpiod's default
SEQNO_RANGE = 1 << 32


class Value(Enum):
    INACTIVE = 0
    ACTIVE = 1


class Direction(Enum):
    AS_IS = 1
    INPUT = 2
    OUTPUT = 3


class Edge(Enum):
    NONE = 1
    RISING = 2


@dataclass
class LineSettings:
    direction: Direction = Direction.AS_IS
    edge_detection: Edge = Edge.NONE
    output_value: Value = Value.INACTIVE


@dataclass(frozen=True)
class EdgeEvent:
    line_seqno: int


@dataclass
class Wire:
    """A line of the chip: its level, and whatever drove it, in order."""

    level: Value = Value.INACTIVE
    driven: list[Value] = field(default_factory=list)
    request: LineRequest | None = None

    def drive(self, value: Value) -> None:
        self.level = value
        self.driven.append(value)


class LineRequest:
    """Behaves as ``gpiod.LineRequest`` for one line.

    As in the kernel, the event queue is bounded and drops its oldest event when it is full, while
    ``line_seqno`` counts every edge, from 1, in 32 bits.
    """

    def __init__(self, machine: FakeGpiod, wire: Wire, settings: LineSettings) -> None:
        self._machine = machine
        self._wire = wire
        self._settings = settings
        self._events: deque[EdgeEvent] = deque(maxlen=QUEUE)
        self._edges = 0

    def set_value(self, line: int, value: Value) -> None:
        self._machine.check()
        if self._settings.direction is not Direction.OUTPUT:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        self._wire.drive(value)

    def get_value(self, line: int) -> Value:
        self._machine.check()
        return self._wire.level

    def wait_edge_events(self, timeout: float | None = None) -> bool:
        self._machine.check()
        assert timeout == 0, "a stand-in cannot wait"
        return bool(self._events)

    def read_edge_events(self, max_events: int | None = None) -> list[EdgeEvent]:
        self._machine.check()
        assert self._events, "the real one would block"
        count = min(len(self._events), READ_AT_ONCE if max_events is None else max_events)
        return [self._events.popleft() for _ in range(count)]

    def release(self) -> None:
        """The wire keeps its level, as on a chip whose driver does not care."""
        self._wire.request = None
        self._machine.released += 1
        self._machine.check()

    def rise(self, edges: int) -> None:
        """The edges of the wire, one after the other, as far as the queue remembers them."""
        if self._settings.edge_detection is not Edge.RISING:
            return
        for edge in range(self._edges + max(0, edges - QUEUE), self._edges + edges):
            self._events.append(EdgeEvent((edge + 1) % SEQNO_RANGE))
        self._edges += edges


class FakeGpiod:
    """A machine with one chip, and the package ``gpiod`` for it.

    Attributes
    ----------
    wires
        The lines of the chip.
    failure
        What every call raises from now on.
    released
        How many requests were released.
    consumers
        Who requested lines, in order.
    """

    def __init__(self) -> None:
        self.wires = [Wire() for _ in range(LINES)]
        self.failure: Exception | None = None
        self.released = 0
        self.consumers: list[str | None] = []

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Let ``import gpiod`` give this machine's package."""
        package, line = ModuleType("gpiod"), ModuleType("gpiod.line")
        vars(package).update(request_lines=self.request_lines, LineSettings=LineSettings, line=line)
        vars(line).update(Direction=Direction, Edge=Edge, Value=Value)
        patch.setitem(sys.modules, "gpiod", package)
        patch.setitem(sys.modules, "gpiod.line", line)

    def check(self) -> None:
        if self.failure is not None:
            raise self.failure

    def request_lines(
        self, path: str, config: dict[int, LineSettings], consumer: str | None = None
    ) -> LineRequest:
        self.check()
        if path != CHIP:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        ((line, settings),) = config.items()
        if line >= LINES:
            raise ValueError(os.strerror(errno.EINVAL))  # what the real one makes of EINVAL
        wire = self.wires[line]
        if wire.request is not None:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        if settings.direction is Direction.OUTPUT:
            wire.drive(settings.output_value)
        wire.request = LineRequest(self, wire, settings)
        self.consumers.append(consumer)
        return wire.request

    def rise(self, line: int, edges: int) -> None:
        """Rising edges on a line; unseen when nobody has requested it."""
        request = self.wires[line].request
        if request is not None:
            request.rise(edges)
