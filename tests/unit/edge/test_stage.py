"""Threads that can be stopped, watched and asked how they ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from edge.errors import EngineError, StageFailed, StageStuck
from edge.stage import Stage, stop_all


def sleep(stage: Stage) -> None:
    """Wait a minute, or for the stop."""
    stage.wait(60)


def until(event: threading.Event) -> Callable[[Stage], None]:
    """A body that no stop can end."""

    def body(stage: Stage) -> None:
        event.wait(60)

    return body


def test_a_waiting_stage_stops_at_once() -> None:
    """Sleeping is the cancellation point: a stage that waits a minute ends when asked to."""
    stage = Stage("sleeper", sleep)
    stage.start()
    began = time.monotonic()
    stop_all([stage], began + 5)
    assert time.monotonic() - began < 1
    assert not stage.alive


def test_a_stage_that_will_not_end_is_stuck() -> None:
    """A late join names the thread; the stage can be joined later all the same."""
    release = threading.Event()
    stage = Stage("capture:door", until(release))
    stage.start()
    with pytest.raises(StageStuck, match="capture:door"):
        stop_all([stage], time.monotonic() + 0.05)
    release.set()
    stage.join(time.monotonic() + 5)
    assert not stage.alive


def test_all_are_told_before_any_is_joined() -> None:
    """Two stages of which each waits for the other's stop event both end."""
    stages: list[Stage] = []

    def body(index: int) -> None:
        while not stages[1 - index].stopping:
            stages[index].wait(0.01)

    stages += [Stage("a", lambda s: body(0)), Stage("b", lambda s: body(1))]
    for stage in stages:
        stage.start()
    stop_all(stages, time.monotonic() + 5)
    assert not any(stage.alive for stage in stages)


def test_one_stuck_stage_does_not_keep_the_others_alive() -> None:
    """Every stage is stopped and joined, and then the stuck ones are named."""
    release = threading.Event()
    stuck = Stage("stuck", until(release))
    good = Stage("good", sleep)
    for stage in (stuck, good):
        stage.start()
    with pytest.raises(StageStuck, match="thread stuck did"):
        stop_all([stuck, good], time.monotonic() + 0.1)
    good.join(time.monotonic() + 5)
    release.set()
    stuck.join(time.monotonic() + 5)


def test_interrupt_wakes_what_does_not_wait_for_the_event() -> None:
    """A body that waits for something else is woken by ``interrupt``, after the event is set."""
    other = threading.Event()
    seen: list[bool] = []
    stage = Stage(
        "publish",
        lambda s: seen.append(other.wait(60) and s.stopping),
        interrupt=other.set,
    )
    stage.start()
    stop_all([stage], time.monotonic() + 5)
    assert seen == [True]


def test_a_typed_failure_comes_out_as_it_was() -> None:
    """``check`` raises the LineSightError that ended the body."""
    failure = EngineError("no memory")

    def body(stage: Stage) -> None:
        raise failure

    stage = Stage("inference:0", body)
    stage.start()
    stage.join(time.monotonic() + 5)
    with pytest.raises(EngineError) as caught:
        stage.check()
    assert caught.value is failure


def test_any_other_failure_names_the_thread(caplog: pytest.LogCaptureFixture) -> None:
    """A defect ends the thread, is logged with its traceback, and ``check`` names both."""

    def body(stage: Stage) -> None:
        raise KeyError("box")

    stage = Stage("inference:0", body)
    stage.start()
    stage.join(time.monotonic() + 5)
    with pytest.raises(StageFailed, match=r"inference:0 failed: KeyError: 'box'"):
        stage.check()
    assert "Traceback" in caplog.text


def test_on_exit_runs_however_the_body_ends() -> None:
    """A failed body still tells those who wait for it."""
    told = threading.Event()

    def body(stage: Stage) -> None:
        raise EngineError("x")

    stage = Stage("s", body, on_exit=told.set)
    stage.start()
    assert told.wait(5)
    stage.join(time.monotonic() + 5)


def test_a_stage_never_started_needs_no_join() -> None:
    """Stopping what a failed start never reached is harmless."""
    stop_all([Stage("s", lambda s: None)], time.monotonic())
