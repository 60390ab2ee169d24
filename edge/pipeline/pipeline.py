"""The stages of a station, how they are connected, and the order in which they start and stop."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from edge.errors import LineSightError, StageStuck
from edge.health import Health
from edge.inbox import Inbox
from edge.mailbox import Mailboxes
from edge.messages import StationInfo
from edge.outbox import Outbox
from edge.pipeline.capture import Capture
from edge.pipeline.commands import CommandDesk
from edge.pipeline.ids import AlertIds
from edge.pipeline.inference import Worker
from edge.pipeline.judge import Judge, Observer
from edge.pipeline.last_exit import STOPPED, LastExit
from edge.pipeline.line import LineDesk, LineParts
from edge.pipeline.line_thread import LineThread
from edge.pipeline.parts import Camera, Description
from edge.pipeline.presence import Presence
from edge.pipeline.publish import CLOSE_S, Publisher
from edge.pipeline.reporter import Reporter
from edge.pipeline.sealing import Sealer
from edge.pipeline.store import Store
from edge.pipeline.watchdog import Watchdog
from edge.protocols import Sink, Task
from edge.stage import Stage, stop_all

STOP_S = 4.0
"""From the first event to the last join; the process ends within 5 s, its own end included."""
START_S = 10.0
"""The outbox must be open by then."""
FINISH_S = 0.2
"""How long the stop waits for a rule that a stuck worker holds."""
TICK_S = 0.2
"""Between two looks of the main thread at its threads."""

_log = logging.getLogger(__name__)


class Pipeline:
    """A station at work.

    Only this package starts threads: ``capture:<camera>`` for each camera, ``inference:<n>`` for
    each task, ``line`` of a factory line, ``outbox`` and ``publish``. The caller's thread
    supervises them (:meth:`run`).

    Parameters
    ----------
    station
        Who speaks.
    cameras
        One or several.
    tasks
        One for each inference worker, all alike.
    sink
        Where messages go.
    open_outbox
        Opens the outbox; called on the outbox thread.
    ids
        The source of alert ids that the rules were given.
    health
        Counters for exactly these cameras.
    allow_commands
        Verbs that may be used beside those that are always on.
    app_ack
        Whether rows stay until their consumer has confirmed them.
    health_interval_s
        Between two health messages; a change of state is told at once.
    description
        Published as ``info`` when given.
    last_exit
        Where this run leaves word of how it ended, and the one before did.
    line
        The factory line under one of the cameras.
    observer
        Called for each judged frame, on the thread of the camera's rule owner.
    end_process
        What the watchdog calls when a thread is stuck.
    """

    def __init__(
        self,
        *,
        station: StationInfo,
        cameras: Sequence[Camera],
        tasks: Sequence[Task],
        sink: Sink,
        open_outbox: Callable[[], Outbox],
        ids: AlertIds,
        health: Health,
        allow_commands: frozenset[str] = frozenset(),
        app_ack: bool = False,
        health_interval_s: float = 30.0,
        description: Description | None = None,
        last_exit: LastExit | None = None,
        line: LineParts | None = None,
        observer: Observer | None = None,
        end_process: Callable[[int], None] = os._exit,
    ) -> None:
        self.health = health
        self.inbox = Inbox()
        self.tasks = tuple(tasks)
        self._sink = sink
        self._station = replace(station, clock_synced=health.clock_synced)
        self._cameras = cameras
        self._models = tuple(dict.fromkeys(task.model for task in tasks))
        self._description = description
        self._last_exit = last_exit
        self._stopped = False

        self.mailboxes = Mailboxes({camera.id: camera.policy for camera in cameras})
        self.store = Store(open_outbox, health.outbox, ids, sink.wake)
        self.publisher = Publisher(
            sink,
            self.store,
            CommandDesk(
                self.inbox,
                self._who,
                frozenset(camera.id for camera in cameras),
                allow_commands,
                self.store.confirm if app_ack else None,
            ),
            Sealer(station.boot_id, lambda: health.clock_synced),
            station=self._who,
            health=health.broker,
            app_ack=app_ack,
        )
        self.reporter = Reporter(
            health, self.publisher.publish, station=self._who, interval_s=health_interval_s
        )
        self.line = None if line is None else self._line_desk(line, ids)
        self._line_stages: list[Stage] = []
        self._line_thread: LineThread | None = None
        if line is not None and self.line is not None:
            self._line_thread = LineThread(self.line, line, health.line, self.inbox)
            self._line_stages.append(Stage("line", self._line_thread.run))
        self._judges = {camera.id: self._judge(camera, observer) for camera in cameras}
        self._presences = {
            camera.id: Presence(camera.id, station=self._who, publish=self.publisher.publish)
            for camera in cameras
        }
        self._captures = [self._capture(camera) for camera in cameras]
        self._workers = [self._worker(n, task) for n, task in enumerate(tasks)]
        self._outbox = Stage("outbox", self.store.run, heartbeat_s=15.0, interrupt=self.store.wake)
        self._publish = Stage("publish", self.publisher.run, heartbeat_s=15.0, interrupt=sink.wake)
        self._stages = [
            *self._captures,
            *self._workers,
            *self._line_stages,
            self._outbox,
            self._publish,
        ]
        self._watchdog = Watchdog(self._stages, end=end_process)

    def run(
        self,
        quit_within: Callable[[float], bool],
        *,
        on_ready: Callable[[], None] = lambda: None,
        on_alive: Callable[[], None] = lambda: None,
        on_stop: Callable[[], None] = lambda: None,
    ) -> None:
        """Start, supervise and stop the station; returns when all of that is over.

        Parameters
        ----------
        quit_within
            Waits at most so many seconds; True when the station shall stop. It also ends by
            itself when every source is over.
        on_ready, on_alive, on_stop
            Called once when started, at each tick at which every thread is well, and once when
            the stop begins.

        Raises
        ------
        LineSightError
            A stage failed, or is stuck (:class:`StageStuck`); everything else was stopped.
        """
        try:
            self.start()
            on_ready()
            while not (quit_within(TICK_S) or self.ended):
                if self.tick():
                    on_alive()
        except BaseException as first:
            on_stop()
            for error in self._stop(STOP_S):
                if str(error) != str(first):  # what happened first matters more
                    _log.error("%s", error)
            self._leave_word(str(first) or type(first).__name__)
            raise
        on_stop()
        try:
            self.stop()
        except LineSightError as error:
            self._leave_word(str(error))
            raise
        self._leave_word(STOPPED)

    def _leave_word(self, how: str) -> None:
        if self._last_exit is not None:
            self._last_exit.end(how)

    def start(self) -> None:
        """Start every thread; returns when the outbox is open, whatever cameras and broker do.

        Raises
        ------
        LineSightError
            The outbox cannot be opened.
        """
        self._outbox.start()
        deadline = time.monotonic() + START_S
        while not self.store.ready.wait(0.01):
            self._outbox.check()
            if time.monotonic() > deadline:
                raise StageStuck(f"the outbox was not open after {START_S:g} s")
        if self.line is not None:
            self.line.restore(self.store.lots)
            self.store.lots = ()  # they are the line's now
        if self._description is not None:
            before = self._last_exit.begin() if self._last_exit is not None else None
            self.reporter.introduce(self._description, self._models, before)
        for camera in self._cameras:
            self._presences[camera.id].tell(False)
            self._judges[camera.id].announce()
        for stage in (self._publish, *self._workers, *self._line_stages, *self._captures):
            stage.start()

    @property
    def ended(self) -> bool:
        """Whether every source is over and every frame of them judged."""
        return not any(worker.alive for worker in self._workers)

    def tick(self) -> bool:
        """Look after the threads and tell the health; False when a heartbeat is not fresh.

        Raises
        ------
        LineSightError
            What a thread failed with.
        """
        for stage in self._stages:
            stage.check()
        synced = self.health.clock_synced
        if synced != self._station.clock_synced:
            self._station = replace(self._station, clock_synced=synced)
        if self.line is not None:
            self.line.report()
        self.reporter.tick()
        return self._watchdog.may_ping()

    def stop(self, timeout_s: float = STOP_S) -> None:
        """Stop every thread in order, within one deadline. Harmless when called twice.

        Capture stops, the mailboxes close, inference judges what waits and ends the open alerts,
        the last status is told, the publish thread sends what it can and says farewell; the rest
        stays on disk.

        Raises
        ------
        LineSightError
            A stage failed or is stuck; all the others were stopped nevertheless.
        """
        failures = self._stop(timeout_s)
        for error in failures[1:]:
            _log.error("%s", error)
        if failures:
            raise failures[0]

    def _stop(self, timeout_s: float) -> list[LineSightError]:
        """Stop everything; what failed, the threads' own failures first."""
        if self._stopped:
            return []
        self._stopped = True
        deadline = time.monotonic() + timeout_s
        late: list[LineSightError] = []
        for capture in self._captures:
            capture.request_stop()
        self.mailboxes.close()
        if self._late(self._workers, deadline - 0.6 * timeout_s):
            self.mailboxes.discard()
            late += self._late(self._workers, deadline - 0.4 * timeout_s)
        self._finish_rules()
        late += self._late(self._line_stages, deadline - 0.3 * timeout_s)
        if self.line is not None:
            self.line.flush()
            self.line.report(last=True)
        for presence in self._presences.values():
            presence.leave()
        if self._publish.alive:
            self.reporter.tell()
        self.publisher.drain_until = deadline - 0.1 * timeout_s - CLOSE_S
        for stages in ([self._publish], [self._outbox], self._captures):
            late += self._late(stages, deadline)
        self._release_unused()
        failed: list[LineSightError] = []
        for stage in self._stages:
            try:
                stage.check()
            except LineSightError as error:
                failed.append(error)
        return failed + late

    def _finish_rules(self) -> None:
        """End the alerts of cameras whose last frame nobody judged, since the workers died."""
        for judge in self._judges.values():
            try:
                if not judge.finish(FINISH_S):
                    _log.error("camera %s: its rule is held; alerts stay open", judge.camera)
            except Exception:  # noqa: BLE001 - a rule's defect must not keep us from stopping
                _log.exception("camera %s: its alerts cannot be ended", judge.camera)

    def _release_unused(self) -> None:
        """What a thread would have closed that was never started, since the start failed."""
        for worker, task in zip(self._workers, self.tasks, strict=True):
            if not worker.started:
                task.close()
        if not self._publish.started:
            self._sink.close(0.0)

    @staticmethod
    def _late(stages: Sequence[Stage], deadline: float) -> list[LineSightError]:
        try:
            stop_all(stages, deadline)
        except StageStuck as error:
            return [error]
        return []

    def _who(self) -> StationInfo:
        return self._station

    def _line_desk(self, line: LineParts, ids: AlertIds) -> LineDesk:
        return LineDesk(
            line,
            station=self._who,
            new_id=ids.next,
            store=self.store.put,
            publish=self.publisher.publish,
            health=self.health.line,
        )

    def _judge(self, camera: Camera, observer: Observer | None) -> Judge:
        return Judge(
            camera.id,
            camera.tracker,
            camera.rule,
            station=self._who,
            store=self.store.put,
            publish=self.publisher.publish,
            health=self.health.cameras[camera.id],
            line=self.line if self.line is not None and self.line.camera == camera.id else None,
            observer=observer,
        )

    def _capture(self, camera: Camera) -> Stage:
        mailbox = self.mailboxes[camera.id]
        health = self.health.cameras[camera.id]
        health.mailbox_drops = lambda: mailbox.counts.dropped
        presence = self._presences[camera.id]
        body = Capture(camera.source, mailbox, health, on_change=presence.tell)
        if (
            self._line_thread is not None
            and self.line is not None
            and self.line.camera == camera.id
        ):
            body.on_frame = self._line_thread.read_encoder
        return Stage(f"capture:{camera.id}", body.run, interrupt=mailbox.close)

    def _worker(self, number: int, task: Task) -> Stage:
        worker = Worker(
            task,
            self.mailboxes,
            self._judges,
            max_age_ms={
                camera.id: camera.max_age_ms if camera.source.live else None
                for camera in self._cameras
            },
            inbox=self.inbox,
            station=self._who,
            info=lambda: self.reporter.info,
            publish=self.publisher.publish,
            health=self.health,
            line=self.line,
        )
        return Stage(f"inference:{number}", worker.run)
