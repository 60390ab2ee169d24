"""The last step before the broker."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from edge.messages import SealContext, encode_alert, seal
from edge.messages.payloads import AlertPayload
from edge.outbox import Row
from edge.records import Message
from tests.helpers.alerts import ALERT, STATION

STORED = {
    "schema": "linesight.alert/1",
    "ts": "1970-01-01T00:00:08.000Z",
    "mono_ns": 8_000_000_000,
    "clock": {"synced": False},
}
TRUE_TIME = datetime(2025, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
CONTEXT = SealContext(
    boot_id="boot-1",
    clock_synced=False,
    connected_since_mono_ns=5_000_000_000,
    wall_offset_ns=int(TRUE_TIME.timestamp() * 1000) * 1_000_000 - 8_000_000_000,
)


def row(stored: dict[str, Any] = STORED, *, mono_ns: int = 9_000_000_000) -> Row:
    """A stored alert."""
    message = Message("t", json.dumps(stored).encode(), way="outbox", id="e-1", rev=1, seq=12)
    return Row(3, message, "0123456789abcdef", mono_ns, TRUE_TIME, "boot-1", dropped_total=4)


def sealed(stored: Row, context: SealContext) -> dict[str, Any]:
    """What goes on the wire."""
    parsed = json.loads(seal(stored, context))
    assert isinstance(parsed, dict)
    return parsed


def test_adds_what_the_outbox_knows() -> None:
    """``seq``, ``epoch`` and ``dropped_total`` are added, the rest stays as stored."""
    assert sealed(row(), CONTEXT) == {
        **STORED,
        "seq": 12,
        "epoch": "0123456789abcdef",
        "dropped_total": 4,
    }


def test_replayed_when_older_than_the_connection() -> None:
    """What was stored before the connection, or in another boot, is marked; the rest is not."""
    assert sealed(row(mono_ns=4_999_999_999), CONTEXT)["replayed"] is True
    assert "replayed" not in sealed(row(mono_ns=5_000_000_000), CONTEXT)
    assert sealed(row(), replace(CONTEXT, boot_id="boot-2"))["replayed"] is True


def test_clock_is_corrected_in_the_same_boot() -> None:
    """A time from before the synchronisation is corrected once the clock is right."""
    now_right = replace(CONTEXT, clock_synced=True)
    payload = sealed(row(), now_right)
    assert payload["ts"] == "2025-03-01T12:00:00.250Z"
    assert payload["clock"] == {"synced": True}


def test_clock_of_another_boot_stays_unknown() -> None:
    """Monotonic times of another boot say nothing about the wall clock."""
    payload = sealed(row(), replace(CONTEXT, clock_synced=True, boot_id="boot-2"))
    assert payload["ts"] == STORED["ts"]
    assert payload["clock"] == {"synced": False}


def test_right_time_stays() -> None:
    """A time that was right when it was stored is not touched."""
    stored = {**STORED, "clock": {"synced": True}, "ts": "2024-01-01T00:00:00.000Z"}
    assert sealed(row(stored), replace(CONTEXT, clock_synced=True))["ts"] == stored["ts"]


def test_real_alert_fits_the_schema() -> None:
    """An encoded and sealed alert satisfies the model its published schema is made from."""
    message = replace(encode_alert(ALERT, STATION, encoded_ns=5_042_000_000), seq=1)
    stored = replace(row(), message=message)
    wire = seal(stored, CONTEXT)
    assert len(wire) < 1200
    AlertPayload.model_validate_json(wire, strict=True)
    assert set(json.loads(wire)) <= {
        "schema", *(name for name in AlertPayload.model_fields if name != "schema_")
    }  # fmt: skip


def test_needs_a_seq() -> None:
    """A message that the outbox never stored is a mistake of the caller."""
    stored = row()
    with pytest.raises(ValueError, match="has no seq"):
        seal(replace(stored, message=replace(stored.message, seq=None)), CONTEXT)


@pytest.mark.parametrize(
    "change",
    [
        {"clock": {}},
        {"clock": None},
        {"clock": {"synced": 1}},
        {"mono_ns": None},
        {"mono_ns": "8"},
        {"mono_ns": 10**30},
    ],
)
def test_a_damaged_payload_is_a_value_error(change: dict[str, Any]) -> None:
    """A clock or a time that is not ours is told as ``ValueError``, whatever is wrong with it."""
    with pytest.raises(ValueError, match="message to t: "):
        seal(row({**STORED, **change}), replace(CONTEXT, clock_synced=True))


def test_too_deep_a_payload_is_a_value_error() -> None:
    """Nesting that exhausts the parser's stack is told like any other damage."""
    stored = row()
    stored = replace(stored, message=replace(stored.message, payload=b"[" * 60_000))
    with pytest.raises(ValueError, match="nested too deep"):
        seal(stored, CONTEXT)
