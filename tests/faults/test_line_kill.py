"""A coil survives ``kill -9`` of the station in its middle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from edge.outbox import Outbox
from tests.fakes import wait_until
from tests.faults.line_station import PX_MM, coil

ROOT = Path(__file__).parents[2]
KILLS = 3


def start(
    folder: Path, began_ns: int, until_mm: float, **environment: str
) -> subprocess.Popen[str]:
    """A station on the strip, in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.faults.line_station", folder, str(began_ns), str(until_mm)],
        cwd=ROOT,
        env={**os.environ, **environment},
        stderr=subprocess.PIPE,
        text=True,
    )


def stored(folder: Path) -> list[dict[str, Any]]:
    """Everything that waits for the broker; only while no station runs."""
    outbox = Outbox.open(folder / "outbox.db", boot_id="b")
    try:
        return [json.loads(row.message.payload) for row in outbox.peek(100_000)]
    finally:
        outbox.close()


def alerts(messages: list[dict[str, Any]], phase: str) -> list[dict[str, Any]]:
    """Those of the lot in a phase."""
    return [
        one
        for one in messages
        if one["schema"] == "linesight.alert/1"
        and one["phase"] == phase
        and one["position"].get("lot") == "C-1"
    ]


def run_and_kill(folder: Path, kills: int, **environment: str) -> list[dict[str, Any]]:
    """Kill a station ``kills`` times in the middle of a coil, then let it end the coil."""
    folder.mkdir()
    began_ns = time.monotonic_ns()
    for _ in range(kills):
        (folder / "accepted").unlink(missing_ok=True)
        station = start(folder, began_ns, 1e9, **environment)
        try:
            wait_until(lambda: _accepted(folder) >= 6, timeout_s=60.0)
        finally:
            station.send_signal(signal.SIGKILL)
            station.communicate()
    until_mm = (time.monotonic_ns() - began_ns) / 1e9 * 2000.0 + 12_000.0
    station = start(folder, began_ns, until_mm, **environment)
    _, said = station.communicate(timeout=60)
    assert station.returncode == 0, said
    return stored(folder)


def _accepted(folder: Path) -> int:
    """Messages that the run has stored."""
    said = folder / "accepted"
    return int(said.read_text()) if said.exists() else 0


@pytest.mark.timeout(240)
def test_a_killed_coil_is_reported_whole(tmp_path: Path) -> None:
    """Every defect that became an alert is in the report, at its place, and so is everything that
    was planted where frames were judged; what nobody looked at is a gap.
    """
    messages = run_and_kill(tmp_path / "state", KILLS)
    (report,) = [one for one in messages if one["schema"] == "linesight.lot_report/1"]
    assert report["restarts"] == KILLS
    rows = [dict(zip(report["defect_columns"], row, strict=True)) for row in report["defect_rows"]]
    new = alerts(messages, "new")
    assert len(new) >= 8
    for alert in new:
        place = alert["position"]
        assert any(
            row["label"] == alert["label"]
            and row["x_mm"] - 2 * PX_MM <= place["x_mm"]
            and place["x_mm"] + place["len_mm"] <= row["x_mm"] + row["len_mm"] + 2 * PX_MM
            for row in rows
        ), place
    gaps = [gap for gap in report["gaps_mm"] if gap[1] - gap[0] > 200.0]
    assert len(gaps) == KILLS
    # The lot began somewhere on the strip: the longest defect that is wholly in it says where.
    planted = coil().planted
    offset = _offset(rows, planted)
    for one in planted:
        low, high = one.x_mm - offset, one.x_mm + one.len_mm - offset
        judged = low > 450 and high < report["length_mm"] - 450
        if judged and all(high < gap[0] - 50 or low > gap[1] + 50 for gap in gaps):
            assert any(
                row["label"] == one.label and abs(row["x_mm"] - low) <= 2 * PX_MM for row in rows
            ), (one, low)


def _offset(rows: list[dict[str, Any]], planted: Any) -> float:
    """By how much places of the strip and of the lot differ: what most defects say."""
    votes: dict[int, list[float]] = {}
    for row in rows:
        for one in planted:
            if one.label == row["label"] and abs(one.len_mm - row["len_mm"]) < 2 * PX_MM:
                votes.setdefault(round(one.x_mm - row["x_mm"]), []).append(one.x_mm - row["x_mm"])
    most = max(votes.values(), key=len)
    assert len(most) >= 5
    return sum(most) / len(most)


@pytest.mark.timeout(240)
def test_without_its_diary_a_killed_coil_is_lost(tmp_path: Path) -> None:
    """The twin: a station that writes nothing down does not know the lot any more."""
    with pytest.raises(AssertionError, match="no lot is open"):
        run_and_kill(tmp_path / "state", 1, LINESIGHT_FAULT="forget")
