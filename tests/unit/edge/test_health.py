"""Heartbeats, counters and the status made from them."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from edge.health import (
    CameraHealth,
    Health,
    Heartbeat,
    Reservoir,
    boot_id,
    clock_synced,
    rss_mb,
)
from edge.records import Drops, OutboxStatus


def codes(health: Health) -> list[tuple[str, str | None]]:
    """The reasons by code and camera."""
    return [(reason.code, reason.cam) for reason in health.reasons()]


def make_health(*cameras: str, synced: bool = True) -> Health:
    """Of cameras that are fine, with a clock that is as said."""
    health = Health(
        cameras or ("c1",), max_rows=100, max_bytes=1000, is_clock_synced=lambda: synced
    )
    for camera in health.cameras.values():
        camera.opened(live=True)
    return health


def test_a_healthy_station_is_ok() -> None:
    """With cameras open, a broker and a clock, the state is ``ok`` and there are no reasons."""
    health = make_health("a", "b")
    health.broker.connected()
    status = health.status()
    assert status.state == "ok"
    assert status.reasons == ()
    assert set(status.cameras) == {"a", "b"}
    assert status.mqtt.connected
    assert status.rss_mb > 1
    assert status.cpu >= 0


def test_a_heartbeat_grows_old_and_may_be_excused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A heartbeat is fresh up to its limit; an excuse covers a known long call and ends with it."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    heart = Heartbeat(10.0)
    heart.beat()
    now[0] += 10
    assert heart.fresh
    now[0] += 1
    assert not heart.fresh
    heart.excuse(120)
    assert heart.fresh
    now[0] += 121
    assert not heart.fresh
    heart.excuse(120)
    heart.beat()
    now[0] += 11
    assert heart.age_s == 11


def test_an_absent_camera_degrades() -> None:
    """A lost camera is ``cam_absent`` with the error's text until it gives a frame again, and then
    counts as a reconnect.
    """
    health = make_health("a", "b")
    health.cameras["b"].frame_in()
    health.cameras["b"].lost("camera 'b': no such device")
    assert codes(health) == [("cam_absent", "b")]
    assert health.reasons()[0].detail == "camera 'b': no such device"
    assert health.status().state == "degraded"
    health.cameras["b"].lost("still gone")
    health.cameras["b"].opened(live=True)
    assert codes(health) == [("cam_absent", "b")]
    health.cameras["b"].frame_in()
    assert codes(health) == []
    assert health.status().cameras["b"].reconnects == 1


def test_a_silent_live_camera_is_stalled(monkeypatch: pytest.MonkeyPatch) -> None:
    """An open live camera without a frame for over 5 s, or three of its usual intervals, is
    ``cam_stalled``; the reason names the limit. A file never is.
    """
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    camera = CameraHealth("c1")
    camera.opened(live=True)
    now[0] += 4
    camera.frame_in()
    now[0] += 4.9
    assert camera.reasons() == []
    now[0] += 0.2
    assert [reason.code for reason in camera.reasons()] == ["cam_stalled"]
    camera.frame_in()
    assert camera.reasons() == []
    for _ in range(8):
        now[0] += 8
        camera.frame_in()
    now[0] += 23
    assert camera.reasons() == []  # within three intervals of 8 s
    now[0] += 2
    assert [reason.detail for reason in camera.reasons()] == ["no frame for over 24 s"]
    for _ in range(8):
        now[0] += 0.1
        camera.frame_in()
    now[0] += 40
    camera.frame_in()  # one long gap among short ones
    now[0] += 6
    assert [reason.detail for reason in camera.reasons()] == ["no frame for over 5 s"]
    for _ in range(8):
        now[0] += 50
        camera.frame_in()
    now[0] += 61
    assert [reason.detail for reason in camera.reasons()] == ["no frame for over 60 s"]
    camera.opened(live=False)
    now[0] += 60
    assert camera.reasons() == []


def test_five_nonfinite_outputs_in_a_row_are_a_reason() -> None:
    """Four do not suffice, a finite one between begins the row anew, the counter keeps all."""
    health = make_health()
    camera = health.cameras["c1"]
    for _ in range(4):
        camera.nonfinite()
    camera.finite()
    for _ in range(4):
        camera.nonfinite()
    assert codes(health) == []
    camera.nonfinite()
    assert codes(health) == [("model_nonfinite", "c1")]
    assert health.status().cameras["c1"].nonfinite == 9
    camera.finite()
    assert codes(health) == []


def test_the_broker_is_unreachable_only_after_an_attempt() -> None:
    """Before the first attempt nothing is said; afterwards the reason is the sink's text."""
    health = make_health()
    assert codes(health) == []
    health.broker.disconnected("localhost:1883: connection refused", 3)
    assert codes(health) == [("broker_unreachable", None)]
    health.broker.connected()
    assert codes(health) == []
    health.broker.disconnected("gone", 2)
    health.broker.connected()
    status = health.status()
    assert status.mqtt.reconnects == 1
    assert status.outbox.duplicates_possible == 5


def test_a_refused_topic_is_named_until_it_is_allowed() -> None:
    """``not_authorized`` names the topic and goes when a message on it was taken."""
    health = make_health()
    health.broker.refused("linesight/n1/cam/c1/alert", "forbidden")
    assert codes(health) == [("not_authorized", None)]
    assert "cam/c1/alert" in health.reasons()[0].detail
    health.broker.allowed("linesight/n1/cam/c1/alert")
    assert codes(health) == []


@pytest.mark.parametrize(("rows", "size", "high"), [(80, 0, False), (81, 0, True), (1, 801, True)])
def test_a_nearly_full_outbox_is_a_reason(rows: int, size: int, high: bool) -> None:
    """Above 80 % of its rows or of its bytes the outbox is ``outbox_high``."""
    health = make_health()
    health.outbox.counted(OutboxStatus(rows, size, 0.0, 0, 0, 0, 0))
    assert codes(health) == ([("outbox_high", None)] if high else [])


def test_a_failing_disk_degrades_and_losing_alerts_is_a_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """``disk_full`` while messages wait in memory; ``fault`` once one of them was lost, and for a
    minute, so that a health message tells it.
    """
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    health = make_health()
    health.outbox.failing("outbox.db: disk full")
    assert codes(health) == [("disk_full", None)]
    assert health.status().state == "degraded"
    health.outbox.lose()
    assert health.status().state == "fault"
    assert health.status().outbox.dropped_oldest == 1
    health.outbox.counted(OutboxStatus(1, 10, 0.0, 4, 0, 0, 0))
    assert (health.status().state, codes(health)) == ("fault", [("disk_full", None)])
    now[0] += 61
    health.cameras["c1"].frame_in()
    assert health.status().state == "ok"
    assert health.status().outbox.dropped_oldest == 5


def test_an_unsynchronised_clock_is_a_reason() -> None:
    """``clock_unsynced`` stands there as long as nothing disciplines the clock (F68)."""
    assert codes(make_health(synced=False)) == [("clock_unsynced", None)]


def test_counters_are_exact_under_many_threads() -> None:
    """Eight threads that count at once lose no count."""
    camera = CameraHealth("c1", mailbox_drops=lambda: 7)

    def count() -> None:
        for _ in range(500):
            camera.frame_in()
            camera.corrupt()
            camera.stale()
            camera.judged(1.0)

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    status = camera.status(2.0)
    assert status.frames_in == 4000
    assert status.drops == Drops(mailbox=7, stale=4000, corrupt=4000)
    assert status.judged_fps == 2000
    assert status.age_ms_p95 == 1.0


def test_rates_and_percentiles_are_of_the_last_interval() -> None:
    """After a status the rate and the percentiles begin anew, the counters go on."""
    camera = CameraHealth("c1")
    camera.frame_in()
    camera.judged(12.0)
    camera.status(1.0)
    status = camera.status(1.0)
    assert status.judged_fps == 0
    assert status.age_ms_p95 is None
    assert status.frames_in == 1


def test_a_reservoir_is_bounded_and_fair() -> None:
    """After 100,000 ascending values, 1,000 kept ones still tell the percentiles within 3 %."""
    reservoir = Reservoir(1000)
    for value in range(100_000):
        reservoir.add(value)
    assert len(reservoir._values) == 1000
    seen, percentiles = reservoir.drain()
    assert seen == 100_000
    assert percentiles is not None
    found = (percentiles.p50, percentiles.p95, percentiles.p99)
    assert found == pytest.approx((50_000, 95_000, 99_000), abs=5_000)
    assert reservoir.drain() == (0, None)


def test_the_machine_answers() -> None:
    """Memory is plausible, the boot id is stable, the clock question never raises."""
    ballast = np.ones(20_000_000, np.uint8)
    assert rss_mb() > ballast.nbytes / 1e6
    assert boot_id() == boot_id()
    assert clock_synced() in (True, False)


def test_eviction_from_a_full_outbox_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """``fault`` when ``dropped_oldest`` grows, not for what a former run lost."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    health = make_health()
    health.outbox.counted(OutboxStatus(100, 0, 0.0, 7, 0, 0, 0))
    assert health.status().state == "degraded"
    health.outbox.counted(OutboxStatus(100, 0, 0.0, 8, 0, 0, 0))
    assert (health.status().state, codes(health)) == ("fault", [("outbox_high", None)])
    health.outbox.counted(OutboxStatus(0, 0, 0.0, 8, 0, 0, 0))
    assert (health.status().state, codes(health)) == ("fault", [("outbox_high", None)])
    now[0] += 61
    health.cameras["c1"].frame_in()
    assert (health.status().state, codes(health)) == ("ok", [])


def test_the_cause_of_being_disconnected_has_its_own_code() -> None:
    """One connection reason at a time, with the code that the sink gave."""
    health = make_health()
    health.broker.disconnected("wrong password", 0, "not_authorized")
    assert codes(health) == [("not_authorized", None)]
    health.broker.disconnected("taken over", 0, "client_id_conflict")
    assert codes(health) == [("client_id_conflict", None)]
    health.broker.connected()
    assert codes(health) == []


def test_a_status_out_of_turn_shortens_no_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    """It tells the interval so far, and the next one in turn tells all of it."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    health = make_health()
    for _ in range(30):
        health.cameras["c1"].judged(5.0)
    health.infer_ms.add(3.0)
    now[0] += 3
    assert health.status(anew=False).cameras["c1"].judged_fps == pytest.approx(10)
    now[0] += 3
    status = health.status()
    assert status.cameras["c1"].judged_fps == pytest.approx(5)
    assert status.infer_ms is not None
    assert status.infer_ms.p50 == 3.0
    now[0] += 3
    assert health.status().cameras["c1"].judged_fps == 0
