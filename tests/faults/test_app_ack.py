"""F40: a broker that loses what it has acknowledged, and the one mode that survives it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from edge.sinks.mqtt import MqttSettings, MqttSink
from tests.fakes import wait_until
from tests.helpers.broker import Broker, Heard, Subscriber
from tests.helpers.stages import ALERTS, OutboxRig, PublishRig, alert_message, running

ROWS = 60


def heard_after_a_kill(directory: Path, *, app_ack: bool) -> set[str]:
    """Alerts that a consumer gets which was away when the broker was killed.

    mosquitto with its default ``autosave_interval`` holds what it has acknowledged in memory.
    """
    outbox = OutboxRig(directory)
    with Broker(directory) as broker:
        topic = ALERTS
        with Subscriber(broker.port, topic, client_id="keeper"):
            pass  # its session stays at the broker, and is lost with it
        sink = MqttSink(MqttSettings("127.0.0.1", "sut", broker.port))
        with outbox.running():
            rig = PublishRig(outbox, sink, app_ack=app_ack)
            with running(rig.stage()):
                for n in range(ROWS):
                    outbox.store.put(alert_message(n))
                wait_until(
                    lambda: (
                        outbox.store.accepted == ROWS
                        and outbox.store.drained
                        and not rig.health.status().inflight
                    ),
                    timeout_s=20.0,
                )
                broker.kill()
                broker.start()
                with (
                    Subscriber(broker.port, topic, client_id="keeper") as keeper,
                    Subscriber(broker.port) as voice,
                ):
                    if not app_ack:
                        wait_until(lambda: rig.health.is_connected, timeout_s=20.0)
                        voice.publish(topic, b'{"id": "the end"}')
                        heard = keeper.wait_for(lambda got: any("the end" in m.text for m in got))
                        return _ids(heard) - {"the end"}
                    heard = keeper.wait_for(lambda got: len(_ids(got)) >= ROWS, timeout_s=30.0)
                    last = json.loads(heard[-1].text)
                    voice.publish(
                        "linesight/n1/cmd/ack",
                        json.dumps(
                            {"epoch": last["epoch"], "topic": topic, "seq": last["seq"]}
                        ).encode(),
                    )
                    wait_until(lambda: outbox.health.status(0).rows == 0, timeout_s=10.0)
                    return _ids(heard)


def _ids(heard: Sequence[Heard]) -> set[str]:
    return {json.loads(message.text)["id"] for message in heard}


@pytest.mark.timeout(120)
def test_f40_app_ack_survives_a_broker_that_forgets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every alert comes again after the broker's kill -9, and leaves the disk when the consumer
    has confirmed it.
    """
    # The station may be back before the consumer: then the rows come again a while later.
    monkeypatch.setattr("edge.pipeline.publish.CONFIRM_S", 2.0)
    assert len(heard_after_a_kill(tmp_path, app_ack=True)) == ROWS


@pytest.mark.timeout(120)
def test_f40_broker_default_autosave_loses_acked(tmp_path: Path) -> None:
    """The twin: where the broker's word is enough, what it forgot is gone."""
    assert len(heard_after_a_kill(tmp_path, app_ack=False)) < ROWS
