"""The schema check of the tests sees what breaks a schema."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from edge.messages import encode_alert
from tests.helpers.alerts import ALERT, STATION
from tests.helpers.schema import violations

SCHEMA = "alert.1.schema.json"


def alert() -> dict[str, Any]:
    """An alert as it goes on the wire."""
    stored = json.loads(encode_alert(ALERT, STATION, encoded_ns=5_100_000_000).payload)
    return {**stored, "seq": 1, "epoch": "0123456789abcdef", "dropped_total": 0}


def test_an_alert_of_ours_fits() -> None:
    """What our own code encodes breaks nothing."""
    assert violations(SCHEMA, alert()) == []


@pytest.mark.parametrize(
    ("spoil", "at"),
    [
        (lambda a: a.pop("seq"), "$: lacks seq"),
        (lambda a: a.update(seq=0), "$.seq"),
        (lambda a: a.update(seq=True), "$.seq"),
        (lambda a: a.update(score="0.9"), "$.score"),
        (lambda a: a.update(score=1.5), "$.score"),
        (lambda a: a.update(phase="begin"), "$.phase"),
        (lambda a: a.update(epoch="no hex"), "$.epoch"),
        (lambda a: a.update(schema="linesight.alert/2"), "$.schema"),
        (lambda a: a.update(box=None), "$.box"),
        (lambda a: a["box"]["px"].pop(), "$.box.px"),
        (lambda a: a["model"].pop("sha256"), "$.model"),
    ],
)
def test_what_breaks_the_schema_is_named(
    spoil: Callable[[dict[str, Any]], object], at: str
) -> None:
    """Each kind of mistake is found, at its place."""
    spoiled = alert()
    spoil(spoiled)
    assert any(line.startswith(at) for line in violations(SCHEMA, spoiled))
