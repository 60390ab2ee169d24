"""The service as a process: from camera to a real broker."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from edge.messages.payloads import AlertPayload, HealthPayload, InfoPayload, StatePayload
from tests.helpers.broker import Broker, Heard, Subscriber
from tests.helpers.station import PLAYFUL, Station, config_text

FINITE = f"{PLAYFUL}&frames=60"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A mosquitto that runs."""
    with Broker(tmp_path) as broker:
        yield broker


def bodies(heard: Sequence[Heard], suffix: str) -> list[dict[str, Any]]:
    """The JSON payloads on topics that end so, in order."""
    return [json.loads(message.payload) for message in heard if message.topic.endswith(suffix)]


def life_cycles(alerts: Sequence[dict[str, Any]]) -> dict[str, list[tuple[int, str]]]:
    """Alert id → (rev, phase) in the order of arrival."""
    found: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for alert in alerts:
        found[alert["id"]].append((alert["rev"], alert["phase"]))
    return dict(found)


def assert_complete(alerts: Sequence[dict[str, Any]]) -> None:
    """Every life cycle is new, updates, end, and revisions count from 1 without a gap."""
    for steps in life_cycles(alerts).values():
        assert [rev for rev, _ in steps] == list(range(1, len(steps) + 1))
        phases = [phase for _, phase in steps]
        assert (phases[0], phases[-1]) == ("new", "end")
        assert set(phases[1:-1]) <= {"update"}


def test_alerts_arrive_at_a_subscriber(tmp_path: Path, broker: Broker) -> None:
    """Files to their end: life cycles complete, valid, in order; then offline; exit code 0."""
    with Subscriber(broker.port, "linesight/#") as subscriber:
        cameras = {"door": FINITE, "hall": f"{FINITE}&seed=7"}
        text = config_text(tmp_path / "state", broker.port, cameras, workers=2)
        with Station(tmp_path, text) as station:
            assert station.wait() == 0, station.log
            assert "Traceback" not in station.log
        heard = subscriber.wait_for(lambda m: [x.text for x in m][-1:] == ["offline"])
    for camera in cameras:
        alerts = bodies(heard, f"/cam/{camera}/alert")
        assert len(life_cycles(alerts)) >= 4, station.log
        assert_complete(alerts)
        assert [alert["seq"] for alert in alerts] == list(range(1, len(alerts) + 1))
    every = bodies(heard, "/alert")
    assert len({alert["epoch"] for alert in every}) == 1
    assert all(alert["id"].startswith(every[0]["epoch"]) for alert in every)
    for payload, suffix in (
        (AlertPayload, "/alert"),
        (HealthPayload, "/health"),
        (InfoPayload, "/info"),
        (StatePayload, "/state"),
    ):
        found = bodies(heard, suffix)
        assert found, suffix
        for body in found:
            payload.model_validate_json(json.dumps(body))
    assert {m.qos for m in heard if m.topic.endswith("/alert")} == {1}
    last = bodies(heard, "/health")[-1]
    assert {name: camera["frames_in"] for name, camera in last["cameras"].items()} == {
        "door": 60,
        "hall": 60,
    }


def test_a_file_judges_every_frame(tmp_path: Path, broker: Broker) -> None:
    """Faster than any model could be, a file under ``every`` loses no frame (F77's twin)."""
    topics = ("linesight/n1/health", "linesight/n1/cam/door/alert")
    with Subscriber(broker.port, *topics) as subscriber:
        source = "synthetic://blobs?faces=1&frames=300&pace=fast"
        text = config_text(tmp_path / "state", broker.port, {"door": source})
        with Station(tmp_path, text) as station:
            assert station.wait() == 0, station.log
        heard = subscriber.wait_for(
            lambda m: any(
                body["cameras"]["door"]["frames_in"] == 300 for body in bodies(m, "/health")
            )
        )
    camera = bodies(heard, "/health")[-1]["cameras"]["door"]
    assert camera["drops"] == {"mailbox": 0, "stale": 0, "corrupt": 0, "throttle": 0}
    assert camera["nonfinite"] == 0
    # The alert of the one bare face ends with the file: judged to its last frame.
    alerts = bodies(heard, "/alert")
    assert alerts[-1]["phase"] == "end"
    assert alerts[-1]["frames"]["last"] == 299


def test_sigterm_ends_the_service_with_a_broker(tmp_path: Path, broker: Broker) -> None:
    """Within 5 s: open alerts end, everything is delivered, offline is said, exit 0 (F73)."""
    with Subscriber(broker.port, "linesight/#") as subscriber:
        text = config_text(tmp_path / "state", broker.port, {"door": PLAYFUL + "&live=1"})
        with Station(tmp_path, text) as station:
            subscriber.wait_for(lambda m: any(x.topic.endswith("/alert") for x in m), 20)
            code, seconds = station.terminate()
        heard = subscriber.wait_for(lambda m: [x.text for x in m][-1:] == ["offline"])
    assert (code, seconds <= 5) == (0, True), (code, seconds, station.log)
    assert_complete(bodies(heard, "/alert"))


def test_sigterm_ends_the_service_without_a_broker(tmp_path: Path, broker: Broker) -> None:
    """The broker never answers: started all the same, ended within 5 s, exit 0 (F73)."""
    broker.kill()
    text = config_text(tmp_path / "state", broker.port, {"door": PLAYFUL + "&live=1"})
    with Station(tmp_path, text) as station:
        station.wait_for_log("started")
        station.wait_for_log(" new: ")
        code, seconds = station.terminate()
    assert (code, seconds <= 5) == (0, True), (code, seconds, station.log)
    assert "Traceback" not in station.log


@pytest.mark.parametrize("moment_s", [0.05, 0.4, 0.8])
def test_sigterm_during_the_start_and_twice(
    tmp_path: Path, broker: Broker, moment_s: float
) -> None:
    """Whenever the signal comes, and however often, the process ends soon (F74)."""
    text = config_text(tmp_path / "state", broker.port, {"door": PLAYFUL + "&live=1"})
    with Station(tmp_path, text) as station:
        time.sleep(moment_s)  # not for luck: any moment must do
        station.process.terminate()
        code, seconds = station.terminate()
    # Before Python has come to our handler, the signal's own action ends the process.
    assert code in (0, -15), station.log
    assert seconds <= 10
    assert "Traceback" not in station.log or code == -15


def test_a_ping_is_answered(tmp_path: Path, broker: Broker) -> None:
    """``cmd/ping`` gets one reply with its txn; the same txn again is not carried out again."""
    with Subscriber(broker.port, "linesight/n1/availability", "linesight/n1/reply/#") as subscriber:
        text = config_text(tmp_path / "state", broker.port, {"door": PLAYFUL + "&live=1"})
        with Station(tmp_path, text) as station:
            subscriber.wait_for(lambda m: any(x.text == "online" for x in m), 20)
            for txn in ("t1", "t1", "t2"):
                subscriber.publish("linesight/n1/cmd/ping", json.dumps({"txn": txn}))
            heard = subscriber.wait_for(lambda m: sum("reply" in x.topic for x in m) == 3)
            station.terminate()
    replies = bodies(heard, "/reply/ping")
    # A refusal comes from another thread than a reply and may overtake it.
    assert sorted((reply["txn"], reply["ok"], reply["code"]) for reply in replies) == [
        ("t1", False, "replayed"),
        ("t1", True, "ok"),
        ("t2", True, "ok"),
    ]


def test_info_is_told_on_request(tmp_path: Path, broker: Broker) -> None:
    """``cmd/info`` is answered with the content of the retained ``info`` message."""
    with Subscriber(broker.port, "linesight/n1/#") as subscriber:
        text = config_text(tmp_path / "state", broker.port, {"door": PLAYFUL + "&live=1"})
        with Station(tmp_path, text) as station:
            subscriber.wait_for(lambda m: any(x.text == "online" for x in m), 20)
            subscriber.publish("linesight/n1/cmd/info", json.dumps({"txn": "t1"}))
            heard = subscriber.wait_for(lambda m: any("/reply/info" in x.topic for x in m))
            station.terminate()
    [reply] = bodies(heard, "/reply/info")
    [info] = bodies(heard, "n1/info")
    assert (reply["txn"], reply["ok"], reply["data"]) == ("t1", True, info)


def test_the_first_verdict_comes_within_three_seconds(tmp_path: Path, broker: Broker) -> None:
    """From the start of the process, interpreter and models included, to the first new alert. The
    best of three starts counts: whatever else the machine does only adds to it.
    """
    took: list[float] = []
    while len(took) < 3 and min(took, default=9.0) > 3.0:
        state = tmp_path / f"state-{len(took)}"  # nothing of the last start waits in it
        text = config_text(state, broker.port, {"door": PLAYFUL + "&live=1"})
        with (
            Subscriber(broker.port, "linesight/n1/cam/+/alert") as subscriber,
            Station(tmp_path, text) as station,
        ):
            subscriber.wait_for(lambda m: any('"new"' in x.text for x in m), 20)
            took.append(time.monotonic() - station.began)
            station.terminate()
    assert min(took) <= 3.0, took


@pytest.mark.parametrize(
    ("change", "code", "line"),
    [
        (('node = "n1"', 'node = "n/1"'), 78, "station.node"),
        (("blob_detector", "no_detector"), 78, "no_detector"),
        (("synthetic://blobs", "synthetik://blobs"), 78, "synthetik"),
        (("synthetic://blobs?faces=2&fps=15", "/no/such/file.mp4?x=1"), 78, "/no/such/file.mp4"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    tmp_path: Path, broker: Broker, change: tuple[str, str], code: int, line: str
) -> None:
    """A wrong id, model, scheme or file: exit 78, the thing is named, no traceback."""
    text = config_text(tmp_path / "state", broker.port, {"door": PLAYFUL}).replace(*change)
    with Station(tmp_path, text) as station:
        assert station.wait() == code, station.log
    assert line in station.log
    assert "Traceback" not in station.log


def test_a_second_instance_is_refused(tmp_path: Path, broker: Broker) -> None:
    """Two services on one state directory: the second names the first and exits 78 (F63)."""
    text = config_text(tmp_path / "state", broker.port, {"door": PLAYFUL + "&live=1"})
    with Station(tmp_path, text) as first:
        first.wait_for_log("started")
        other = tmp_path / "other"
        other.mkdir()
        with Station(other, text) as second:
            assert second.wait() == 78, second.log
        assert str(first.process.pid) in second.log
        assert first.terminate()[0] == 0


def test_messages_can_go_to_standard_output(tmp_path: Path, broker: Broker) -> None:
    """``--stdout`` needs no broker: one JSON line for each message, log lines on stderr only."""
    broker.kill()
    text = config_text(tmp_path / "state", broker.port, {"door": FINITE})
    with Station(tmp_path, text, "--stdout") as station:
        out, _ = station.process.communicate(timeout=30)
        assert station.process.returncode == 0, station.log
    lines = [json.loads(line) for line in out.splitlines()]
    alerts = [line["payload"] for line in lines if line["topic"].endswith("/alert")]
    assert alerts
    assert_complete(alerts)


def test_a_reader_that_goes_ends_the_service_in_one_line(tmp_path: Path) -> None:
    """``run --stdout | head -1``: exit code 1, one error, and no alert is buried."""
    text = config_text(tmp_path / "state", 1, {"door": PLAYFUL + "&live=1"})
    with Station(tmp_path, text, "--stdout") as station:
        assert station.process.stdout is not None
        assert station.process.stdout.readline()
        station.process.stdout.close()
        assert station.wait() == 1, station.log
        assert station.log.count("standard output") == 1, station.log
        assert "buried" not in station.log
        assert "Traceback" not in station.log
        assert "Exception ignored" not in station.log
