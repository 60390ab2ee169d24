"""What a factory line has beside: its state, an encoder, digital lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol, runtime_checkable

from edge.records import (
    Alert,
    EncoderSample,
    LineEvent,
    LineSample,
    LotEntry,
    LotReport,
    Observation,
)


@runtime_checkable
class Line(Protocol):
    """What a factory line adds to one camera: places on the strip, lots, and verdicts.

    No clock, no I/O. Used by one thread at a time; moments are monotonic, but for ``at`` and
    ``now``, which are UTC.
    """

    camera: str

    @property
    def counts(self) -> Mapping[str, int]:
        """What went wrong since the start, by kind: of the samples of the movement, frames without
        a place (``unplaced``), frames of another size (``frame_size``), late verdicts.
        """

    @property
    def lot(self) -> str | None:
        """Name of the open lot."""

    def tell(self, sample: LineSample) -> None:
        """Take a sample of the strip's movement.

        Raises
        ------
        TypeError, ValueError
            It is of another kind than this line has, or no sample.
        """

    def observe(
        self, observation: Observation, alerts: Sequence[Alert]
    ) -> tuple[tuple[Alert, ...], tuple[LineEvent, ...]]:
        """Take in a judged frame, after tracker and rule; frames come in order.

        Returns
        -------
        alerts
            With their places.
        events
            Verdicts of what no later frame shows, entries of the lot's diary, lots that are over.
        """

    def place(self, alerts: Sequence[Alert]) -> tuple[Alert, ...]:
        """Alerts about what the last frame showed, with their places."""

    def pass_time(self, now_ns: int) -> tuple[LineEvent, ...]:
        """What the time brings: verdicts that are overdue, totals, lots that are over."""

    def may_pass(self, now_ns: int) -> bool:
        """Whether the strip at the gate is good; False when nobody knows."""

    def start_lot(self, key: str, name: str, at: datetime, at_ns: int) -> tuple[LineEvent, ...]:
        """Begin a lot; one that is open ends. ``key``, its id, was never given before."""

    def end_lot(self, at: datetime, at_ns: int) -> tuple[LineEvent, ...]:
        """End the open lot.

        Raises
        ------
        LotAbsent
            There is none.
        """

    def flush(self) -> tuple[LineEvent, ...]:
        """No frame comes any more: what is to be written down. An open lot stays open."""

    def restore(self, entries: Sequence[LotEntry], now: datetime) -> tuple[LineEvent, ...]:
        """Before all else: take up the lots of an earlier run of the service. One whose entries
        cannot be read is lost, and counted.
        """

    def report(self, key: str) -> LotReport:
        """The report of a lot whose ``LotEnded`` came. Takes up to a second for a thousand defects;
        the one method that another thread may call meanwhile.
        """

    def reported(self, key: str) -> None:
        """The report is on its way: forget the lot."""


@runtime_checkable
class Encoder(Protocol):
    """Counts how far the strip has run. Used by one thread."""

    def open(self) -> None:
        """Acquire the counter. May be called again after ``close``.

        Raises
        ------
        LineUnavailable
            It is not there or gives nothing; trying again later can help.
        """

    def read(self) -> EncoderSample:
        """The counter now; returns at once.

        Raises
        ------
        LineUnavailable
            It has gone: close, wait, open.
        """

    def close(self) -> None:
        """Release everything. Harmless when not open; never raises."""


@runtime_checkable
class LineOutput(Protocol):
    """One digital output. Used by one thread."""

    def set(self, on: bool) -> None:
        """Drive the output.

        Raises
        ------
        LineUnavailable
            It cannot be driven.
        """

    def close(self) -> None:
        """Turn it off and release it. Harmless when called twice; never raises."""


@runtime_checkable
class LineInput(Protocol):
    """One digital input. Used by one thread."""

    def get(self) -> bool:
        """Whether it is on now.

        Raises
        ------
        LineUnavailable
            It cannot be read.
        """

    def close(self) -> None:
        """Release it. Harmless when called twice; never raises."""
