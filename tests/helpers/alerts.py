"""An ordinary alert of an ordinary station."""

from __future__ import annotations

from datetime import UTC, datetime

from edge.messages import StationInfo
from edge.records import Alert, Box, Header, HitCount, ModelRef, Timings

STATION = StationInfo("plant/hall-2", "n1", "7d1c2e0c-boot", "c0ffee", clock_synced=True)
NOW = datetime(2025, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
HEADER = Header("door", 41, 5_000_000_000, 5_004_000_000, NOW, 640, 480)
MODEL = ModelRef("mask_classifier", "1.0", "int8", "ab" * 32)
ALERT = Alert(
    id="0123456789abcdef-17",
    rev=2,
    phase="update",
    task="face_mask",
    severity="warning",
    label="without_mask",
    score=0.912345678,
    peak=0.98765432,
    header=HEADER,
    model=MODEL,
    timings=Timings(4.0, 1.23456, 2.0, 20.5, 0.5),
    frames=HitCount(5, 8, 34, 41),
    box=Box(320.04, 120.0, 64.0, 48.0),
    track=3,
)
