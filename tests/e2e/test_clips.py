"""The two real clips go through the service, with the shipped models, to a real broker.

Nobody in them wears a mask. What a face detector misses in them is for the evaluation to say; here
every alert must be one that a person would call right.
"""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.broker import Broker, Subscriber
from tests.helpers.bundles import edit_manifest
from tests.helpers.data import data_dir
from tests.helpers.schema import violations
from tests.helpers.station import Station

MODELS = Path(__file__).parents[2] / "models"

Region = tuple[float, float, float, float]
"""x, y, width, height in pixels."""


@dataclass(frozen=True)
class Clip:
    """A clip, its frame's size, and where the heads of its people are, from first frame to last."""

    file: str
    width: int
    height: int
    frames: int
    heads: tuple[Region, ...]


CLIPS = [
    Clip(
        "classroom.gif",
        *(480, 270, 45),
        ((50, 128, 50, 62), (112, 112, 44, 40), (216, 112, 44, 40), (288, 130, 52, 52)),
    ),
    Clip(
        "face-demographics-walking-and-pause.gif",
        *(480, 270, 41),
        ((40, 55, 95, 100), (180, 45, 90, 100), (290, 75, 125, 95)),
    ),
]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A mosquitto that runs."""
    with Broker(tmp_path) as broker:
        yield broker


def config_text(folder: Path, broker: Broker, clip: Path, models: Path = MODELS) -> str:
    """A station.toml of few lines: rule, models and limits are the defaults."""
    return f"""
[station]
node = "n1"
task = "face_mask"
state_dir = "{folder / "state"}"
models_dir = "{models}"
[[camera]]
id = "hall"
source = "{clip}"
[mqtt]
host = "127.0.0.1"
port = {broker.port}
"""


def messages(folder: Path, broker: Broker, text: str) -> list[tuple[str, Any]]:
    """What a subscriber hears of one run to the end of its file: topic and payload."""
    with Subscriber(broker.port, "linesight/#") as subscriber:
        with Station(folder, text) as station:
            assert station.wait(60) == 0, station.log
            assert "Traceback" not in station.log
        heard = subscriber.wait_for(lambda m: [x.text for x in m][-1:] == ["offline"])
    return [
        (message.topic, json.loads(message.payload))
        for message in heard
        if message.payload.startswith(b"{")
    ]


def senseless(alerts: Sequence[dict[str, Any]], clip: Clip) -> list[str]:
    """What a person who looks at the clip would object to, none when the alerts are sensible."""
    wrong: list[str] = []
    lives: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for alert in alerts:
        lives[alert["id"]].append(alert)
        wrong += violations("alert.1.schema.json", alert)
        if alert["label"] != "without_mask":
            wrong.append(f"{alert['id']}: {alert['label']}, and nobody wears one")
        x, y, width, height = alert["box"]["px"]
        if min(x, y) < 0 or x + width > clip.width or y + height > clip.height:
            wrong.append(f"{alert['id']}: {alert['box']['px']} leaves the frame")
        if not any(_inside(x + width / 2, y + height / 2, head) for head in clip.heads):
            wrong.append(f"{alert['id']}: {alert['box']['px']} is nobody's head")
        if alert["frames"]["last"] >= clip.frames:
            wrong.append(f"{alert['id']}: frame {alert['frames']['last']} is not in the clip")
    for name, life in lives.items():
        phases = [alert["phase"] for alert in life]
        if (phases[0], phases[-1]) != ("new", "end") or set(phases[1:-1]) - {"update"}:
            wrong.append(f"{name}: its life is {phases}")
        if [alert["rev"] for alert in life] != list(range(1, len(life) + 1)):
            wrong.append(f"{name}: revisions {[alert['rev'] for alert in life]}")
    if not 1 <= len(lives) <= 2 * len(clip.heads):
        wrong.append(f"{len(lives)} alerts for {len(clip.heads)} people")
    return wrong


def _inside(x: float, y: float, region: Region) -> bool:
    left, top, width, height = region
    return left <= x <= left + width and top <= y <= top + height


@pytest.mark.data
@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.file)
def test_a_clip_gives_sensible_alerts(tmp_path: Path, broker: Broker, clip: Clip) -> None:
    """Alerts open and end on people's heads, none says a mask, every frame was judged."""
    file = data_dir("face_mask", "video", clip.file)
    heard = messages(tmp_path, broker, config_text(tmp_path, broker, file))
    alerts = [payload for topic, payload in heard if topic == "linesight/n1/cam/hall/alert"]
    assert senseless(alerts, clip) == []
    health = [payload for topic, payload in heard if topic == "linesight/n1/health"]
    camera = health[-1]["cameras"]["hall"]
    assert camera["frames_in"] == clip.frames
    assert set(camera["drops"].values()) == {0}
    assert violations("health.1.schema.json", health[-1]) == []
    state = [payload for topic, payload in heard if topic == "linesight/n1/cam/hall/state"][-1]
    assert (state["alert"], state["open_alerts"]) == (False, 0)
    assert state["alerts_total"] == len({alert["id"] for alert in alerts})


@pytest.mark.data
def test_a_classifier_that_says_mask_raises_nothing(tmp_path: Path, broker: Broker) -> None:
    """The twin: with its two labels exchanged, the same clip gives no alert, which is senseless."""
    models = tmp_path / "models"
    shutil.copytree(MODELS, models)
    edit_manifest(models / "mask_classifier", lambda m: m["labels"].reverse())
    clip = CLIPS[1]
    file = data_dir("face_mask", "video", clip.file)
    heard = messages(tmp_path, broker, config_text(tmp_path, broker, file, models))
    alerts = [payload for topic, payload in heard if topic.endswith("/alert")]
    assert alerts == []
    assert senseless(alerts, clip) == ["0 alerts for 3 people"]


def test_senseless_alerts_are_seen() -> None:
    """The twin of the judgement: a box on a table, a wrong label and a life without end."""
    clip = CLIPS[0]
    bad = {
        "id": "0123456789abcdef-1",
        "rev": 1,
        "phase": "new",
        "label": "with_mask",
        "box": {"px": [230.0, 225.0, 30.0, 50.0]},
        "frames": {"last": 45},
    }
    text = "\n".join(senseless([bad], clip))
    for reason in ("lacks", "nobody wears", "leaves", "nobody's head", "not in the clip", "life"):
        assert reason in text, text
    crowd = [{**bad, "id": f"0123456789abcdef-{number}"} for number in range(9)]
    assert "9 alerts for 4 people" in senseless(crowd, clip)
