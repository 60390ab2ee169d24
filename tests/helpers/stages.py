"""Run one stage of the service in a test."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from edge.health import BrokerHealth, OutboxHealth
from edge.inbox import Inbox
from edge.messages import StationInfo, encode_alert
from edge.outbox import Outbox
from edge.pipeline.commands import CommandDesk
from edge.pipeline.ids import AlertIds
from edge.pipeline.publish import Publisher
from edge.pipeline.sealing import Sealer
from edge.pipeline.store import Store
from edge.protocols import Sink
from edge.records import Message
from edge.stage import Stage, stop_all
from tests.fakes import FakeSink, make_alert, make_frame, make_observation, wait_until

BOOT = "7e1f6c1e-0000-4000-8000-000000000000"
STATION = StationInfo("linesight", "n1", BOOT, "0123456789ab", True)
ALERTS = "linesight/n1/cam/c1/alert"


@contextmanager
def running(stage: Stage, timeout_s: float = 10.0) -> Iterator[Stage]:
    """Start a stage; stop and join it at the end, and pass its failure on."""
    stage.start()
    try:
        yield stage
    finally:
        stop_all([stage], time.monotonic() + timeout_s)
    stage.check()


def alert_message(number: int, *, camera: str = "c1", rev: int = 1) -> Message:
    """Alert ``number`` as it goes to the outbox."""
    observation = make_observation(make_frame(camera, number))
    alert = make_alert(observation, key=f"{0:016x}-{number}", rev=rev)
    return encode_alert(alert, STATION, encoded_ns=time.monotonic_ns())


def number_of(message: Message) -> int:
    """The number that ``alert_message`` got."""
    assert message.id is not None
    return int(message.id.split("-")[1])


class OutboxRig:
    """A store on a real database in ``folder``; ``reopen`` may stand in for opening it."""

    def __init__(self, folder: Path, *, max_rows: int = 100_000) -> None:
        self.path = folder / "outbox.db"
        self.max_rows = max_rows
        self.health = OutboxHealth(max_rows, 64 << 20)
        self.ids = AlertIds()
        self.news = 0
        self.on_rows: Callable[[], None] = lambda: None
        self.store = Store(self.open, self.health, self.ids, self._notice)

    def open(self) -> Outbox:
        return Outbox.open(self.path, max_rows=self.max_rows, boot_id=BOOT)

    def _notice(self) -> None:
        self.news += 1
        self.on_rows()

    def stage(self) -> Stage:
        return Stage("outbox", self.store.run, interrupt=self.store.wake)

    @contextmanager
    def running(self) -> Iterator[Store]:
        """The store at work, ready."""
        with running(self.stage()) as stage:
            wait_until(lambda: self.store.ready.is_set() or not stage.alive)
            stage.check()
            yield self.store

    def stored(self) -> list[int]:
        """Numbers of the alerts on disk; only while the store does not run."""
        outbox = self.open()
        try:
            return [number_of(row.message) for row in outbox.peek(100_000)]
        finally:
            outbox.close()


class PublishRig:
    """A publisher between a store and a sink."""

    def __init__(
        self,
        rig: OutboxRig,
        sink: Sink,
        *,
        app_ack: bool = False,
        is_clock_synced: Callable[[], bool] = lambda: True,
    ) -> None:
        self.health = BrokerHealth()
        self.inbox = Inbox()
        self.publisher = Publisher(
            sink,
            rig.store,
            CommandDesk(
                self.inbox,
                lambda: STATION,
                frozenset({"c1"}),
                frozenset(),
                rig.store.confirm if app_ack else None,
            ),
            Sealer(BOOT, is_clock_synced),
            station=lambda: STATION,
            health=self.health,
            app_ack=app_ack,
        )
        rig.on_rows = sink.wake
        self._wake = sink.wake

    def stage(self) -> Stage:
        return Stage("publish", self.publisher.run, interrupt=self._wake)


@contextmanager
def publishing(outbox: OutboxRig, sink: FakeSink, *, app_ack: bool = False) -> Iterator[PublishRig]:
    """Store and publisher at work; at the end the publisher stops first, at once."""
    with outbox.running():
        rig = PublishRig(outbox, sink, app_ack=app_ack)
        with running(rig.stage()):
            yield rig


def numbers(sink: FakeSink) -> list[int]:
    """The alerts that were sent, in order."""
    return [number_of(message) for message in sink.rows()]
