"""What a line says, on the wire."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from edge.line.geometry import Defect
from edge.line.grading import Lanes
from edge.line.lot import Lot
from edge.messages import SealContext, encode_lot, encode_lot_report, encode_verdict, seal
from edge.messages.encode_line import REPORT_BYTES
from edge.outbox import Row
from edge.outbox.outbox import MAX_PAYLOAD_BYTES
from edge.records import LotReport, LotTotals, Verdict
from tests.helpers.schema import violations
from tests.helpers.stages import STATION

AT = datetime(2026, 3, 4, 5, 6, 7, 8900, UTC)
KEY = "0123456789abcdef-7"


def _report(count: int, *, metres: int = 100) -> LotReport:
    defects = [
        Defect("scratches", n * 90.123, n * 90.123 + 5 + n % 7, 10.5, 12.25, 5.0 + n, 0.8765, n, n)
        for n in range(count)
    ]
    length = metres * 1000.0
    lot = Lot.closed("C-1", AT, AT, length, Lanes(500.0, 4), defects, [(1.0, 2.0)], (), {})
    return LotReport(KEY, "C-1", "strip", lot.data(), {})


def _body(report: LotReport) -> dict[str, Any]:
    message = encode_lot_report(report, STATION, now=AT, now_ns=5)
    assert (message.way, message.id, message.rev) == ("outbox", KEY, 1)
    assert message.topic == "linesight/n1/lot/report"
    body: dict[str, Any] = json.loads(message.payload)
    return body


def test_a_verdict_goes_to_whoever_listens_now() -> None:
    """It is not stored: a verdict of before is of no use at the strip."""
    message = encode_verdict(
        Verdict("strip", 12_000.04, 1000.0, "reject", "2 scratches", False, "C-1"), STATION, now=AT
    )
    assert (message.topic, message.way, message.expiry_s) == (
        "linesight/n1/cam/strip/verdict",
        "transient",
        60,
    )
    body = json.loads(message.payload)
    assert violations("verdict.1.schema.json", body) == []
    assert body == {
        "schema": "linesight.verdict/1",
        "ts": "2026-03-04T05:06:07.008Z",
        "lot": "C-1",
        "x_mm": 12000.0,
        "len_mm": 1000.0,
        "verdict": "reject",
        "reason": "2 scratches",
        "late": False,
    }


def test_the_open_lot_is_retained() -> None:
    """Whoever comes later sees it."""
    totals = LotTotals("C-1", True, AT, 500.0, 0.99999999, {"patches": 2}, {"accept": 1}, 0)
    message = encode_lot(totals, STATION, now=AT)
    assert (message.topic, message.way, message.retain) == ("linesight/n1/lot", "latest", True)
    body = json.loads(message.payload)
    assert violations("lot.1.schema.json", body) == []
    assert (body["open"], body["covered"], body["defects"]) == (True, 1.0, {"patches": 2})


def test_a_thousand_defects_fit_into_a_report() -> None:
    """All of them, in their order, under the bound of the outbox."""
    body = _body(_report(1000))
    assert len(body["defect_rows"]) == 1000
    assert "left_out" not in body
    assert body["defect_columns"][:2] == ["label", "x_mm"]
    places = [row[1] for row in body["defect_rows"]]
    assert places == sorted(places)
    assert body["totals"] == {"scratches": 1000}
    message = encode_lot_report(_report(1000), STATION, now=AT, now_ns=5)
    assert len(message.payload) <= REPORT_BYTES < MAX_PAYLOAD_BYTES


@pytest.mark.parametrize("count", [3000, 20_000])
def test_what_does_not_fit_is_counted(count: int) -> None:
    """The smallest are left out, and the message says how many; the totals count all."""
    message = encode_lot_report(_report(count, metres=3000), STATION, now=AT, now_ns=5)
    body = json.loads(message.payload)
    kept = len(body["defect_rows"])
    assert kept + body["left_out"] == count
    assert kept > 300
    assert len(message.payload) <= REPORT_BYTES
    assert min(row[5] for row in body["defect_rows"]) == 5.0 + count - kept
    assert body["totals"] == {"scratches": count}


def test_a_stored_report_is_sealed_like_an_alert() -> None:
    """On the wire it has ``seq``, ``epoch`` and ``dropped_total``, and is what the schema says."""
    message = replace(encode_lot_report(_report(2), STATION, now=AT, now_ns=5), seq=3)
    row = Row(1, message, "0123456789abcdef", 10, AT, STATION.boot_id, 4)
    context = SealContext(STATION.boot_id, True, 5, 0)
    body = json.loads(seal(row, context))
    assert (body["seq"], body["dropped_total"]) == (3, 4)
    assert violations("lot_report.1.schema.json", body) == []
    assert violations("lot_report.1.schema.json", json.loads(message.payload)) != []
