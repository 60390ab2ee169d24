"""The inference thread: takes frames, has them judged, and carries out commands in between."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from edge.errors import FrameCorrupt, NonFiniteOutput
from edge.health import Health
from edge.inbox import Inbox
from edge.mailbox import Mailboxes, Taken
from edge.messages import StationInfo
from edge.pipeline.commands import carry_out
from edge.pipeline.judge import Judge, Outcome
from edge.pipeline.line import LineDesk
from edge.protocols import Task
from edge.records import EncodedFrame, Frame, Message
from edge.stage import Stage

CONTROL_S = 0.05
"""Longest wait for a frame before the inbox is looked at."""

_log = logging.getLogger(__name__)


class Worker:
    """One inference thread with a task, and so with interpreters, of its own.

    Parameters
    ----------
    task
        Used and closed by this worker only.
    mailboxes
        Where frames are taken, from all cameras in turn.
    judges
        Camera id → who tracks and rules.
    max_age_ms
        Camera id → age at which a frame is too old to be judged, None never.
    inbox
        Commands to carry out between frames.
    station
        Gives the context that messages are encoded in.
    info
        Gives the retained description of what runs here, None when there is none.
    publish
        Takes replies.
    health
        Counters.
    line
        The station's factory line.
    """

    def __init__(
        self,
        task: Task,
        mailboxes: Mailboxes,
        judges: Mapping[str, Judge],
        *,
        max_age_ms: Mapping[str, int | None],
        inbox: Inbox,
        station: Callable[[], StationInfo],
        info: Callable[[], Message | None],
        publish: Callable[[Message], None],
        health: Health,
        line: LineDesk | None = None,
    ) -> None:
        self._task = task
        self._mailboxes = mailboxes
        self._judges = judges
        self._max_age_ms = max_age_ms
        self._inbox = inbox
        self._station = station
        self._info = info
        self._publish = publish
        self._health = health
        self._line = line

    def run(self, stage: Stage) -> None:
        """The thread's body: until every mailbox is closed and empty.

        Raises
        ------
        EngineError
            The runtime failed. The frame's ticket is delivered all the same.
        """
        try:
            while True:
                stage.beat()
                self._control()
                taken = self._mailboxes.take(CONTROL_S)
                if taken is not None:
                    self._judge(taken, stage)
                elif self._mailboxes.ended:
                    return
        finally:
            self._task.close()

    def _judge(self, taken: Taken, stage: Stage) -> None:
        judge = self._judges[taken.camera]
        outcome = Outcome(ended=taken.frame is None)
        try:
            if taken.frame is not None:
                while not (judge.in_reach(taken.ticket, CONTROL_S) or stage.stopping):
                    stage.beat()  # another worker is far behind: not our fault
                outcome = self._observe(taken.frame)
        finally:  # a ticket that never came back would hold up all that follow
            judge.deliver(taken.ticket, outcome)

    def _observe(self, taken: Frame | EncodedFrame) -> Outcome:
        camera = self._health.cameras[taken.camera]
        limit = self._max_age_ms[taken.camera]
        # Now, not when it was taken: it may have waited for the frames before it since then.
        begun_ns = time.monotonic_ns()
        if limit is not None and begun_ns - taken.captured_ns > limit * 1_000_000:
            camera.stale()
            return Outcome()
        waited_ns = begun_ns - taken.ready_ns
        capture_ns = taken.ready_ns - taken.captured_ns
        try:
            frame = taken if isinstance(taken, Frame) else taken.decoded()
        except FrameCorrupt as error:
            camera.undecodable()
            _log.debug("camera %s: %s", taken.camera, error)
            return Outcome()
        camera.decoded()
        if frame is not taken:
            capture_ns += frame.ready_ns - begun_ns
        try:
            observation = self._task.observe(frame)
        except NonFiniteOutput:
            camera.nonfinite()
            return Outcome(frame)
        camera.finite()
        self._health.infer_ms.add(observation.timings.infer_ms)
        timings = replace(
            observation.timings, capture_ms=capture_ns / 1e6, queue_ms=waited_ns / 1e6
        )
        return Outcome(frame, replace(observation, timings=timings))

    def _control(self) -> None:
        # One worker at a time: commands are carried out in the order in which they came.
        if not self._inbox.control.acquire(blocking=False):
            return
        try:
            while (command := self._inbox.get()) is not None:
                self._publish(carry_out(command, self._station(), self._info(), self._line))
        finally:
            self._inbox.control.release()
