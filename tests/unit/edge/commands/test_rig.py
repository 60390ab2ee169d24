"""What stands in for camera, people and broker while the service is measured."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from edge.commands.measure import CAMERA_FPS, run_camera
from edge.commands.rig import AckClock, ExactFaces, StillSource
from edge.commands.targets import Loaded, bundles_of
from edge.demo import local_broker as brokers
from edge.demo.crowd import crowd
from edge.demo.local_broker import LocalBroker, local_broker
from edge.errors import StageFailed
from edge.records import Detections, Message
from tests.fakes import FakeSink
from tests.helpers.broker import Subscriber
from tests.helpers.command import station_models


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    """The two tiny models."""
    return Loaded(bundles_of("face_mask", station_models(tmp_path)), ["auto", "auto"], 1)


def test_a_camera_keeps_its_pace_and_a_file_has_none() -> None:
    """The next frame of a camera is due one interval later; a file's at any time."""
    image, _ = crowd(1)
    camera, file = StillSource(image, fps=CAMERA_FPS), StillSource(image)
    camera.open()
    due_ns = camera.due_ns
    assert due_ns <= time.monotonic_ns()
    assert camera.read().sequence == 0
    assert camera.due_ns >= due_ns + 33_000_000
    file.open()
    assert [file.read().sequence for _ in range(3)] == [0, 1, 2]
    assert (camera.live, file.live, file.due_ns) == (True, False, 0)


def test_the_rule_is_told_of_one_face_that_changes(loaded: Loaded) -> None:
    """Bare and masked in turn, all others masked; without ``changing`` the classifier decides."""
    image, boxes = crowd(3)
    source = StillSource(image)
    assert loaded.detector is not None
    assert loaded.classifier is not None
    task = ExactFaces(loaded.detector, loaded.classifier, boxes, changing=True)
    told = []
    for _ in range(4):
        result = task.observe(source.read()).result
        assert isinstance(result, Detections)
        told.append([state.label for state in result.classifications])
    bare, masked = ["without_mask"], ["with_mask"]
    assert told == [bare + 2 * masked, 3 * masked, bare + 2 * masked, 3 * masked]
    assert len(task.cycles) == 3
    assert all(cycle.frame_ms > cycle.infer_ms > 0 for cycle in task.cycles)
    loaded.close()


def alert(captured_ns: int) -> Message:
    """An alert of a frame."""
    payload = json.dumps({"mono_ns": captured_ns}).encode()
    return Message("linesight/n1/cam/c1/alert", payload, way="outbox", qos=1, id="0-1", rev=1)


def test_an_acknowledgement_is_timed_from_the_capture() -> None:
    """What was captured before the connection waited for that and does not count; what ends with
    the station was captured long before, and of one frame the first alert counts.
    """
    inner = FakeSink(prompt=False)
    sink = AckClock(inner)
    before_ns = time.monotonic_ns()
    sink.open()
    sink.poll(1.0)
    sink.send(alert(before_ns))
    captured_ns = time.monotonic_ns()
    sink.send(alert(captured_ns))
    sink.send(Message("linesight/n1/health", b"{}", way="latest", retain=True))
    inner.acknowledge()
    sink.poll(1.0)
    assert list(sink.ages_ms) == [captured_ns]
    first_ms = sink.ages_ms[captured_ns]
    assert 0 < first_ms < 5000
    sink.send(alert(captured_ns))
    inner.acknowledge()
    sink.poll(1.0)
    assert sink.ages_ms == {captured_ns: first_ms}


def test_latencies_come_from_a_real_broker(loaded: Loaded, tmp_path: Path) -> None:
    """The alerts of the measurement arrive at a subscriber of the broker that acknowledged them."""
    folder = tmp_path / "state"
    folder.mkdir()
    with local_broker() as broker, Subscriber(broker.port, "linesight/bench/#") as subscriber:
        latency = run_camera([loaded], *crowd(2), 0.3, folder, broker)
        alerts = subscriber.on("linesight/bench/cam/c1/alert")
    loaded.close()
    assert len(latency.verdict_ms) == len(latency.puback_ms) > 0
    assert len(alerts) > len(latency.puback_ms)
    phases = [json.loads(message.text)["phase"] for message in alerts]
    assert phases[:2] == ["new", "end"]


def test_a_broker_that_is_not_there_ends_the_measurement(
    loaded: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No figure without an acknowledgement."""
    monkeypatch.setattr("edge.commands.measure._CONNECT_S", 0.2)
    nobody = LocalBroker("none", "0", "nowhere", brokers.free_port(), "5")
    with pytest.raises(StageFailed, match="0 alerts were acknowledged"):
        run_camera([loaded], *crowd(1), 0.1, tmp_path, nobody)
    loaded.close()


def test_mosquitto_is_the_broker_where_it_is_installed() -> None:
    """It says its version, listens on this machine alone, and is gone afterwards."""
    with local_broker() as broker:
        assert (broker.name, broker.where) == ("mosquitto", "a process of its own")
        assert broker.version[0].isdigit()
        with Subscriber(broker.port, "x") as subscriber:
            subscriber.publish("x", "1")
            subscriber.wait_for(lambda messages: len(messages) == 1)
    with pytest.raises(ConnectionRefusedError):
        Subscriber(broker.port, "x").start()


def test_the_embedded_broker_stands_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin: without mosquitto it is amqtt at MQTT 3.1.1, and says that it is no process."""
    monkeypatch.setattr("edge.demo.local_broker.shutil.which", lambda name, path=None: None)
    with local_broker() as broker:
        assert (broker.name, broker.where) == ("amqtt", "in this process")
        with Subscriber(broker.port, "x", protocol=broker.protocol) as subscriber:
            subscriber.publish("x", "1")
            subscriber.wait_for(lambda messages: len(messages) == 1)
