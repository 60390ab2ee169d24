"""The inference thread's rules."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from functools import partial

import pytest

from edge.errors import EngineError, FrameCorrupt, NonFiniteOutput
from edge.health import Health
from edge.inbox import Inbox
from edge.mailbox import Mailboxes
from edge.pipeline.inference import Worker
from edge.pipeline.judge import AHEAD, Judge
from edge.pipeline.line import LineDesk
from edge.records import Command, EncodedFrame, Frame, Image, Message, Observation
from edge.stage import Stage, stop_all
from tests.fakes import FakeRule, FakeTask, FakeTracker, make_frame, wait_until
from tests.helpers.line import LineRig
from tests.helpers.stages import STATION


class Rig:
    """Some workers with a mailbox; observations and messages are collected."""

    def __init__(
        self, *tasks: FakeTask, max_age_ms: int | None = None, line: LineDesk | None = None
    ) -> None:
        self.line = line
        self.boxes = Mailboxes({"c1": "every"})
        self.health = Health(["c1"], is_clock_synced=lambda: True)
        self.inbox = Inbox()
        self.tracker = FakeTracker()
        self.observations: list[Observation] = []
        self.stored: list[Message] = []
        self.published: list[Message] = []
        judge = Judge(
            "c1",
            self.tracker,
            FakeRule(),
            station=lambda: STATION,
            store=lambda *items: self.stored.extend(items),
            publish=self.published.append,
            health=self.health.cameras["c1"],
            observer=lambda frame, observation, tracks, alerts: self.observations.append(
                observation
            ),
        )
        self.tasks = tasks or (FakeTask(),)
        self.stages = [
            Stage(f"inference:{n}", self._worker(task, judge, max_age_ms).run)
            for n, task in enumerate(self.tasks)
        ]

    def _worker(self, task: FakeTask, judge: Judge, max_age_ms: int | None) -> Worker:
        return Worker(
            task,
            self.boxes,
            {"c1": judge},
            max_age_ms={"c1": max_age_ms},
            inbox=self.inbox,
            station=lambda: STATION,
            info=lambda: None,
            publish=self.published.append,
            health=self.health,
            line=self.line,
        )

    def judge(self, *frames: Frame | EncodedFrame) -> None:
        """Let the workers judge these frames to the end, and pass a failure on."""
        for stage in self.stages:
            stage.start()
        for frame in frames:
            wait_until(lambda: self.boxes["c1"].wait_for_room(1))
            self.boxes["c1"].put(frame)
        self.boxes.close()
        stop_all(self.stages, time.monotonic() + 10)
        for stage in self.stages:
            stage.check()

    def phases(self) -> list[str]:
        return [json.loads(message.payload)["phase"] for message in self.stored]


def test_every_frame_is_judged_and_the_end_closes_the_alert() -> None:
    """Frames are judged in order; with the camera its open alert ends; the task closes."""
    rig = Rig()
    rig.judge(*(make_frame(sequence=n) for n in range(4)))
    assert rig.tracker.seen == [0, 1, 2, 3]
    assert rig.phases() == ["new", "update", "update", "update", "end"]
    assert rig.tasks[0].closed == 1


def test_a_stale_frame_is_not_judged() -> None:
    """A frame older than ``max_age_ms`` when its turn comes is counted and skipped."""
    rig = Rig(max_age_ms=1000)
    old = time.monotonic_ns() - 1_100_000_000
    rig.judge(make_frame(sequence=0, captured_ns=old), make_frame(sequence=1))
    assert rig.tracker.seen == [1]
    assert rig.health.status().cameras["c1"].drops.stale == 1


def test_without_a_limit_old_frames_are_judged() -> None:
    """The twin: a file has no ``max_age_ms``, so the same frame is judged."""
    rig = Rig(max_age_ms=None)
    rig.judge(make_frame(sequence=0, captured_ns=time.monotonic_ns() - 1_100_000_000))
    assert rig.tracker.seen == [0]


@pytest.mark.parametrize("late", [True, False])
def test_a_frame_that_gets_too_old_behind_a_slow_one_is_not_judged(late: bool) -> None:
    """The age counts when the work begins: a worker waits while another is ``AHEAD`` frames behind.

    With its twin, in which the slow worker comes back in time.
    """
    limit_ms = 1000 if late else 60_000
    entered, release = threading.Event(), threading.Event()

    def hang(frame: Frame) -> None:
        if frame.sequence == 0:
            entered.set()
            release.wait(10)

    rig = Rig(FakeTask(hang), FakeTask(hang), max_age_ms=limit_ms)
    for stage in rig.stages:
        stage.start()
    box = rig.boxes["c1"]
    box.put(make_frame(sequence=0))
    assert entered.wait(5)
    for n in range(1, AHEAD):  # the other worker judges these
        box.put(make_frame(sequence=n))
        wait_until(lambda n=n: box.counts.taken == n + 1)  # type: ignore[misc]
    waiting = make_frame(sequence=AHEAD, captured_ns=time.monotonic_ns())
    box.put(waiting)
    wait_until(lambda: box.counts.taken == AHEAD + 1)
    age_ms = (time.monotonic_ns() - waiting.captured_ns) / 1e6
    assert age_ms < limit_ms, "taken in time, so only the wait makes it old"
    if late:
        wait_until(lambda: time.monotonic_ns() - waiting.captured_ns > limit_ms * 1_000_000)
    release.set()
    rig.boxes.close()
    stop_all(rig.stages, time.monotonic() + 10)
    dropped = rig.health.status().cameras["c1"].drops.stale
    # Frame 0 itself was begun in time.
    assert (rig.tracker.seen, dropped) == (
        (list(range(AHEAD)), 1) if late else (list(range(AHEAD + 1)), 0)
    )


def test_nonfinite_outputs_are_counted_and_skipped() -> None:
    """NaN gives no observation and no alert; five in a row are a reason (F21)."""

    def work(frame: Frame) -> None:
        if frame.sequence < 5:
            raise NonFiniteOutput("model fake: NaN")

    rig = Rig(FakeTask(work))
    rig.judge(*(make_frame(sequence=n) for n in range(5)))
    assert rig.phases() == []
    assert [reason.code for reason in rig.health.reasons()] == ["model_nonfinite"]
    assert rig.health.status().cameras["c1"].nonfinite == 5


def test_a_failing_engine_ends_the_worker_and_leaves_no_gap() -> None:
    """EngineError comes out of the stage; the other worker's frames are judged to the end."""
    failing, done = threading.Event(), threading.Event()

    def fail(frame: Frame) -> None:
        failing.set()
        done.wait(5)
        raise EngineError("delegate lost")

    def work(frame: Frame) -> None:
        failing.wait(5)
        done.set()

    rig = Rig(FakeTask(fail), FakeTask(work))
    with pytest.raises(EngineError, match="delegate lost"):
        rig.judge(*(make_frame(sequence=n) for n in range(20)))
    assert len(rig.tracker.seen) == 19
    assert rig.phases()[-1] == "end"


def slow_and_quick() -> Callable[[Frame], None]:
    """Work of which every fourth frame takes longer than the next three together."""
    return lambda frame: time.sleep(0.01 if frame.sequence % 4 == 0 else 0.001)


def test_several_workers_keep_the_frame_order() -> None:
    """With three workers and uneven frames, tracker and rule still see ascending frames."""
    tasks = [FakeTask(slow_and_quick()) for _ in range(3)]
    rig = Rig(*tasks)
    rig.judge(*(make_frame(sequence=n) for n in range(60)))
    assert rig.tracker.seen == list(range(60))
    assert sum(len(task.observed) for task in tasks) == 60
    assert all(task.observed for task in tasks)
    assert all(task.closed == 1 for task in tasks)


def test_timings_say_how_long_a_frame_waited() -> None:
    """``capture`` is driver to decoded image, ``queue`` decoded image to worker."""
    rig = Rig()
    now = time.monotonic_ns()
    frame = make_frame(sequence=0, captured_ns=now)
    object.__setattr__(frame, "ready_ns", now + 3_000_000)
    time.sleep(0.01)
    rig.judge(frame)
    timings = rig.observations[0].timings
    assert timings.capture_ms == 3.0
    assert timings.queue_ms > 6.0
    assert timings.infer_ms == 1.0


def _encoded(frame: Frame, decode: Callable[[], Image]) -> EncodedFrame:
    return EncodedFrame(
        decode,
        frame.camera,
        frame.sequence,
        frame.captured_ns,
        frame.ready_ns,
        frame.captured_at,
    )


def test_only_frames_that_are_judged_are_decoded() -> None:
    """A compressed frame is decoded when its turn comes; one that is stale by then never is."""
    rig = Rig(max_age_ms=1000)
    old = time.monotonic_ns() - 1_100_000_000
    stale, fresh = make_frame(sequence=0, captured_ns=old), make_frame(sequence=1)
    decoded: list[int] = []

    def decode(frame: Frame) -> Image:
        decoded.append(frame.sequence)
        return frame.image

    rig.judge(*(_encoded(frame, partial(decode, frame)) for frame in (stale, fresh)))
    assert decoded == rig.tracker.seen == [1]
    assert rig.health.status().cameras["c1"].drops.stale == 1


def test_the_time_of_decoding_belongs_to_the_capture() -> None:
    """Of a compressed frame ``capture`` is driver to hand-over and decoding, ``queue`` the rest."""
    rig = Rig()
    now = time.monotonic_ns()
    frame = make_frame(sequence=0, captured_ns=now)
    object.__setattr__(frame, "ready_ns", now + 3_000_000)
    took = threading.Event()

    def decode() -> Image:
        took.wait(0.02)
        return frame.image

    time.sleep(0.01)
    rig.judge(_encoded(frame, decode))
    timings = rig.observations[0].timings
    assert timings.capture_ms >= 23.0
    assert timings.queue_ms > 6.0
    elapsed_ms = (time.monotonic_ns() - now) / 1e6
    assert timings.capture_ms + timings.queue_ms <= elapsed_ms


def test_what_cannot_be_decoded_is_counted_and_skipped() -> None:
    """F05: a damaged frame that got through costs itself only, and is counted as corrupt."""
    rig = Rig()

    def fail() -> Image:
        raise FrameCorrupt("the data are damaged")

    damaged = [_encoded(make_frame(sequence=n), fail) for n in range(5)]
    rig.judge(*damaged[:4], make_frame(sequence=5), damaged[4])
    assert rig.tracker.seen == [5]
    assert rig.health.status().cameras["c1"].drops.corrupt == 5
    assert rig.health.cameras["c1"].reasons() == []


def test_a_camera_of_which_nothing_can_be_decoded_is_a_reason() -> None:
    """Five such frames in a row are told; a frame that can be decoded ends it."""
    health = Health(["c1"], max_rows=1, max_bytes=1)
    camera = health.cameras["c1"]
    for _ in range(5):
        assert camera.reasons() == []
        camera.undecodable()
    assert [reason.code for reason in camera.reasons()] == ["cam_stalled"]
    camera.decoded()
    assert camera.reasons() == []


def command(txn: str) -> Command:
    """A ping."""
    return Command("ping", txn, None, {}, None, None, time.monotonic_ns())


def test_a_ping_is_answered_within_50_ms_without_frames() -> None:
    """The control step runs although no frame comes; the reply carries the request's txn."""
    rig = Rig()
    for stage in rig.stages:
        stage.start()
    began = time.monotonic()
    rig.inbox.put(command("t1"))
    wait_until(lambda: rig.published)
    assert time.monotonic() - began < 0.2  # 50 ms, and a slow test machine
    rig.boxes.close()
    stop_all(rig.stages, time.monotonic() + 5)
    reply = rig.published[0]
    assert reply.topic == "linesight/n1/reply/ping"
    body = json.loads(reply.payload)
    assert (body["txn"], body["ok"], body["code"]) == ("t1", True, "ok")


def test_commands_are_taken_between_frames() -> None:
    """A camera that never pauses does not keep a command waiting."""
    rig = Rig()
    for n in range(10):
        rig.inbox.put(command(f"t{n}"))
    rig.judge(*(make_frame(sequence=n) for n in range(10)))
    replies = [json.loads(m.payload) for m in rig.published if "reply" in m.topic]
    assert [reply["txn"] for reply in replies] == [f"t{n}" for n in range(10)]


def test_a_slow_worker_bounds_what_the_others_do() -> None:
    """While one worker hangs on a frame the other judges at most ``AHEAD`` frames beyond it."""
    entered, release = threading.Event(), threading.Event()

    def hang(frame: Frame) -> None:
        if frame.sequence == 0:
            entered.set()
            release.wait(10)

    rig = Rig(FakeTask(hang), FakeTask(hang))
    for stage in rig.stages:
        stage.start()
    for n in range(40):
        wait_until(lambda: rig.boxes["c1"].wait_for_room(1) or rig.boxes["c1"].counts.waiting == 16)
        if not rig.boxes["c1"].put(make_frame(sequence=n)):
            break
        entered.wait(5)
    observed = sum(len(task.observed) for task in rig.tasks)
    wait_until(lambda: rig.boxes["c1"].counts.taken == AHEAD + 1)
    assert observed <= AHEAD
    release.set()
    rig.boxes.close()
    stop_all(rig.stages, time.monotonic() + 10)
    assert rig.tracker.seen == sorted(rig.tracker.seen)
    assert len(rig.tracker.seen) == rig.boxes["c1"].counts.taken


def test_a_lot_is_started_by_command() -> None:
    """The control step carries it out and replies with the lot's name."""
    desk = LineRig()
    rig = Rig(line=desk.desk)
    rig.inbox.put(Command("lot_start", "t-1", None, {"lot": "C-1"}, None, None, 5))
    rig.inbox.put(Command("lot_end", "t-2", None, {}, None, None, 6))
    rig.inbox.put(Command("lot_end", "t-3", None, {}, None, None, 7))
    rig.judge(make_frame())
    replies = [json.loads(one.payload) for one in rig.published if "/reply/" in one.topic]
    assert [(one["txn"], one["ok"], one["code"]) for one in replies] == [
        ("t-1", True, "ok"),
        ("t-2", True, "ok"),
        ("t-3", False, "no_lot"),
    ]
    assert replies[0]["data"] == {"lot": "C-1"}


def test_commands_are_carried_out_in_their_order() -> None:
    """Also with several workers: one of them at a time takes what waits."""
    desk = LineRig()
    rig = Rig(*(FakeTask() for _ in range(4)), line=desk.desk)
    for number in range(10):
        rig.inbox.put(
            Command("lot_start", f"a{number}", None, {"lot": f"C-{number}"}, None, None, 5)
        )
        rig.inbox.put(Command("lot_end", f"b{number}", None, {}, None, None, 6))
    rig.judge(*(make_frame(sequence=number) for number in range(8)))
    replies = [json.loads(one.payload) for one in rig.published if "/reply/" in one.topic]
    assert [one["txn"] for one in replies] == [f"{c}{n}" for n in range(10) for c in "ab"]
    assert all(one["ok"] for one in replies)
