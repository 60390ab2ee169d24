"""`linesight watch` beside a real broker."""

from __future__ import annotations

import json
from pathlib import Path

from tests.helpers.broker import Broker, Subscriber
from tests.helpers.command import linesight


def test_watch_reports_what_it_heard(tmp_path: Path) -> None:
    """Retained messages of every station under the root are in lines and in the JSON; exit 0."""
    report = tmp_path / "watch.json"
    with Broker(tmp_path) as broker, Subscriber(broker.port) as other:
        other.publish("plant/n1/availability", b"online", retain=True)
        other.publish("plant/n2/availability", b"offline", retain=True)
        other.publish("plant/n1/health", b"{", retain=True)
        done = linesight(
            *("watch", "--port", str(broker.port), "--root", "plant"),
            *("--seconds", "1", "--json", str(report)),
        )
    assert done.returncode == 0, done.stderr
    assert {"n1 is online", "n2 is offline"} <= set(done.stdout.splitlines())
    figures = json.loads(report.read_text())
    assert figures["stations"]["n1"]["online"] is True
    assert figures["malformed"] == 1


def test_json_on_standard_output_is_nothing_but_json(tmp_path: Path) -> None:
    """With `--json -` the lines go to stderr."""
    with Broker(tmp_path) as broker, Subscriber(broker.port) as other:
        other.publish("plant/n1/availability", b"online", retain=True)
        done = linesight(
            *("watch", "--port", str(broker.port), "--root", "plant"),
            *("--seconds", "1", "--json", "-"),
        )
    assert json.loads(done.stdout)["stations"]["n1"]["online"] is True
    assert "n1 is online" in done.stderr


def test_watch_takes_the_broker_of_a_station(tmp_path: Path) -> None:
    """--config names broker and root, and not the station's client id."""
    path = tmp_path / "station.toml"
    with Broker(tmp_path) as broker, Subscriber(broker.port) as other:
        path.write_text(
            '[station]\nnode = "n"\ntask = "face_mask"\nroot = "r/s"\n[[camera]]\nid = "c"\n'
            f'source = "0"\n[mqtt]\nport = {broker.port}\n'
        )
        other.publish("r/s/n1/availability", b"online", retain=True)
        done = linesight("watch", "--config", path, "--seconds", "1")
        assert "n1 is online" in done.stdout
        assert "r-s-n" not in broker.log()
