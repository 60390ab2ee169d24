"""What a line says, to messages. Pure: no clock, no I/O."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from edge.messages.encode import OUTBOX_EXPIRY_S
from edge.messages.line_payloads import (
    DEFECT_COLUMNS,
    LotPayload,
    StoredLotReport,
    VerdictPayload,
)
from edge.messages.parts import ClockPart, moment
from edge.messages.station import StationInfo
from edge.records import LotReport, LotTotals, Message, Verdict

VERDICT_EXPIRY_S = 60

MOST_GAPS = 500
"""Gaps of a report that does not fit otherwise."""

REPORT_BYTES = 60 << 10
"""What a report may have: the outbox takes 64 KiB, and sealing adds a little."""


def encode_verdict(verdict: Verdict, station: StationInfo, *, now: datetime) -> Message:
    """What a section is worth, for whoever listens now."""
    payload = VerdictPayload(
        ts=moment(now),
        lot=verdict.lot,
        x_mm=round(verdict.x_mm, 1),
        len_mm=round(verdict.len_mm, 1),
        verdict=verdict.verdict,
        reason=verdict.reason,
        late=verdict.late,
    )
    return Message(
        station.topics.verdict(verdict.camera),
        payload.to_bytes(),
        way="transient",
        expiry_s=VERDICT_EXPIRY_S,
    )


def encode_lot(totals: LotTotals, station: StationInfo, *, now: datetime) -> Message:
    """The retained message about the lot that is open, or was last."""
    payload = LotPayload(
        ts=moment(now),
        lot=totals.lot,
        open=totals.open,
        started_at=moment(totals.started_at),
        length_mm=round(totals.length_mm, 1),
        covered=round(min(max(totals.covered, 0.0), 1.0), 6),
        defects=dict(totals.defects),
        verdicts=dict(totals.verdicts),
        late=totals.late,
    )
    return Message(station.topics.lot, payload.to_bytes(), way="latest", retain=True)


def encode_lot_report(
    report: LotReport, station: StationInfo, *, now: datetime, now_ns: int
) -> Message:
    """A lot that is over, for the outbox; what does not fit is left out, the smallest first."""
    data = dict(report.data)
    defects = sorted(data.pop("defects"), key=lambda one: one["area_mm2"], reverse=True)
    common = {
        **data,
        "id": report.id,
        "node": station.node,
        "cam": report.camera,
        "boot": station.boot_id,
        "ts": moment(now),
        "mono_ns": now_ns,
        "clock": ClockPart(synced=station.clock_synced),
        "config": station.config,
    }
    payload = _fitting(common, defects)
    if len(payload) > REPORT_BYTES:  # a coil of kilometres: the files hold the rest
        gaps = sorted(data["gaps_mm"], key=lambda one: one[0] - one[1])
        payload = _fitting(
            {
                **common,
                "density": None,
                "gaps_mm": sorted(gaps[:MOST_GAPS]),
                "gaps_left_out": len(gaps[MOST_GAPS:]) or None,
            },
            defects,
        )
    return Message(
        station.topics.lot_report,
        payload,
        way="outbox",
        expiry_s=OUTBOX_EXPIRY_S,
        id=report.id,
        rev=1,
    )


def _fitting(common: dict[str, Any], defects: list[dict[str, Any]]) -> bytes:
    """With as many of the defects as fit, largest first in the choice, in order of place."""

    def encoded(count: int) -> bytes:
        kept = sorted(defects[:count], key=lambda one: (one["x_mm"], one["y_mm"]))
        rows = tuple(tuple(one[name] for name in DEFECT_COLUMNS) for one in kept)
        left_out = len(defects) - count
        return StoredLotReport.model_validate(
            {**common, "defect_rows": rows, "left_out": left_out or None}
        ).to_bytes()

    low, high = 0, len(defects)
    whole = encoded(high)
    if len(whole) <= REPORT_BYTES:
        return whole
    while low < high:  # the most that fit
        middle = (low + high + 1) // 2
        if len(encoded(middle)) <= REPORT_BYTES:
            low = middle
        else:
            high = middle - 1
    return encoded(low)
