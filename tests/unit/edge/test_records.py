"""Records are validated when they are built and cannot be changed afterwards."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

from edge.records import (
    Alert,
    Box,
    Classification,
    Detections,
    Ellipse,
    Floats,
    Frame,
    Message,
    ModelRef,
    Region,
    Segmentation,
    Timings,
)

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def _frame(**changes: object) -> Frame:
    values: dict[str, object] = {
        "image": np.zeros((4, 6, 3), np.uint8),
        "camera": "c1",
        "sequence": 0,
        "captured_ns": 1,
        "ready_ns": 2,
        "captured_at": NOW,
    }
    return Frame(**(values | changes))  # type: ignore[arg-type]  # wrong types are the point


def _alert(**changes: object) -> Alert:
    values: dict[str, object] = {
        "id": "0-1",
        "rev": 1,
        "phase": "new",
        "task": "face_mask",
        "severity": "warning",
        "label": "without_mask",
        "score": 0.9,
        "peak": 0.9,
        "header": _frame().header,
        "model": ModelRef("m", "1", "int8", "0" * 64),
        "timings": Timings(),
    }
    return Alert(**(values | changes))  # type: ignore[arg-type]  # wrong types are the point


def test_frame_pixels_are_read_only() -> None:
    """Nobody can draw on a frame that another stage still reads."""
    frame = _frame()
    with pytest.raises(ValueError, match="read-only"):
        frame.image[0, 0, 0] = 1


def test_header_has_the_size() -> None:
    """A header keeps width and height when the pixels are gone."""
    header = _frame().header
    assert (header.width, header.height) == (6, 4)


def test_records_are_frozen() -> None:
    """A record's fields cannot be assigned."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        _frame().camera = "c2"  # type: ignore[misc]  # refusing it is the point


def test_a_table_of_scores_is_a_record_for_each_row() -> None:
    """``of_rows`` gives what one record at a time gives, read-only; none for no rows."""
    scores = np.array([[0.25, 0.75], [1.0, 0.0]], np.float32)
    records = Classification.of_rows(("a", "b"), scores)
    assert [(one.labels, one.label, one.score) for one in records] == [
        (("a", "b"), "b", 0.75),
        (("a", "b"), "a", 1.0),
    ]
    for one in records:
        with pytest.raises(ValueError, match="read-only"):
            one.scores[0] = 0.5
    assert Classification.of_rows(("a", "b"), np.empty((0, 2), np.float32)) == ()


@pytest.mark.parametrize(
    "scores",
    [
        np.array([[0.5, 0.5], [0.5, np.nan]], np.float32),
        np.array([[0.5, 0.5], [0.5, 1.5]], np.float32),
        np.array([[0.5, 0.5], [-0.5, 0.5]], np.float32),
        np.array([[0.5, 0.5, 0.0]], np.float32),
        np.array([0.5, 0.5], np.float32),
    ],
    ids=["nan", "above", "below", "columns", "rank"],
)
def test_a_wrong_table_of_scores_gives_no_record(scores: Floats) -> None:
    """One wrong number or another shape refuses the whole table."""
    with pytest.raises(ValueError, match=r"Classification\.scores"):
        Classification.of_rows(("a", "b"), scores)


def test_highest_score_names_the_label() -> None:
    """A classification's label is the one with the highest score."""
    answer = Classification(("a", "b"), np.array([0.2, 0.8], np.float32))
    assert (answer.label, round(answer.score, 3)) == ("b", 0.8)
    assert answer.score_of("a") == pytest.approx(0.2)


WRONG: dict[str, Callable[[], object]] = {
    "grey image": lambda: _frame(image=np.zeros((4, 6), np.uint8)),
    "float image": lambda: _frame(image=np.zeros((4, 6, 3), np.float32)),
    "no pixels": lambda: _frame(image=np.zeros((0, 6, 3), np.uint8)),
    "naive time": lambda: _frame(captured_at=NOW.replace(tzinfo=None)),
    "local time": lambda: _frame(captured_at=NOW.astimezone(timezone(timedelta(hours=1)))),
    "score above 1": lambda: Classification(("a",), np.array([1.1], np.float32)),
    "score NaN": lambda: Classification(("a",), np.array([np.nan], np.float32)),
    "labels too few": lambda: Classification(("a",), np.array([0.5, 0.5], np.float32)),
    "boxes of three": lambda: Detections(
        np.zeros((1, 3), np.float32), np.zeros(1, np.float32), ("face",)
    ),
    "negative box": lambda: Detections(
        np.array([[0, 0, -1, 1]], np.float32), np.zeros(1, np.float32), ("face",)
    ),
    "classifications too few": lambda: Detections(
        np.zeros((2, 4), np.float32),
        np.zeros(2, np.float32),
        ("face", "face"),
        (Classification(("a",), np.array([0.5], np.float32)),),
    ),
    "infinite box": lambda: Box(float("inf"), 0, 1, 1),
    "mask of numbers": lambda: Segmentation(("a",), np.zeros((1, 2, 2), np.uint8)),
    "region score": lambda: Region("a", Box(0, 0, 1, 1), 1, 1, 1, score=2.0),
    "ellipse axes": lambda: Ellipse("a", 0, 0, major_px=1, minor_px=2, angle_deg=0, score=1),
    "alert score": lambda: _alert(score=float("nan")),
    "alert revision": lambda: _alert(rev=0),
    "outbox without id": lambda: Message("t", b"", "outbox"),
}


@pytest.mark.parametrize("build", WRONG.values(), ids=WRONG.keys())
def test_wrong_records_cannot_be_built(build: Callable[[], object]) -> None:
    """What contradicts a record's docstring is refused where it is made."""
    with pytest.raises((ValueError, TypeError)):
        build()
