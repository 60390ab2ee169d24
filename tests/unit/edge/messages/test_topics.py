"""The topic tree."""

from __future__ import annotations

import pytest
from paho.mqtt.client import topic_matches_sub

from edge.messages import Topics, fleet_topics

TOPICS = Topics("plant/hall-2", "n1")


def test_tree() -> None:
    """Every topic of the station stands where the interface says."""
    assert TOPICS.availability == "plant/hall-2/n1/availability"
    assert TOPICS.info == "plant/hall-2/n1/info"
    assert TOPICS.health == "plant/hall-2/n1/health"
    assert TOPICS.camera_availability("c") == "plant/hall-2/n1/cam/c/availability"
    assert TOPICS.state("c") == "plant/hall-2/n1/cam/c/state"
    assert TOPICS.alert("c") == "plant/hall-2/n1/cam/c/alert"
    assert TOPICS.reply("ping") == "plant/hall-2/n1/reply/ping"
    assert TOPICS.client_id == "plant-hall-2-n1"


def test_subscribes_to_commands_only() -> None:
    """A station never subscribes to its own root."""
    assert TOPICS.subscriptions == ("plant/hall-2/n1/cmd/+", "plant/hall-2/n1/cam/+/cmd/+")


@pytest.mark.parametrize(
    ("topic", "found"),
    [
        ("plant/hall-2/n1/cmd/ping", (None, "ping")),
        ("plant/hall-2/n1/cam/door/cmd/ping", ("door", "ping")),
        ("plant/hall-2/n2/cmd/ping", None),
        ("plant/hall-2/n1/cmd", None),
        ("plant/hall-2/n1/cmd/", None),
        ("plant/hall-2/n1/cmd/a/b", None),
        ("plant/hall-2/n1/cam//cmd/ping", None),
        ("plant/hall-2/n1/cam/door/alert", None),
        ("x/plant/hall-2/n1/cmd/ping", None),
        ("plant/hall-2/n1", None),
        ("", None),
    ],
)
def test_command_topics(topic: str, found: tuple[str | None, str] | None) -> None:
    """Only the station's own command topics are commands."""
    assert TOPICS.command(topic) == found


def test_fleet_topics_cover_what_a_station_says() -> None:
    """The filters of a dashboard match every status topic of a station."""
    said = [
        TOPICS.availability, TOPICS.info, TOPICS.health, TOPICS.camera_availability("c"),
        TOPICS.state("c"), TOPICS.alert("c"),
    ]  # fmt: skip
    filters = fleet_topics("plant/hall-2")
    assert all(any(topic_matches_sub(one, topic) for one in filters) for topic in said)
