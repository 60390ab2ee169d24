"""What stations say, for tests of those who listen."""

from __future__ import annotations

import json
from typing import Any

from edge.demo.fleet import Fleet, reduce

ALERTS = "n1/cam/c1/alert"
ROOT = "plant/line"


def alert(rev: int = 1, phase: str = "new", number: int = 1, **keys: Any) -> bytes:
    """An alert's payload, valid by the schema."""
    payload: dict[str, Any] = {
        "schema": "linesight.alert/1",
        "id": f"0123456789abcdef-{number}",
        "rev": rev,
        "phase": phase,
        "node": "n1",
        "cam": "c1",
        "seq": rev,
        "epoch": "0123456789abcdef",
        "dropped_total": 0,
        "boot": "b",
        "ts": "2025-01-01T00:00:00.000Z",
        "mono_ns": 5,
        "clock": {"synced": True},
        "task": "face_mask",
        "severity": "warning",
        "label": "without_mask",
        "score": 0.9,
        "peak": 0.95,
        "model": {"name": "m", "version": "1", "variant": "int8", "sha256": "0" * 64},
        "config": "abc",
        "latency_ms": dict.fromkeys(
            ("capture", "queue", "preprocess", "infer", "postprocess", "total"), 1.0
        ),
        **keys,
    }
    return json.dumps(payload).encode()


def told(*messages: tuple[str, bytes]) -> Fleet:
    """A fleet that has heard these messages; topics without the root."""
    fleet = Fleet()
    for topic, payload in messages:
        fleet = reduce(fleet, ROOT, f"{ROOT}/{topic}", payload)
    return fleet
