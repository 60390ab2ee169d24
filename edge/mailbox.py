"""Bounded hand-over of frames from the capture threads to the inference workers.

Each camera has one mailbox. ``latest`` holds one frame and a newer frame replaces it: a live
picture is worth more than an old one. ``every`` holds 16: a file waits until there is room, a live
source never waits, so when it is full the newest frame is dropped. Every frame that was put is
accounted for, exactly (:class:`MailboxCounts`).

All mailboxes of a station share one lock, so that one worker can wait for all of them and serves
the cameras in turn.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from edge.records import EncodedFrame, Frame

Policy = Literal["latest", "every"]

CAPACITY: Mapping[Policy, int] = {"latest": 1, "every": 16}
"""Frames that wait at most, by policy."""


@dataclass(frozen=True, slots=True)
class MailboxCounts:
    """What became of the frames that were put: ``put`` is the sum of the other four.

    ``dropped``: a frame had to give way or found no room; ``refused``: the mailbox was closed.
    """

    put: int = 0
    taken: int = 0
    dropped: int = 0
    refused: int = 0
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class Taken:
    """What a worker got.

    Parameters
    ----------
    camera
        Whose turn it was.
    ticket
        Counts what was taken of this camera, from 0 and without a gap, in the order of the frames.
    frame
        None exactly once for each camera: its mailbox is closed and this was its last ticket.
    """

    camera: str
    ticket: int
    frame: Frame | EncodedFrame | None


class Mailbox:
    """One camera's frames on their way to a worker; made by :class:`Mailboxes`.

    Used by one putting thread; ``close`` and ``counts`` by any.
    """

    def __init__(
        self, camera: str, policy: Policy, lock: threading.Lock, ready: threading.Condition
    ) -> None:
        self.camera = camera
        self.policy: Policy = policy
        self._capacity = CAPACITY[policy]
        self._frames: deque[Frame | EncodedFrame] = deque()
        self._ready = ready
        self._room = threading.Condition(lock)
        self._put = self._dropped = self._refused = self._tickets = 0
        self._closed = self._ended = False

    def wait_for_room(self, timeout_s: float) -> bool:
        """Wait until ``put`` would drop nothing; True at once under ``latest``.

        The back-pressure of a source that is not live. Returns False when the time is up or the
        mailbox was closed meanwhile.
        """
        if self.policy == "latest":
            return True
        with self._room:
            self._room.wait_for(
                lambda: self._closed or len(self._frames) < self._capacity, timeout_s
            )
            return not self._closed and len(self._frames) < self._capacity

    def put(self, frame: Frame | EncodedFrame) -> bool:
        """Hand a frame over; never waits. True when this frame is in the mailbox now."""
        with self._ready:
            self._put += 1
            if self._closed:
                self._refused += 1
                return False
            if len(self._frames) == self._capacity:
                self._dropped += 1
                if self.policy == "every":
                    return False
                self._frames.popleft()
            self._frames.append(frame)
            self._ready.notify()
            return True

    def close(self) -> None:
        """Take no more frames; those that wait can still be taken. Harmless when repeated."""
        with self._ready:
            self._closed = True
            self._room.notify_all()
            self._ready.notify_all()

    @property
    def counts(self) -> MailboxCounts:
        """The account up to now."""
        with self._ready:
            return MailboxCounts(
                put=self._put,
                taken=self._tickets - self._ended,
                dropped=self._dropped,
                refused=self._refused,
                waiting=len(self._frames),
            )

    # What follows is Mailboxes' side; its lock is held.

    def _take(self) -> Taken | None:
        frame: Frame | EncodedFrame | None = None
        if self._frames:
            frame = self._frames.popleft()
            self._room.notify()
        elif self._closed and not self._ended:
            self._ended = True
        else:
            return None
        ticket = self._tickets
        self._tickets += 1
        return Taken(self.camera, ticket, frame)

    def _discard(self) -> None:
        self._dropped += len(self._frames)
        self._frames.clear()
        self._room.notify_all()


class Mailboxes:
    """The mailboxes of all cameras, as the workers see them.

    Parameters
    ----------
    policies
        Camera id → policy; the order is the order of the first turn.
    """

    def __init__(self, policies: Mapping[str, Policy]) -> None:
        lock = threading.Lock()
        self._ready = threading.Condition(lock)
        self._boxes = [
            Mailbox(camera, policy, lock, self._ready) for camera, policy in policies.items()
        ]
        self._by_camera = {box.camera: box for box in self._boxes}
        self._turn = 0

    def __getitem__(self, camera: str) -> Mailbox:
        return self._by_camera[camera]

    def take(self, timeout_s: float) -> Taken | None:
        """The oldest frame of the next camera in turn that has one.

        Waits at most ``timeout_s`` and returns None when nothing came, at once when
        :attr:`ended`. Any number of workers may call it.
        """
        deadline = time.monotonic() + timeout_s
        with self._ready:
            while True:
                for step in range(len(self._boxes)):
                    index = (self._turn + step) % len(self._boxes)
                    taken = self._boxes[index]._take()
                    if taken is not None:
                        self._turn = index + 1
                        if all(box._ended for box in self._boxes):
                            self._ready.notify_all()  # nothing will come: let the others go
                        return taken
                rest = deadline - time.monotonic()
                if rest <= 0 or all(box._ended for box in self._boxes):
                    return None
                self._ready.wait(rest)

    @property
    def ended(self) -> bool:
        """Whether every mailbox is closed and everything in them was taken."""
        with self._ready:
            return all(box._ended for box in self._boxes)

    def close(self) -> None:
        """Close every mailbox."""
        for box in self._boxes:
            box.close()

    def discard(self) -> None:
        """Drop every frame that waits, and count it as dropped: there is no time to judge it."""
        with self._ready:
            for box in self._boxes:
                box._discard()
            self._ready.notify_all()
