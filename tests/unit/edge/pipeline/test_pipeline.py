"""The stages together: start, supervision, end, and the order of the stop."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from edge.errors import (
    EngineError,
    LineSightError,
    OutboxLocked,
    SourceUnavailable,
    StageFailed,
    StageStuck,
    UnsupportedSource,
)
from edge.health import Health
from edge.outbox import Outbox
from edge.pipeline import AlertIds, Camera, Description, LastExit, Observer, Pipeline
from edge.pipeline.presence import Presence
from edge.protocols import Sink
from edge.records import Frame
from tests.fakes import FakeRule, FakeSink, FakeSource, FakeTask, FakeTracker, wait_until
from tests.helpers.stages import BOOT, STATION, number_of


class Rig:
    """A pipeline of fakes around a real outbox."""

    def __init__(
        self,
        folder: Path,
        *sources: FakeSource,
        tasks: Sequence[FakeTask] | None = None,
        sink: Sink | None = None,
        each: bool = False,
        interval_s: float = 30.0,
        observer: Observer | None = None,
        end_process: Callable[[int], None] = lambda code: None,
    ) -> None:
        self.path = folder / "outbox.db"
        self.sink = sink or FakeSink()
        self.tasks = tasks or [FakeTask()]
        self.ids = AlertIds()
        self.trackers = {source.camera: FakeTracker() for source in sources}
        self.pipeline = Pipeline(
            station=STATION,
            cameras=[
                Camera(
                    source.camera,
                    source,
                    "latest" if source.live else "every",
                    self.trackers[source.camera],
                    FakeRule(self.ids.next, each=each),
                    max_age_ms=1000,
                )
                for source in sources
            ],
            tasks=self.tasks,
            sink=self.sink,
            open_outbox=self.open,
            ids=self.ids,
            health=Health((s.camera for s in sources), is_clock_synced=lambda: True),
            health_interval_s=interval_s,
            description=Description({"linesight": "0"}, {"machine": "fake"}),
            last_exit=LastExit(folder / "last"),
            observer=observer,
            end_process=end_process,
        )

    def open(self) -> Outbox:
        return Outbox.open(self.path, boot_id=BOOT)

    def stored(self) -> int:
        """Rows on disk after the stop."""
        outbox = self.open()
        try:
            return len(outbox.peek(10_000))
        finally:
            outbox.close()


def forever(seconds: float) -> bool:
    """Nobody asks the station to stop."""
    time.sleep(seconds)
    return False


def test_finite_sources_end_the_station(tmp_path: Path) -> None:
    """When all files are over everything is judged, delivered and stopped, without being asked."""
    sink = FakeSink()
    sources = [
        FakeSource([count], camera=name, live=False) for name, count in (("a", 40), ("b", 3))
    ]
    rig = Rig(tmp_path, *sources, sink=sink)
    rig.pipeline.run(forever)
    assert rig.trackers["a"].seen == list(range(40))
    assert rig.trackers["b"].seen == list(range(3))
    phases = [json.loads(m.payload)["phase"] for m in sink.rows() if "/b/" in m.topic]
    assert phases == ["new", "update", "update", "end"]
    assert len(sink.rows()) == 45
    assert rig.stored() == 0
    assert sink.farewell is not None
    assert rig.tasks[0].closed == 1


def test_files_judge_every_frame_and_live_cameras_the_newest(tmp_path: Path) -> None:
    """With a slow model a file loses nothing; a live camera loses frames, exactly counted (F77)."""

    def slow(frame: Frame) -> None:
        time.sleep(0.003)

    file = FakeSource([60], camera="file", live=False)
    live = FakeSource([60], camera="live", live=True, gap_s=0.001)
    rig = Rig(tmp_path, file, live, tasks=[FakeTask(slow)])
    rig.pipeline.run(forever)
    assert rig.trackers["file"].seen == list(range(60))
    status = rig.pipeline.health.status().cameras
    assert status["file"].drops.mailbox == 0
    assert status["live"].frames_in == 60
    assert status["live"].drops.mailbox == 60 - len(rig.trackers["live"].seen) > 0


def test_an_absent_camera_and_an_absent_broker_do_not_stop_the_start(tmp_path: Path) -> None:
    """The station is ready and degraded; the other camera is judged (F04, F38)."""
    absent = FakeSource(camera="gone", opens=[SourceUnavailable("no such device")] * 100)
    there = FakeSource(camera="here", endless=True, gap_s=0.005)
    rig = Rig(tmp_path, absent, there, sink=FakeSink(reachable=False))
    ready: list[float] = []
    began = time.monotonic()

    def until(seconds: float) -> bool:
        time.sleep(0.01)
        return len(rig.trackers["here"].seen) >= 5 and "cam_absent" in rig.pipeline.reporter.summary

    rig.pipeline.run(until, on_ready=lambda: ready.append(time.monotonic()))
    assert ready[0] - began < 2
    assert rig.stored() >= 5


def test_a_stop_is_quick_and_ends_open_alerts(tmp_path: Path) -> None:
    """A live station that is asked to stop ends its alert, delivers it, and says offline last."""
    sink = FakeSink()
    source = FakeSource(endless=True, gap_s=0.005)
    rig = Rig(tmp_path, source, sink=sink)
    stops: list[float] = []

    def until(seconds: float) -> bool:
        time.sleep(0.01)
        return len(sink.rows()) >= 3

    rig.pipeline.run(until, on_stop=lambda: stops.append(time.monotonic()))
    assert time.monotonic() - stops[0] < 1.5
    assert json.loads(sink.rows()[-1].payload)["phase"] == "end"
    assert sink.sent[-1].topic.endswith("/health") or sink.sent[-1].way == "outbox"
    assert sink.farewell is not None
    assert sink.farewell.payload == b"offline"
    assert not source.is_open
    assert rig.stored() == 0
    assert threading.active_count() == 1 or all(
        not t.name.startswith(("capture", "inference", "outbox", "publish"))
        for t in threading.enumerate()
    )


def test_every_retained_slot_is_there_before_online(tmp_path: Path) -> None:
    """``info`` and each camera's availability and state stand before the first ``online``."""
    sink = FakeSink()
    rig = Rig(tmp_path, FakeSource([1], live=False), sink=sink)
    rig.pipeline.run(forever)
    before = [m.topic for m in sink.sent[: [m.payload for m in sink.sent].index(b"online")]]
    assert "linesight/n1/info" in before
    assert "linesight/n1/cam/c1/availability" in before
    assert "linesight/n1/cam/c1/state" in before


def test_a_failed_thread_ends_the_station_with_its_error(tmp_path: Path) -> None:
    """EngineError comes out of ``run``; the rest was stopped in order and said offline."""

    def fail(frame: Frame) -> None:
        raise EngineError("delegate lost")

    sink = FakeSink()
    source = FakeSource(endless=True, gap_s=0.005)
    rig = Rig(tmp_path, source, tasks=[FakeTask(fail)], sink=sink)
    with pytest.raises(EngineError, match="delegate lost"):
        rig.pipeline.run(forever)
    assert sink.farewell is not None
    assert not source.is_open


def test_a_source_that_can_never_open_ends_the_station(tmp_path: Path) -> None:
    """A wrong source is an error with its own exit code, not a wait."""
    rig = Rig(tmp_path, FakeSource(opens=[UnsupportedSource("camera 'c1': no pictures")]))
    with pytest.raises(UnsupportedSource):
        rig.pipeline.run(forever)


def test_an_owned_outbox_ends_the_start(tmp_path: Path) -> None:
    """A second station on the same state directory says so and starts no camera (F63)."""
    source = FakeSource(endless=True)
    rig = Rig(tmp_path, source)
    other = rig.open()
    try:
        with pytest.raises(OutboxLocked):
            rig.pipeline.run(forever)
    finally:
        other.close()
    assert source.opened == 0
    assert rig.tasks[0].closed == 1
    assert isinstance(rig.sink, FakeSink)
    assert rig.sink.closed == 1


def test_a_stuck_camera_makes_the_stop_fail_after_everything_else_is_done(tmp_path: Path) -> None:
    """A native call that never returns: alerts and farewell are delivered, then StageStuck."""
    entered, release = threading.Event(), threading.Event()

    class Stuck(FakeSource):
        def read(self) -> Frame | None:
            if self.given == 3:
                entered.set()
                release.wait(30)
            return super().read()

    sink = FakeSink()
    rig = Rig(tmp_path, Stuck(endless=True, gap_s=0.05), sink=sink)
    rig.pipeline.start()
    assert entered.wait(5)
    wait_until(lambda: len(sink.rows()) == 3)
    began = time.monotonic()
    with pytest.raises(StageStuck, match="capture:c1"):
        rig.pipeline.stop(timeout_s=2.0)
    assert time.monotonic() - began < 2.5
    assert sink.farewell is not None
    assert json.loads(sink.rows()[-1].payload)["phase"] == "end"
    assert rig.stored() == 0
    release.set()


def test_frames_for_which_no_time_is_left_are_dropped_and_counted(tmp_path: Path) -> None:
    """A full mailbox and a slow model: the stop keeps its deadline, the rest counts as dropped."""
    source = FakeSource(endless=True, live=False)
    rig = Rig(tmp_path, source, tasks=[FakeTask(lambda frame: time.sleep(0.3))])
    rig.pipeline.start()
    wait_until(lambda: rig.pipeline.mailboxes["c1"].counts.waiting == 16)
    began = time.monotonic()
    rig.pipeline.stop(timeout_s=2.0)
    assert time.monotonic() - began < 2.0
    counts = rig.pipeline.mailboxes["c1"].counts
    assert counts.dropped > 0
    assert counts.waiting == 0
    assert counts.put == counts.taken + counts.dropped + counts.refused


def test_health_is_told_at_once_when_it_changes_and_else_by_the_clock(tmp_path: Path) -> None:
    """The first status, one for each change of the reasons, and one each interval."""
    sink = FakeSink()
    rig = Rig(tmp_path, FakeSource([1], live=False), sink=sink, interval_s=3600)

    def told() -> list[list[str]]:
        return [
            [reason["code"] for reason in json.loads(m.payload)["reasons"]]
            for m in list(sink.sent)
            if m.topic == "linesight/n1/health"
        ]

    rig.pipeline.start()
    wait_until(lambda: rig.pipeline.ended and sink.connected)
    for _ in range(20):
        rig.pipeline.tick()
    wait_until(lambda: told() == [[]])
    due, since = rig.pipeline.reporter._due, rig.pipeline.health._since
    rig.pipeline.health.cameras["c1"].lost("unplugged")
    for _ in range(20):
        rig.pipeline.tick()
    wait_until(lambda: told() == [[], ["cam_absent"]])
    # Out of turn: neither the next message's time nor its interval has changed.
    assert (rig.pipeline.reporter._due, rig.pipeline.health._since) == (due, since)
    rig.pipeline.reporter._due = 0.0
    rig.pipeline.tick()
    wait_until(lambda: told() == [[], ["cam_absent"], ["cam_absent"]])
    rig.pipeline.stop()


def test_a_stuck_thread_withholds_the_ping_and_ends_the_process(tmp_path: Path) -> None:
    """A heartbeat over its limit: no ping; at 30 s the process is ended."""
    ends: list[int] = []
    rig = Rig(tmp_path, FakeSource(endless=True, gap_s=0.01), end_process=ends.append)
    rig.pipeline.start()
    assert rig.pipeline.tick()
    worker = rig.pipeline._workers[0]
    worker.heartbeat.beat = lambda: None  # type: ignore[method-assign]
    worker.heartbeat._beaten -= 11
    assert not rig.pipeline.tick()
    worker.heartbeat._beaten -= 20
    rig.pipeline.tick()
    assert ends == [1]
    rig.pipeline.stop()


def test_two_workers_and_three_cameras_keep_each_cameras_order(tmp_path: Path) -> None:
    """Each camera's frames are judged in order, whichever worker had them, and none is lost."""
    sources = [FakeSource([50], camera=name, live=False) for name in ("a", "b", "c")]
    tasks = [FakeTask(lambda frame: time.sleep(0.001 * (frame.sequence % 3))) for _ in range(2)]
    sink = FakeSink()
    rig = Rig(tmp_path, *sources, tasks=tasks, sink=sink, each=True)
    rig.pipeline.run(forever)
    for name in ("a", "b", "c"):
        assert rig.trackers[name].seen == list(range(50))
        bodies = [json.loads(m.payload) for m in sink.rows() if f"/{name}/" in m.topic]
        assert [body["seq"] for body in bodies] == list(range(1, 101))
    assert len({(m.topic, number_of(m), m.rev) for m in sink.rows()}) == 300
    assert all(task.observed for task in tasks)


def test_a_second_stop_is_harmless(tmp_path: Path) -> None:
    """Stopping twice does nothing the second time."""
    rig = Rig(tmp_path, FakeSource([1], live=False))
    rig.pipeline.start()
    rig.pipeline.stop()
    rig.pipeline.stop()


class Hanging(FakeSource):
    """After three frames a read hangs in the driver until ``release``, then gives frames again."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(endless=True, gap_s=0.01, **arguments)
        self.entered, self.release = threading.Event(), threading.Event()

    def read(self) -> Frame | None:
        if self.given == 3:
            self.entered.set()
            self.release.wait(30)
        return super().read()


def last_words(sink: FakeSink, suffix: str) -> bytes:
    """The retained value that a broker has at the end."""
    return [m.payload for m in list(sink.sent) if m.topic.endswith(suffix)][-1]


def test_a_camera_that_hangs_is_offline_after_the_stop(tmp_path: Path) -> None:
    """The stop says it in the place of the thread that cannot, and before the farewell."""
    sink = FakeSink()
    source = Hanging()
    rig = Rig(tmp_path, source, sink=sink)
    rig.pipeline.start()
    assert source.entered.wait(5)
    wait_until(lambda: len(sink.rows()) == 3)
    assert last_words(sink, "cam/c1/availability") == b"online"
    with pytest.raises(StageStuck):
        rig.pipeline.stop(timeout_s=2.0)
    assert last_words(sink, "cam/c1/availability") == b"offline"
    source.release.set()


def test_what_a_camera_says_after_the_farewell_does_not_count() -> None:
    """A thread that wakes up late cannot make the camera online again."""
    said: list[bytes] = []
    presence = Presence("c1", station=lambda: STATION, publish=lambda m: said.append(m.payload))
    presence.tell(True)
    presence.leave()
    presence.tell(True)
    assert said == [b"online", b"offline"]


def test_a_failed_camera_thread_leaves_the_camera_offline(tmp_path: Path) -> None:
    """A defect in a source ends the station; the retained availability is right all the same."""
    sink = FakeSink()
    rig = Rig(tmp_path, FakeSource([3, ZeroDivisionError("defect")], gap_s=0.05), sink=sink)
    with pytest.raises(StageFailed, match="defect"):
        rig.pipeline.run(forever)
    assert last_words(sink, "cam/c1/availability") == b"offline"


def test_alerts_end_although_every_worker_died(tmp_path: Path) -> None:
    """The last worker fails while an alert is open: the stop ends it and says so."""

    def fail(frame: Frame) -> None:
        if frame.sequence == 3:
            raise EngineError("delegate lost")

    sink = FakeSink()
    source = FakeSource(endless=True, live=False, gap_s=0.01)
    rig = Rig(tmp_path, source, tasks=[FakeTask(fail)], sink=sink)
    with pytest.raises(EngineError, match="delegate lost"):
        rig.pipeline.run(forever)
    assert [json.loads(m.payload)["phase"] for m in sink.rows()] == [
        "new",
        "update",
        "update",
        "end",
    ]
    assert json.loads(last_words(sink, "cam/c1/state"))["alert"] is False


def test_each_failure_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The first failure is raised, another that the stop finds is logged, neither of them twice."""
    both = threading.Barrier(2, timeout=10)

    class Failing(FakeSource):
        def read(self) -> Frame | None:
            both.wait()
            raise UnsupportedSource(f"camera {self.camera!r}: defect")

    sources = [Failing(camera="a"), Failing(camera="b"), FakeSource(camera="c", endless=True)]
    rig = Rig(tmp_path, *sources)
    with pytest.raises(LineSightError) as caught:
        rig.pipeline.run(forever)
    told = [str(caught.value), *(r.getMessage() for r in caplog.records if r.levelname == "ERROR")]
    assert sorted(told) == ["camera 'a': defect", "camera 'b': defect"]


def test_info_tells_how_the_last_run_ended(tmp_path: Path) -> None:
    """Nothing at the first start, then how the run before ended: stopped, failed or killed."""

    def run(*, fail: bool = False) -> str | None:
        def work(frame: Frame) -> None:
            if fail:
                raise EngineError("delegate lost")

        sink = FakeSink()
        source = FakeSource([1], live=False)
        rig = Rig(tmp_path, source, sink=sink, tasks=[FakeTask(work)])
        with contextlib.suppress(EngineError):
            rig.pipeline.run(forever)
        found = json.loads(last_words(sink, "/info")).get("last_exit")
        assert found is None or isinstance(found, str)
        return found

    assert run() is None
    assert run(fail=True) == "stopped"
    assert run() == "delegate lost"
    LastExit(tmp_path / "last").begin()  # what a run does that is killed afterwards
    told = run()
    assert told is not None
    assert "killed" in told


def test_a_run_that_never_began_leaves_no_word(tmp_path: Path) -> None:
    """The second instance on a state directory does not write into the first one's file."""
    (tmp_path / "last").write_text("as it was\n")
    rig = Rig(tmp_path, FakeSource(endless=True))
    other = rig.open()
    with pytest.raises(OutboxLocked):
        rig.pipeline.run(forever)
    other.close()
    assert (tmp_path / "last").read_text() == "as it was\n"
