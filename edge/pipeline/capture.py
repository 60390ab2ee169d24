"""The capture thread: one camera's source, its pace, and its way back after it was lost."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import replace

from edge.backoff import Backoff
from edge.errors import FrameCorrupt, SourceError, SourceUnavailable
from edge.health import CameraHealth
from edge.mailbox import Mailbox
from edge.protocols import Source
from edge.stage import Stage

ROOM_S = 1.0
"""Longest single wait of a file for room in the mailbox, so that the heart goes on beating."""

_log = logging.getLogger(__name__)


class Capture:
    """Reads one camera.

    A source that is unavailable is tried again after about 0.5, 1, 2, 3, 3 … s, for ever: a camera
    that is absent degrades the station and does not stop it. Frames are numbered on across such a
    gap, so that a camera's sequence always ascends. When the thread ends, whatever ended it, the
    camera is said to be offline, and the mailbox is closed, so that what waits for the camera's
    last frame does not wait in vain.

    Parameters
    ----------
    source
        Used by this thread only.
    mailbox
        Where the frames go.
    health
        The camera's counters.
    on_change
        Told whether the camera gives frames, when that changes.
    backoff
        Delays between attempts.
    """

    def __init__(
        self,
        source: Source,
        mailbox: Mailbox,
        health: CameraHealth,
        *,
        on_change: Callable[[bool], None] = lambda online: None,
        backoff: Backoff | None = None,
    ) -> None:
        self._source = source
        self._mailbox = mailbox
        self._health = health
        self._on_change = on_change
        self.on_frame: Callable[[], None] = lambda: None
        """Called when a frame has come, before it is handed over."""
        # Jitter between many stations, not a secret.
        self._backoff = backoff or Backoff(0.5, 3.0, random.Random())  # noqa: S311
        self._online = False
        self._was_open = False
        self._first = self._next = 0  # the number of this opening's first frame, and of the next

    def run(self, stage: Stage) -> None:
        """The thread's body: until it is stopped or a finite source is over.

        Raises
        ------
        SourceError
            The source cannot be opened, and trying again cannot help.
        """
        try:
            while not stage.stopping:
                try:
                    self._open()
                    self._read(stage)
                    break
                except SourceUnavailable as error:
                    self._lose(error)
                finally:
                    self._source.close()
                stage.beat()
                stage.wait(self._backoff.next_s())
            self._health.ended()
        finally:
            self._change(online=False)
            self._mailbox.close()

    def _open(self) -> None:
        try:
            self._source.open()
        except SourceUnavailable:
            raise
        except SourceError as error:
            if not self._was_open:
                raise
            # It was there before, so it may be there again: a camera that was unplugged.
            raise SourceUnavailable(error.message, hint=error.hint) from error
        self._was_open = True
        self._first = self._next
        self._health.opened(live=self._source.live)

    def _read(self, stage: Stage) -> None:
        """Read until the stage is stopped or the source is over."""
        source, mailbox = self._source, self._mailbox
        while self._may_read(stage):
            stage.beat()
            try:
                frame = source.read()
            except FrameCorrupt as error:
                self._health.corrupt()
                _log.debug("camera %s: %s", mailbox.camera, error)
                continue
            if frame is None:
                _log.info("camera %s: the source is over", mailbox.camera)
                return
            self.on_frame()
            self._health.frame_in()
            self._change(online=True)
            self._backoff.reset()
            if self._first:
                frame = replace(frame, sequence=self._first + frame.sequence)
            self._next = frame.sequence + 1
            mailbox.put(frame)

    def _may_read(self, stage: Stage) -> bool:
        """Wait until the next frame is due and, for a file, has room; False when stopped."""
        while not self._source.live and not self._mailbox.wait_for_room(ROOM_S):
            stage.beat()
            if stage.stopping:
                return False
        while (due_s := (self._source.due_ns - time.monotonic_ns()) / 1e9) > 0:
            stage.beat()
            if stage.wait(min(due_s, ROOM_S)):
                return False
        return not stage.stopping

    def _lose(self, error: SourceUnavailable) -> None:
        first = self._health.state != "absent"
        self._health.lost(error.message)
        self._change(online=False)
        _log.log(logging.WARNING if first else logging.DEBUG, "%s; trying again", error)

    def _change(self, *, online: bool) -> None:
        if online != self._online:
            self._online = online
            self._on_change(online)
