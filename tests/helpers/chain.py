"""The way of an alert as in the service: store, publish thread and MQTT sink, to a real broker."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edge.messages import encode_availability
from edge.protocols import Delivered, SinkEvent
from edge.records import Message
from edge.sinks.mqtt import MqttSettings, MqttSink
from tests.fakes import wait_until
from tests.helpers.stages import STATION, OutboxRig, PublishRig, alert_message, running

UNBOUNDED = "max_queued_messages 0"
"""mosquitto.conf: keep everything for a subscriber that is away or slow, not 1,000 messages."""


class EarlySink(MqttSink):
    """Breaks the guarantee: says delivered when a message is sent, before the broker says so."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._early: list[SinkEvent] = []

    def send(self, message: Message) -> int | None:
        """See :meth:`edge.protocols.Sink.send`."""
        token = super().send(message)
        if token is not None and message.way == "outbox":
            self._early.append(Delivered(token, 0))
            self.wake()
        return token

    def poll(self, timeout_s: float) -> Sequence[SinkEvent]:
        """See :meth:`edge.protocols.Sink.poll`; a second ``Delivered`` is ignored by all."""
        early, self._early = self._early, []
        return [*early, *super().poll(0.0 if early else timeout_s)]


def fill(folder: Path, numbers: Iterable[int], *, camera: str = "c1") -> None:
    """Alerts that an earlier run has left on disk."""
    outbox = OutboxRig(folder).open()
    outbox.append([alert_message(number, camera=camera) for number in numbers])
    outbox.close()


class Chain:
    """From the outbox to a broker.

    Parameters
    ----------
    folder
        Gets the outbox's database; one that is there goes on.
    port
        The broker's, or a proxy's before it.
    early
        Break the guarantee, see ``EarlySink``.
    is_clock_synced
        Whether the wall clock is right now.
    more
        Further settings of the connection.
    """

    def __init__(
        self,
        folder: Path,
        port: int,
        *,
        early: bool = False,
        is_clock_synced: Callable[[], bool] = lambda: True,
        **more: Any,
    ) -> None:
        settings = MqttSettings(
            **{"host": "127.0.0.1", "client_id": "sut", "port": port, "keepalive_s": 2, **more}
        )
        self.outbox = OutboxRig(folder)
        self.sink = (EarlySink if early else MqttSink)(
            settings, encode_availability(False, STATION), rng=random.Random(port)
        )
        self._rig = PublishRig(self.outbox, self.sink, is_clock_synced=is_clock_synced)
        self.health = self._rig.health
        self.stage = self._rig.stage()
        self.store = self.outbox.store

    @contextmanager
    def running(self) -> Iterator[Chain]:
        """At work; at the end the publish thread stops at once and leaves the rest on disk."""
        with self.outbox.running(), running(self.stage):
            yield self

    def accept(self, numbers: Iterable[int], *, camera: str = "c1") -> None:
        """Alerts with these numbers; returns when all of them are on disk."""
        self.accept_all(alert_message(number, camera=camera) for number in numbers)

    def accept_all(self, messages: Iterable[Message]) -> None:
        """Messages; returns when all of them are on disk."""
        put = self.store.accepted
        for message in messages:
            self.store.put(message)
            put += 1
            if put % 256 == 0:  # memory holds 1,000
                self._await(put)
        self._await(put)
        assert self.outbox.health.lost == 0

    def _await(self, accepted: int) -> None:
        wait_until(lambda: self.store.accepted >= accepted, 30.0, "the disk")

    def wait_connected(self, timeout_s: float = 20.0) -> None:
        """Until the broker has taken us."""
        wait_until(lambda: self.health.is_connected, timeout_s, "connected")

    def wait_disconnected(self, timeout_s: float = 20.0) -> None:
        """Until the end of the connection is noticed."""
        wait_until(lambda: not self.health.is_connected, timeout_s, "disconnected")

    def drain(self, timeout_s: float = 20.0) -> None:
        """Stop the publish thread as the service's stop does, with time to send everything."""
        self._rig.publisher.drain_until = time.monotonic() + timeout_s
        self.stage.request_stop()
        wait_until(lambda: not self.stage.alive, timeout_s + 2.0, "drained")

    def codes(self) -> list[str]:
        """Why the way to the broker is not well."""
        return [reason.code for reason in self.health.reasons()]

    def counted(self, what: str) -> int:
        """A counter of the outbox, as the health message has it."""
        return int(getattr(self.outbox.health.status(0), what))
