"""A desk over a line of small numbers, an encoder and digital lines that do what they are told."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from edge.errors import LineUnavailable
from edge.health import LineHealth
from edge.inbox import Inbox
from edge.pipeline.line import Entry, LineDesk, LineParts
from edge.records import Alert, EncoderSample, LotReport, Message
from tests.helpers.stages import STATION
from tests.helpers.strip import MS, Strip, seen_at


class FakeEncoder:
    """Counts on by one each time it is read; breaks when told to."""

    def __init__(self) -> None:
        self.opened = self.closed = 0
        self.broken = False
        self._at = 0

    def open(self) -> None:
        if self.broken:
            raise LineUnavailable("counter0: no such counter")
        self.opened += 1

    def read(self) -> EncoderSample:
        if self.broken:
            raise LineUnavailable("counter0: gone")
        self._at += 1
        return EncoderSample(self._at, self._at * MS)

    def close(self) -> None:
        self.closed += 1


class FakePort:
    """An output that remembers, and an input that says what it is told to."""

    def __init__(self) -> None:
        self.on = False
        self.said: list[bool] = []
        self.closed = self.reads = 0
        self.broken = self.bounce = False

    def set(self, on: bool) -> None:
        if self.broken:
            raise LineUnavailable("gpiochip0 line 5: gone")
        self.said.append(on)

    def get(self) -> bool:
        self.reads += 1
        return self.reads % 2 == 0 if self.bounce else self.on

    def close(self) -> None:
        self.closed += 1


class LineRig:
    """A desk over a line of small numbers; what it stores and publishes is collected."""

    def __init__(
        self,
        *,
        archive: Callable[[LotReport], object] = lambda report: None,
        encoder: FakeEncoder | None = None,
        gate: FakePort | None = None,
        lots: FakePort | None = None,
    ) -> None:
        self.strip = Strip()
        self.stored: list[tuple[object, ...]] = []
        self.published: list[Message] = []
        self.health = LineHealth()
        self.inbox = Inbox()
        self.parts = LineParts(
            self.strip.line,
            archive,
            encoder,
            None if gate is None else lambda: gate,
            None if lots is None else lambda: lots,
        )
        self.desk = LineDesk(
            self.parts,
            station=lambda: STATION,
            new_id=lambda: "0123456789abcdef-7",
            store=lambda *items: self.stored.append(items),
            publish=self.published.append,
            health=self.health,
        )

    def frame(self, position_mm: float, *defects: tuple[float, float]) -> None:
        """A frame passes tracker, rule and desk."""
        strip = self.strip
        strip.count(position_mm)
        observation = seen_at(position_mm, round(position_mm), strip.sequence)
        strip.sequence += 1
        strip.tracker.update(observation)
        self.desk.judged(observation, (), self._send)

    def _send(self, alerts: Sequence[Alert], entries: Sequence[Entry]) -> None:
        if entries:
            self.stored.append(tuple(entries))

    def bodies(self, tail: str) -> list[dict[str, Any]]:
        """What was published on topics that end so."""
        return [json.loads(one.payload) for one in self.published if one.topic.endswith(tail)]

    def reports(self) -> list[dict[str, Any]]:
        """Reports that were stored."""
        return [
            json.loads(item.payload)
            for items in self.stored
            for item in items
            if isinstance(item, Message)
        ]
