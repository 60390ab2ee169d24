"""From a source to a sink: what every station has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy.typing as npt

from edge.records import (
    Alert,
    EncodedFrame,
    Frame,
    Message,
    ModelRef,
    Observation,
    Outputs,
    ReasonCode,
    Track,
)


@runtime_checkable
class Source(Protocol):
    """Yields the frames of one camera. Used by one thread.

    ``live`` is True when the world sets the pace and a frame that nobody takes is lost (a camera),
    False when the source waits for its reader (files).
    """

    live: bool

    @property
    def due_ns(self) -> int:
        """Monotonic time before which ``read`` must not be called; 0 when at any time.

        A paced file is paced by its reader, which can be interrupted while it waits: a source
        never sleeps.
        """

    def open(self) -> None:
        """Acquire the device or file. May be called again after ``close``.

        Raises
        ------
        SourceNotFound, UnsupportedSource, DriverAbsent
            Trying again cannot help.
        SourceUnavailable
            Trying again later can.
        """

    def read(self) -> Frame | EncodedFrame | None:
        """The next frame, or None at the end of a finite source. Gives up in at most 3 s.

        A source whose frames come compressed and may be dropped unseen gives them as they are.

        Raises
        ------
        FrameCorrupt
            This frame is lost, the next may be fine: call again.
        SourceUnavailable
            The source has gone: close, wait, open.
        """

    def close(self) -> None:
        """Release everything. Harmless when not open; never raises."""


@runtime_checkable
class Engine(Protocol):
    """Runs one model file. Used by one thread.

    Attributes
    ----------
    model
        Which file this is.
    """

    model: ModelRef

    def infer(self, tensor: npt.NDArray[Any]) -> Outputs:
        """Run the model once.

        Parameters
        ----------
        tensor
            (N, height, width, channels) in the model's input dtype, N >= 1.

        Returns
        -------
        Outputs
            Each output by manifest name, (N, ...) in the model's dtype. The arrays belong to the
            caller: a later call does not change them.

        Raises
        ------
        EngineError
            The tensor does not fit, or the runtime failed.
        """

    def close(self) -> None:
        """Release the model. Harmless when called twice."""


@runtime_checkable
class Task(Protocol):
    """Turns a frame into a result: preprocess, infer, decode. Used by one thread.

    Attributes
    ----------
    model
        The model whose labels the rules judge.
    """

    model: ModelRef

    def observe(self, frame: Frame) -> Observation:
        """Judge one frame. Fills preprocess, infer and postprocess of the timings.

        Raises
        ------
        NonFiniteOutput
            The model gave NaN or infinity; there is no result.
        EngineError
            The runtime failed.
        """

    def close(self) -> None:
        """Release the engines. Harmless when called twice."""


@runtime_checkable
class Tracker(Protocol):
    """Gives things an identity across the frames of one camera. No clock, no I/O."""

    def update(self, observation: Observation) -> tuple[Track, ...]:
        """Match the observation with what is followed.

        Returns every live track: those seen now have the row of the observation they matched,
        those that are missing have ``index`` None. Observations must come in frame order.
        """


@runtime_checkable
class Rule(Protocol):
    """Decides when an alert begins, changes and ends, for one camera. No clock, no I/O:
    time is ``observation.header.captured_ns``.
    """

    def update(self, observation: Observation, tracks: Sequence[Track]) -> tuple[Alert, ...]:
        """The revisions that this observation causes, oldest alert first."""

    def finish(self) -> tuple[Alert, ...]:
        """End every open alert, because the camera stops. Afterwards nothing is open."""


@dataclass(frozen=True, slots=True)
class Connected:
    """The broker took us. ``receive_maximum`` bounds messages in flight, ``max_packet`` bytes of
    one packet (None: no limit).
    """

    receive_maximum: int
    max_packet: int | None


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The connection has gone or was never made; everything in flight is forgotten.

    ``reason`` is one line for the operator, ``code`` what the health message calls it.
    """

    reason: str
    code: ReasonCode = "broker_unreachable"


@dataclass(frozen=True, slots=True)
class Delivered:
    """A QoS 1 message was acknowledged with a reason below 128 (16: nobody subscribes)."""

    token: int
    reason: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A QoS 1 message was refused with a reason of 128 and above."""

    token: int
    reason: int


@dataclass(frozen=True, slots=True)
class Received:
    """A message came in on a topic that was subscribed."""

    topic: str
    payload: bytes
    retain: bool
    response_topic: str | None
    correlation: bytes | None


SinkEvent = Connected | Disconnected | Delivered | Refused | Received


@runtime_checkable
class Sink(Protocol):
    """Delivers messages. Every method but ``wake`` is called by one thread (publish).

    The sink keeps no message of its own beyond those in flight: what is not ``Delivered`` stays
    with the caller, who offers it again after the next ``Connected``.
    """

    def open(self) -> None:
        """Start connecting; not being reachable is no error but a ``Disconnected`` later."""

    def send(self, message: Message) -> int | None:
        """Hand one message over.

        Returns
        -------
        int or None
            A token that a later ``Delivered`` or ``Refused`` names (QoS 0: delivered at once, the
            event follows all the same), or None when not connected or too many are in flight.

        Raises
        ------
        MessageRefused
            This message can never be sent over this connection: larger than the broker takes, or
            not a topic. Others can.
        SinkError
            The sink is broken for good; nothing can be sent any more.
        """

    def subscribe(self, topics: Sequence[str]) -> None:
        """Ask for messages; to be repeated after each ``Connected``."""

    def poll(self, timeout_s: float) -> Sequence[SinkEvent]:
        """Let the transport work for at most ``timeout_s`` and return what happened, in order.

        Returns early when something happened or ``wake`` was called. Connecting and backing off
        happen in here too.
        """

    def wake(self) -> None:
        """Make ``poll`` return soon. The only method that any thread may call."""

    def close(self, timeout_s: float, farewell: Message | None = None) -> None:
        """Send ``farewell`` (the retained "offline") if connected, disconnect, release all.

        Takes at most ``timeout_s``; never raises; harmless when called twice.
        """
