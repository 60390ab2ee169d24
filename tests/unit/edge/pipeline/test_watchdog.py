"""When the service may say that it is alive."""

from __future__ import annotations

import time

import pytest

from edge.pipeline.watchdog import Watchdog
from edge.stage import Stage, stop_all


def sleep(stage: Stage) -> None:
    """Wait a minute, or for the stop."""
    stage.wait(60)


def test_fresh_heartbeats_allow_the_ping_and_a_stuck_thread_ends_the_process() -> None:
    """Fresh: ping. Older than the limit: no ping. 30 s: the process ends with code 1."""
    ends: list[int] = []
    stages = [Stage(name, sleep) for name in ("a", "b")]
    watchdog = Watchdog(stages, end=ends.append)
    for stage in stages:
        stage.start()
    assert watchdog.may_ping()
    stages[1].heartbeat._beaten -= 10.5
    assert not watchdog.may_ping()
    assert ends == []
    stages[1].heartbeat._beaten -= 20
    assert not watchdog.may_ping()
    assert ends == [1]
    stages[1].beat()
    assert watchdog.may_ping()
    stop_all(stages, time.monotonic() + 5)


def test_a_thread_that_has_ended_needs_no_heartbeat() -> None:
    """A camera whose file is over does not withhold the ping."""
    stage = Stage("capture:c1", lambda stage: None)
    stage.start()
    stage.join(time.monotonic() + 5)
    stage.heartbeat._beaten -= 100
    assert Watchdog([stage], end=lambda code: pytest.fail("ended")).may_ping()


def test_a_publish_thread_inside_a_connect_is_excused() -> None:
    """A resolver that hangs for 100 s withholds no ping."""
    stage = Stage("publish", sleep, heartbeat_s=15)
    stage.start()
    stage.heartbeat.excuse(120)
    stage.heartbeat._beaten -= 100
    assert Watchdog([stage], end=lambda code: pytest.fail("ended")).may_ping()
    stop_all([stage], time.monotonic() + 5)
