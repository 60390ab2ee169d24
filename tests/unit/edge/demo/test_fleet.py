"""The state that a dashboard keeps, message by message."""

from __future__ import annotations

import json

import pytest

from edge.demo.fleet import LOG_LENGTH, REMEMBERED, Fleet, reduce
from tests.helpers.fleet import ALERTS, ROOT, alert, told


def test_an_alert_lives_from_new_to_end() -> None:
    """New opens, update replaces, end closes; each counts once."""
    fleet = told((ALERTS, alert(1)), (ALERTS, alert(2, "update", peak=0.99)))
    assert [a.peak for a in fleet.open_alerts.values()] == [0.99]
    fleet = reduce(fleet, ROOT, f"{ROOT}/{ALERTS}", alert(3, "end"))
    assert (fleet.opened, fleet.closed, len(fleet.open_alerts)) == (1, 1, 0)
    assert [a.phase for a in fleet.log] == ["new", "update", "end"]


def test_a_revision_that_comes_again_counts_once() -> None:
    """Delivery is at least once; (id, rev) is the key, whatever order the repeats come in."""
    messages = [(ALERTS, alert(1)), (ALERTS, alert(2, "end"))]
    fleet = told(*messages, *messages, messages[0])
    assert (fleet.opened, fleet.closed, fleet.duplicates) == (1, 1, 3)
    assert not fleet.open_alerts


def test_without_deduplication_the_counts_would_differ() -> None:
    """The twin: the same payloads under other ids do count, so the test above can fail."""
    fleet = told(*((ALERTS, alert(1, number=n)) for n in range(3)))
    assert (fleet.opened, fleet.duplicates) == (3, 0)


def test_a_summary_is_no_alert() -> None:
    """What the rate limit held back is counted apart from what was opened and closed."""
    part = {
        "held_back": 7,
        "since": "2025-01-01T00:00:00.000Z",
        "until": "2025-01-01T00:00:01.000Z",
    }
    fleet = told((ALERTS, alert(1, "end", summary=part)))
    assert (fleet.opened, fleet.closed, fleet.held_back) == (0, 0, 7)


def test_memory_is_bounded() -> None:
    """Ids that are long over are forgotten, and the log has an end."""
    fleet = Fleet(
        revisions={f"x-{n}": 1 for n in range(REMEMBERED)},
        log=told((ALERTS, alert())).log * LOG_LENGTH,
    )
    fleet = reduce(fleet, ROOT, f"{ROOT}/{ALERTS}", alert(1))
    assert len(fleet.revisions) == REMEMBERED
    assert "x-0" not in fleet.revisions
    assert len(fleet.log) == LOG_LENGTH


def test_availability_of_station_and_camera() -> None:
    """Online and offline are plain text, for the station and for each camera."""
    fleet = told(
        ("n1/availability", b"online"),
        ("n1/cam/c1/availability", b"online"),
        ("n2/availability", b"offline"),
    )
    assert fleet.stations["n1"].online is True
    assert fleet.stations["n1"].cameras["c1"].online is True
    assert fleet.stations["n2"].online is False
    assert told(("n1/cam/c1/alert", alert())).stations == {}


def test_state_health_and_info_are_kept() -> None:
    """The retained messages are parsed by the models that made them."""
    state = {"schema": "linesight.state/1", "ts": "2025-01-01T00:00:00.000Z", "alert": True}
    fleet = told(
        ("n1/cam/c1/state", json.dumps({**state, "open_alerts": 1, "alerts_total": 4}).encode())
    )
    kept = fleet.stations["n1"].cameras["c1"].state
    assert kept is not None
    assert kept.alerts_total == 4


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        (ALERTS, b"{"),
        (ALERTS, b"[]"),
        (ALERTS, b"\xff"),
        (ALERTS, b"[" * 10_000),
        (ALERTS, alert(0)),
        ("n1/health", b"{}"),
        ("n1/info", b"null"),
        ("n1/cam/c1/state", b"1"),
    ],
)
def test_junk_is_counted_and_changes_nothing(topic: str, payload: bytes) -> None:
    """A payload that is not what its topic promises leaves no trace but a count."""
    assert told((topic, payload)) == Fleet(malformed=1)


@pytest.mark.parametrize(
    "topic", ["other/n1/availability", f"{ROOT}/n1/unknown", f"{ROOT}/n1", ROOT, f"{ROOT}x/n/alert"]
)
def test_other_topics_are_ignored(topic: str) -> None:
    """Topics outside the tree, and ones of later versions, change nothing."""
    assert reduce(Fleet(), ROOT, topic, b"online") == Fleet()


def test_a_deleted_retained_message_is_no_mistake() -> None:
    """An empty payload deletes a retained message and is not malformed."""
    assert told(("n1/health", b"")) == Fleet()
