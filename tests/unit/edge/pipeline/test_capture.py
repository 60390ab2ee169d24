"""The capture thread's rules."""

from __future__ import annotations

import random
import time

import pytest

from edge.backoff import Backoff
from edge.errors import (
    DriverAbsent,
    FrameCorrupt,
    SourceError,
    SourceNotFound,
    SourceUnavailable,
    StageFailed,
    UnsupportedSource,
)
from edge.health import CameraHealth
from edge.mailbox import CAPACITY, Mailboxes, Policy
from edge.pipeline.capture import Capture
from edge.stage import Stage
from tests.fakes import FakeSource, wait_until
from tests.helpers.stages import running


class Rig:
    """A capture thread with its mailbox and counters; the back-off is quick."""

    def __init__(self, source: FakeSource, policy: Policy = "every", first_s: float = 0.01) -> None:
        self.boxes = Mailboxes({"c1": policy})
        self.health = CameraHealth("c1")
        self.online: list[bool] = []
        self.capture = Capture(
            source,
            self.boxes["c1"],
            self.health,
            on_change=self.online.append,
            backoff=Backoff(first_s, 1.0, random.Random(0), jitter=0.0),
        )
        self.stage = Stage("capture:c1", self.capture.run, interrupt=self.boxes["c1"].close)

    def taken(self) -> list[int]:
        """What can be taken now."""
        found = []
        while (taken := self.boxes.take(0)) is not None:
            if taken.frame is not None:
                found.append(taken.frame.sequence)
        return found


def test_a_finite_source_ends() -> None:
    """Every frame is handed over, the source is closed, camera and mailbox have ended."""
    source = FakeSource([5], live=False)
    rig = Rig(source)
    with running(rig.stage):
        wait_until(lambda: not rig.stage.alive)
    assert rig.taken() == [0, 1, 2, 3, 4]
    assert rig.boxes.ended
    assert rig.health.state == "ended"
    assert rig.health.reasons() == []
    assert not source.is_open
    assert rig.online == [True, False]


def test_corrupt_frames_are_counted_and_skipped() -> None:
    """Of 60 frames with every fifth corrupt, 48 are handed over and 12 are counted (F05)."""
    corrupt: list[int | Exception] = []
    for _ in range(12):
        corrupt += [4, FrameCorrupt("camera 'c1': no end of image")]
    rig = Rig(FakeSource(corrupt, live=True), policy="every")
    with running(rig.stage):
        wait_until(lambda: not rig.stage.alive)
    status = rig.health.status(1.0)
    assert status.frames_in == 48
    assert status.drops.corrupt == 12
    assert status.reconnects == 0


def test_a_lost_source_is_opened_again() -> None:
    """After SourceUnavailable the source is closed, opened again after a while, and goes on."""
    gone = SourceUnavailable("camera 'c1': the stream ended")
    source = FakeSource([3, gone, 2], opens=[None, gone, gone])
    rig = Rig(source)
    with running(rig.stage):
        wait_until(lambda: not rig.stage.alive)
    assert rig.taken() == [0, 1, 2, 3, 4]
    assert source.opened == 4
    assert source.closed == 2
    assert rig.health.status(1.0).reconnects == 1
    assert rig.online == [True, False, True, False]


def test_an_absent_camera_is_waited_for() -> None:
    """A camera that is absent at the start is a reason, not an end, and is found later (F04)."""
    absent = SourceUnavailable("camera 'c1': no such device")
    source = FakeSource(opens=[absent] * 3, endless=True, gap_s=0.01)
    rig = Rig(source, policy="latest", first_s=0.05)
    with running(rig.stage):
        wait_until(lambda: [r.code for r in rig.health.reasons()] == ["cam_absent"])
        wait_until(lambda: rig.health.frames_in > 0)
        assert rig.health.reasons() == []


@pytest.mark.parametrize("error", [SourceNotFound, UnsupportedSource, DriverAbsent])
def test_what_trying_again_cannot_help_ends_the_stage(error: type[SourceError]) -> None:
    """A source that can never be opened fails the stage with its own error; the mailbox closes."""
    rig = Rig(FakeSource(opens=[error("camera 'c1': no")]))
    with pytest.raises(error), running(rig.stage):
        wait_until(lambda: not rig.stage.alive)
    assert rig.taken() == []
    assert rig.boxes.ended


def test_a_camera_that_was_there_may_come_back() -> None:
    """The same error after a successful open is an unplugged camera: it is waited for."""
    gone = SourceUnavailable("gone")
    rig = Rig(FakeSource([1, gone, 1], opens=[None, SourceNotFound("no such device")]))
    with running(rig.stage):
        wait_until(lambda: not rig.stage.alive)
    assert rig.taken() == [0, 1]


def test_a_file_waits_for_its_reader() -> None:
    """A source that is not live reads no further than the mailbox holds, and loses nothing."""
    source = FakeSource([100], live=False)
    rig = Rig(source)
    with running(rig.stage):
        wait_until(lambda: rig.boxes["c1"].counts.waiting == CAPACITY["every"])
        assert source.given == CAPACITY["every"]
        frames: list[int] = []

        def drained() -> bool:
            frames.extend(rig.taken())
            return rig.boxes.ended

        wait_until(drained)
    assert frames == list(range(100))
    assert rig.boxes["c1"].counts.dropped == 0


def test_a_live_camera_never_waits() -> None:
    """A live source under ``every`` reads on when nobody takes; the newest frames are dropped."""
    rig = Rig(FakeSource([100], live=True))
    with running(rig.stage):
        wait_until(lambda: not rig.stage.alive)
    assert rig.taken() == list(range(16))
    assert rig.boxes["c1"].counts.dropped == 84


def test_a_stop_interrupts_every_wait() -> None:
    """Waiting for room, for the next frame's time, or for the back-off: a stop ends it at once."""
    sources = [
        FakeSource(endless=True, live=False),
        FakeSource(endless=True, gap_s=3600),
        FakeSource(opens=[SourceUnavailable("no")] * 9),
    ]
    for source in sources:
        rig = Rig(source, first_s=1.0)
        with running(rig.stage):
            wait_until(
                lambda rig=rig: (  # type: ignore[misc]
                    rig.boxes["c1"].counts.waiting or rig.health.state == "absent"
                )
            )
            began = time.monotonic()
        assert time.monotonic() - began < 0.5
        assert not source.is_open


def test_reading_is_paced_by_the_source() -> None:
    """``read`` is never called before ``due_ns`` (the fake asserts it); frames keep their pace."""
    rig = Rig(FakeSource([5], gap_s=0.05))
    began = time.monotonic()
    with running(rig.stage):
        wait_until(lambda: not rig.stage.alive)
    assert time.monotonic() - began >= 0.2


def test_frames_are_numbered_on_across_a_gap() -> None:
    """A source that begins at 0 after each opening gives a camera one ascending sequence."""
    gone = SourceUnavailable("gone")
    rig = Rig(FakeSource([3, gone, 2, gone, 1]))
    with running(rig.stage):
        wait_until(lambda: not rig.stage.alive)
    assert rig.taken() == [0, 1, 2, 3, 4, 5]


def test_a_camera_that_opens_and_gives_nothing_stays_absent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Opened again and again without a frame, it is absent all the time, said once; the first frame
    ends that, and only then it counts as a reconnect.
    """
    gone = SourceUnavailable("camera 'c1': no frame in 3 s")
    rig = Rig(FakeSource([2, gone, gone, gone, gone], endless=True, gap_s=0.01))
    states: list[str] = []
    opened = rig.health.opened

    def note(*, live: bool) -> None:
        opened(live=live)
        states.append(rig.health.state)

    rig.health.opened = note  # type: ignore[method-assign]
    with caplog.at_level("WARNING"), running(rig.stage):
        wait_until(lambda: rig.health.frames_in > 3)
    assert states == ["open", *["absent"] * 4]
    assert rig.health.status(1.0).reconnects == 1
    assert caplog.text.count("trying again") == 1


def test_a_defect_in_a_source_leaves_the_camera_offline() -> None:
    """Whatever ends the thread, the last word is that the camera is offline."""
    rig = Rig(FakeSource([2, ZeroDivisionError("defect")]))
    with pytest.raises(StageFailed), running(rig.stage):
        wait_until(lambda: not rig.stage.alive)
    assert rig.online == [True, False]
    assert rig.boxes["c1"].counts.waiting == 2


def test_a_frame_is_noticed_before_it_is_handed_over() -> None:
    """A line takes a sample of its encoder then: once for each frame, none for a corrupt one."""
    rig = Rig(FakeSource([2, FrameCorrupt("half of it"), 3], live=False))
    waiting: list[int] = []
    rig.capture.on_frame = lambda: waiting.append(rig.boxes["c1"].counts.waiting)
    with running(rig.stage):
        wait_until(lambda: not rig.stage.alive)
    assert waiting == [0, 1, 2, 3, 4]
