"""Fakes of what is hardware or far away: cameras, models, brokers. Each keeps its protocol."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

import numpy as np

from edge.protocols import Connected, Delivered, Disconnected, Received, Refused, SinkEvent
from edge.records import (
    Alert,
    Detections,
    Frame,
    Message,
    ModelRef,
    Observation,
    Phase,
    ReasonCode,
    Timings,
    Track,
)

MODEL = ModelRef("fake", "1.0", "float32", "0" * 64)
IMAGE = np.zeros((8, 8, 3), np.uint8)


def wait_until(condition: Callable[[], object], timeout_s: float = 10.0, what: str = "") -> None:
    """Wait for a condition; fails with ``what`` when it does not come true in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s: {what or condition}")
        time.sleep(0.002)


def make_frame(camera: str = "c1", sequence: int = 0, *, captured_ns: int | None = None) -> Frame:
    """A small black frame, captured now unless said otherwise."""
    now = time.monotonic_ns() if captured_ns is None else captured_ns
    return Frame(IMAGE, camera, sequence, now, now, datetime.now(UTC))


def nothing() -> Detections:
    """No boxes."""
    return Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), ())


def make_observation(frame: Frame) -> Observation:
    """What a model says of a frame in which it finds nothing."""
    return Observation(frame.header, nothing(), MODEL, Timings(infer_ms=1.0))


def make_alert(observation: Observation, *, key: str, rev: int = 1, phase: Phase = "new") -> Alert:
    """An alert about an observation."""
    return Alert(
        id=key,
        rev=rev,
        phase=phase,
        task="face_mask",
        severity="warning",
        label="without_mask",
        score=0.9,
        peak=0.9,
        header=observation.header,
        model=observation.model,
        timings=observation.timings,
    )


class FakeSource:
    """Plays a script: an int is that many frames, an exception is raised by ``read``.

    Parameters
    ----------
    script
        Played by ``read`` from the first call on, whether reopened or not; then the source is
        over, or, with ``endless``, goes on with frames.
    opens
        One exception or None for each ``open``; then opening succeeds.
    gap_s
        Time between two frames, told by ``due_ns``.
    """

    def __init__(
        self,
        script: Iterable[int | Exception] = (),
        *,
        camera: str = "c1",
        live: bool = True,
        opens: Iterable[Exception | None] = (),
        gap_s: float = 0.0,
        endless: bool = False,
    ) -> None:
        self.live = live
        self.camera = camera
        self.opened = self.closed = self.given = 0
        self.is_open = False
        self._script: deque[Exception | None] = deque()
        for step in script:
            self._script.extend([None] * step if isinstance(step, int) else [step])
        self._opens = deque(opens)
        self._gap_ns = round(gap_s * 1e9)
        self._endless = endless
        self._due = 0
        self._sequence = 0

    @property
    def due_ns(self) -> int:
        return self._due

    def open(self) -> None:
        self.opened += 1
        failure = self._opens.popleft() if self._opens else None
        if failure is not None:
            raise failure
        self.is_open = True
        self._sequence = 0

    def read(self) -> Frame | None:
        assert self.is_open, "read before open"
        assert time.monotonic_ns() >= self._due, "read before due"
        if not self._script and not self._endless:
            return None
        step = self._script.popleft() if self._script else None
        if step is not None:
            raise step
        self._due = time.monotonic_ns() + self._gap_ns if self._gap_ns else 0
        frame = make_frame(self.camera, self._sequence)
        self._sequence += 1
        self.given += 1
        return frame

    def close(self) -> None:
        self.closed += self.is_open
        self.is_open = False


class FakeTask:
    """Observes nothing in each frame, after ``work`` was done with it (which may raise)."""

    def __init__(self, work: Callable[[Frame], None] = lambda frame: None) -> None:
        self.model = MODEL
        self.observed: list[tuple[str, int]] = []
        self.closed = 0
        self._work = work

    def observe(self, frame: Frame) -> Observation:
        self._work(frame)
        self.observed.append((frame.camera, frame.sequence))
        return make_observation(frame)

    def close(self) -> None:
        self.closed += 1


class FakeTracker:
    """Follows nothing; remembers the order of what it saw."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def update(self, observation: Observation) -> tuple[Track, ...]:
        self.seen.append(observation.header.sequence)
        return ()


class FakeRule:
    """One alert, new at the first observation, updated at each further one, ended by ``finish``.

    With ``each`` every observation is an alert of its own, new and at once ended.
    """

    def __init__(self, new_id: Callable[[], str] | None = None, *, each: bool = False) -> None:
        numbers = itertools.count(1)
        self._new_id = new_id or (lambda: f"{0:016x}-{next(numbers)}")
        self._each = each
        self._last: Alert | None = None
        self.finished = 0

    def update(self, observation: Observation, tracks: Sequence[Track]) -> tuple[Alert, ...]:
        if self._each:
            key = self._new_id()
            return (
                self._alert(observation, key, 1, "new"),
                self._alert(observation, key, 2, "end"),
            )
        if self._last is None:
            self._last = self._alert(observation, self._new_id(), 1, "new")
        else:
            self._last = self._alert(observation, self._last.id, self._last.rev + 1, "update")
        return (self._last,)

    def finish(self) -> tuple[Alert, ...]:
        self.finished += 1
        last, self._last = self._last, None
        if last is None:
            return ()
        observation = Observation(last.header, nothing(), MODEL, last.timings)
        return (self._alert(observation, last.id, last.rev + 1, "end"),)

    @staticmethod
    def _alert(observation: Observation, key: str, rev: int, phase: Phase) -> Alert:
        return make_alert(observation, key=key, rev=rev, phase=phase)


class FakeSink:
    """A broker in memory.

    What is sent is in flight until :meth:`acknowledge`, at once with ``prompt``. ``answer`` gives
    the PUBACK reason for a message; an exception it returns is raised by ``send``.
    """

    def __init__(
        self,
        *,
        prompt: bool = True,
        reachable: bool = True,
        window: int = 10,
        answer: Callable[[Message], int | Exception] = lambda message: 0,
    ) -> None:
        self.sent: list[Message] = []
        self.subscribed: list[tuple[str, ...]] = []
        self.farewell: Message | None = None
        self.closed = 0
        self.connected = False
        self._prompt = prompt
        self._reachable = reachable
        self._window = window
        self._answer = answer
        self._tokens = itertools.count(1)
        self._inflight: dict[int, Message] = {}
        self._events: deque[SinkEvent] = deque()
        self._wake = threading.Condition()
        self._woken = False

    # The broker's side, for tests; any thread.

    def acknowledge(self) -> int:
        """Acknowledge everything in flight; how many messages that was."""
        with self._wake:
            count = len(self._inflight)
            for token, message in self._inflight.items():
                self._settle(token, message)
            self._inflight.clear()
            self._wake.notify_all()
            return count

    def connect(self) -> None:
        """The broker takes us."""
        with self._wake:
            self._reachable = self.connected = True
            self._events.append(Connected(self._window, None))
            self._wake.notify_all()

    def disconnect(
        self, reason: str = "cable pulled", code: ReasonCode = "broker_unreachable"
    ) -> None:
        """The connection goes."""
        with self._wake:
            self._reachable = self.connected = False
            self._inflight.clear()
            self._events.append(Disconnected(reason, code))
            self._wake.notify_all()

    def receive(self, topic: str, payload: bytes, *, response_topic: str | None = None) -> None:
        """A message comes in."""
        with self._wake:
            self._events.append(Received(topic, payload, False, response_topic, None))
            self._wake.notify_all()

    @property
    def inflight(self) -> int:
        with self._wake:
            return len(self._inflight)

    def rows(self) -> list[Message]:
        """What was sent of the outbox, in order."""
        return [message for message in list(self.sent) if message.way == "outbox"]

    # The protocol.

    def open(self) -> None:
        if self._reachable:
            self.connect()
        else:
            self.disconnect("no broker")

    def send(self, message: Message) -> int | None:
        with self._wake:
            if not self.connected or len(self._inflight) >= self._window:
                return None
            reason = self._answer(message)
            if isinstance(reason, Exception):
                raise reason
            token = next(self._tokens)
            self.sent.append(message)
            if self._prompt or message.qos == 0:
                self._settle(token, message)
            else:
                self._inflight[token] = message
            return token

    def subscribe(self, topics: Sequence[str]) -> None:
        self.subscribed.append(tuple(topics))

    def poll(self, timeout_s: float) -> Sequence[SinkEvent]:
        with self._wake:
            if not self._events and not self._woken:
                self._wake.wait(timeout_s)
            self._woken = False
            events = list(self._events)
            self._events.clear()
            return events

    def wake(self) -> None:
        with self._wake:
            self._woken = True
            self._wake.notify_all()

    def close(self, timeout_s: float, farewell: Message | None = None) -> None:
        self.closed += 1
        if self.connected:
            self.farewell = farewell
        self.connected = False

    def _settle(self, token: int, message: Message) -> None:
        reason = self._answer(message)
        assert isinstance(reason, int)
        event = Delivered(token, reason) if reason < 128 else Refused(token, reason)
        self._events.append(event)
