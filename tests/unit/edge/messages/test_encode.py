"""Records become the messages that the interface promises."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from edge.messages import (
    encode_alert,
    encode_availability,
    encode_info,
    encode_reply,
    encode_state,
    encode_status,
)
from edge.messages.parts import moment
from edge.messages.payloads import PUBLISHED
from edge.records import (
    CameraStatus,
    Command,
    Drops,
    HeldBack,
    MqttStatus,
    OutboxStatus,
    Percentiles,
    Reason,
    Status,
)
from tests.helpers.alerts import ALERT, MODEL, NOW, STATION

STATUS = Status(
    state="degraded",
    reasons=(Reason("cam_stalled", "no frame for 12 s", "door"), Reason("outbox_high", "81 %")),
    cameras={"door": CameraStatus(100, 9.876, Drops(1, 2, 3, 4), 5, 6, 44.44)},
    mqtt=MqttStatus(True, 2, 1),
    outbox=OutboxStatus(3, 2048, 1.26, 0, 0, 0, 0),
    cpu=0.51234,
    rss_mb=123.456,
    infer_ms=Percentiles(1.0, 2.0, 3.0),
)


def body(payload: bytes) -> dict[str, Any]:
    """The payload, checked: an object without null that the published schema's model accepts."""
    text = payload.decode("utf-8")
    assert "null" not in text
    parsed = json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert isinstance(parsed, dict)
    return parsed


def test_alert_has_every_key() -> None:
    """An alert's payload has the documented keys and values, without what ``seal`` adds."""
    message = encode_alert(ALERT, STATION, encoded_ns=5_042_000_000)
    assert body(message.payload) == {
        "schema": "linesight.alert/1",
        "id": "0123456789abcdef-17",
        "rev": 2,
        "phase": "update",
        "node": "n1",
        "cam": "door",
        "boot": "7d1c2e0c-boot",
        "ts": "2025-03-01T12:00:00.123Z",
        "mono_ns": 5_000_000_000,
        "clock": {"synced": True},
        "task": "face_mask",
        "severity": "warning",
        "label": "without_mask",
        "score": 0.9123,
        "peak": 0.9877,
        "frames": {"hit": 5, "of": 8, "first": 34, "last": 41},
        "box": {"px": [320.0, 120.0, 64.0, 48.0], "norm": [0.5001, 0.25, 0.1, 0.1]},
        "track": 3,
        "model": {
            "name": "mask_classifier",
            "version": "1.0",
            "variant": "int8",
            "sha256": "ab" * 32,
        },
        "config": "c0ffee",
        "latency_ms": {
            "capture": 4.0,
            "queue": 1.23,
            "preprocess": 2.0,
            "infer": 20.5,
            "postprocess": 0.5,
            "total": 42.0,
        },
    }


def test_alert_goes_through_the_outbox() -> None:
    """An alert is a QoS 1 outbox message with its key and a week's expiry, not retained."""
    message = encode_alert(ALERT, STATION, encoded_ns=5_042_000_000)
    assert message.topic == "plant/hall-2/n1/cam/door/alert"
    assert (message.way, message.qos, message.retain) == ("outbox", 1, False)
    assert (message.id, message.rev, message.seq) == ("0123456789abcdef-17", 2, None)
    assert message.expiry_s == 7 * 24 * 3600


def test_alert_is_small() -> None:
    """An ordinary alert stays below 1.2 KB, with room for what ``seal`` adds (150 bytes)."""
    assert len(encode_alert(ALERT, STATION, encoded_ns=5_042_000_000).payload) < 1200 - 150


def test_summary_leaves_out_what_does_not_apply() -> None:
    """A summary of held back alerts has no box, frames or track, and none of them is null."""
    held = HeldBack(12, NOW, NOW + timedelta(seconds=60))
    summary = replace(ALERT, box=None, frames=None, track=None, summary=held, phase="end", rev=1)
    payload = body(encode_alert(summary, STATION, encoded_ns=5_042_000_000).payload)
    assert not {"box", "frames", "track"} & set(payload)
    assert payload["summary"] == {
        "held_back": 12,
        "since": "2025-03-01T12:00:00.123Z",
        "until": "2025-03-01T12:01:00.123Z",
    }


def test_status() -> None:
    """The health message is retained, QoS 0, expires after three intervals; keys as documented."""
    message = encode_status(STATUS, STATION, 30.0, now=NOW)
    assert message.topic == "plant/hall-2/n1/health"
    assert (message.way, message.qos, message.retain, message.expiry_s) == ("latest", 0, True, 90)
    payload = body(message.payload)
    assert payload == {
        "schema": "linesight.health/1",
        "ts": "2025-03-01T12:00:00.123Z",
        "state": "degraded",
        "reasons": [
            {"code": "cam_stalled", "cam": "door", "detail": "no frame for 12 s"},
            {"code": "outbox_high", "detail": "81 %"},
        ],
        "cameras": {
            "door": {
                "frames_in": 100,
                "judged_fps": 9.88,
                "age_ms_p95": 44.4,
                "drops": {"mailbox": 1, "stale": 2, "corrupt": 3, "throttle": 4},
                "nonfinite": 5,
                "reconnects": 6,
            }
        },
        "infer_ms": {"p50": 1.0, "p95": 2.0, "p99": 3.0},
        "mqtt": {"connected": True, "reconnects": 2, "inflight": 1},
        "outbox": {
            "rows": 3,
            "bytes": 2048,
            "oldest_s": 1.3,
            "dropped_oldest": 0,
            "dead": 0,
            "no_subscriber": 0,
            "duplicates_possible": 0,
        },
        "cpu": 0.512,
        "rss_mb": 123.5,
    }


@pytest.mark.parametrize("online", [True, False])
def test_availability(online: bool) -> None:
    """Availability is retained plain text, of the station or of one camera."""
    station = encode_availability(online, STATION)
    camera = encode_availability(online, STATION, "door")
    assert station.topic == "plant/hall-2/n1/availability"
    assert camera.topic == "plant/hall-2/n1/cam/door/availability"
    for message in (station, camera):
        assert message.payload == (b"online" if online else b"offline")
        assert (message.way, message.qos, message.retain) == ("latest", 1, True)
        assert message.expiry_s is None


def test_state() -> None:
    """A camera's state tells whether an alert is open, and the last label once there is one."""
    none = encode_state(STATION, "door", open_alerts=0, alerts_total=0, last=None, now=NOW)
    assert (none.topic, none.retain) == ("plant/hall-2/n1/cam/door/state", True)
    assert body(none.payload) == {
        "schema": "linesight.state/1",
        "ts": "2025-03-01T12:00:00.123Z",
        "alert": False,
        "open_alerts": 0,
        "alerts_total": 0,
    }
    one = encode_state(STATION, "door", open_alerts=1, alerts_total=4, last=ALERT, now=NOW)
    assert body(one.payload)["alert"] is True
    assert body(one.payload)["label"] == "without_mask"


def test_info() -> None:
    """Info names versions, models and every schema id that the station publishes."""
    message = encode_info(
        STATION, versions={"linesight": "0.1.0"}, hardware={"cpus": "2"}, models=[MODEL], now=NOW
    )
    payload = body(message.payload)
    assert (message.topic, message.retain) == ("plant/hall-2/n1/info", True)
    assert payload["schemas"] == sorted(PUBLISHED)
    assert payload["models"][0]["sha256"] == "ab" * 32


def command(response_topic: str | None) -> Command:
    """A ping."""
    return Command("ping", "t-1", None, {}, response_topic, b"\xbe\xef", 1)


def test_reply_goes_where_it_was_asked_for() -> None:
    """A reply goes to the request's response topic with its correlation data, else to ours."""
    asked = encode_reply(command("office/answers"), STATION, ok=True, code="ok", data={"a": 1})
    assert asked.topic == "office/answers"
    assert asked.properties == {"correlation_data": "beef"}
    assert (asked.way, asked.retain, asked.expiry_s) == ("transient", False, 60)
    assert body(asked.payload) == {
        "schema": "linesight.reply/1",
        "txn": "t-1",
        "ok": True,
        "code": "ok",
        "data": {"a": 1},
    }
    own = encode_reply(command(None), STATION, ok=False, code="full", error="64 commands wait")
    assert own.topic == "plant/hall-2/n1/reply/ping"
    assert body(own.payload)["error"] == "64 commands wait"


def test_nan_never_leaves() -> None:
    """NaN in a number is an error here and not at the consumer."""
    with pytest.raises(ValueError, match="finite"):
        encode_status(replace(STATUS, cpu=float("nan")), STATION, 30.0, now=NOW)


def test_moments_are_utc() -> None:
    """A time of another zone is converted, one without a zone refused."""
    zone = datetime.fromisoformat("2025-03-01T14:00:00.999999+02:00")
    assert moment(zone) == "2025-03-01T12:00:00.999Z"
    with pytest.raises(ValueError, match="no time zone"):
        moment(datetime(2025, 3, 1))
