"""What the demo draws, records and shows."""

from __future__ import annotations

import io
import time
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest
from rich.console import Console

from edge.demo.draw import BAD, GOOD, annotate
from edge.demo.fleet import Fleet, reduce
from edge.demo.recorder import Recorder
from edge.demo.summary import alert_line, fleet_report, percentiles
from edge.demo.view import dashboard
from edge.errors import SourceError
from edge.records import (
    Alert,
    Box,
    Classification,
    Detections,
    Frame,
    ModelRef,
    Observation,
    Phase,
    Timings,
    Track,
)
from tests.helpers.fleet import ALERTS, ROOT, alert, told

MODEL = ModelRef("m", "1", "int8", "0" * 64)
LABELS = ("with_mask", "without_mask")


def frame(sequence: int = 0, at_ns: int = 0, size: tuple[int, int] = (120, 160)) -> Frame:
    """A grey frame."""
    image = np.full((*size, 3), 90, np.uint8)
    return Frame(image, "c1", sequence, at_ns, at_ns, datetime.now(UTC))


def observed(of: Frame, masks: tuple[float, ...] = ()) -> Observation:
    """Faces side by side, each with a score of ``without_mask``."""
    boxes = np.array([[10 + 50 * k, 40, 36, 40] for k in range(len(masks))], np.float32)
    states = tuple(Classification(LABELS, np.array([1 - s, s], np.float32)) for s in masks)
    result = Detections(
        boxes.reshape(-1, 4), np.ones(len(masks), np.float32), ("face",) * len(masks), states
    )
    return Observation(of.header, result, MODEL, Timings(infer_ms=3.0))


def raised(of: Frame, phase: Phase = "new", rev: int = 1) -> Alert:
    """An alert about person 1."""
    return Alert(
        "0123456789abcdef-1", rev, phase, "face_mask", "warning", "without_mask", 0.9, 0.9,
        of.header, MODEL, Timings(), track=1,
    )  # fmt: skip


def has(image: np.ndarray, colour: tuple[int, int, int]) -> bool:
    """Does a colour occur?"""
    return bool((image == colour).all(axis=-1).any())


def test_masked_faces_are_green_and_bare_ones_red() -> None:
    """The box's colour says the verdict; the frame itself is not touched."""
    picture = frame()
    tracks = (Track(1, Box(10, 40, 36, 40), 0), Track(2, Box(60, 40, 36, 40), 1))
    both = annotate(picture, observed(picture, (0.1, 0.9)), tracks, ())
    assert has(both, GOOD)
    assert has(both, BAD)
    assert not has(annotate(picture, observed(picture, (0.1,)), tracks, ()), BAD)
    assert (picture.image == 90).all()


def test_an_open_alert_has_a_banner() -> None:
    """Without faces nothing is red; with an open alert the banner is."""
    picture = frame()
    assert not has(annotate(picture, observed(picture), (), ()), BAD)
    assert has(annotate(picture, observed(picture), (), (raised(picture),)), BAD)


def test_boxes_at_the_edge_and_many_alerts_are_drawn() -> None:
    """A label that would leave the frame is moved in; more banners than fit do not fail."""
    tiny = frame(size=(20, 20))
    annotate(tiny, observed(tiny, (0.9, 0.9, 0.9)), (), (raised(tiny),) * 30)


def test_recorder_keeps_time_and_the_best_picture(tmp_path: Path) -> None:
    """The video is as long as the capture times say; the picture is one with the alert open."""
    recorder = Recorder(tmp_path, 10.0)
    start = time.monotonic_ns()
    for k in range(6):  # every 0.2 s: each is shown twice
        of = frame(k, start + 200_000_000 * k)
        alerts = {2: (raised(of),), 4: (raised(of, "end", 2),)}.get(k, ())
        recorder.observe(of, observed(of, (0.9,)), (), alerts)
    recorder.close()
    assert len(recorder.latencies_ms) == 6
    assert recorder.fps == pytest.approx(5.0)
    capture = cv2.VideoCapture(str(recorder.video))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 11
    capture.release()
    picture = cv2.imread(str(recorder.picture))
    assert picture is not None
    assert has(picture[:12, :80], BAD)  # the banner


def test_recorder_follows_a_camera_that_changes_its_size(tmp_path: Path) -> None:
    """Frames of another size go on in the video's."""
    recorder = Recorder(tmp_path, 10.0)
    for k, size in enumerate([(120, 160), (60, 80)]):
        of = frame(k, k * 100_000_000, size)
        recorder.observe(of, observed(of), (), ())
    recorder.close()
    assert recorder.video is not None
    assert recorder.video.stat().st_size > 0


def test_recorder_without_frames_writes_nothing(tmp_path: Path) -> None:
    """No frame, no files."""
    recorder = Recorder(tmp_path, 10.0)
    recorder.close()
    assert list(tmp_path.iterdir()) == []
    assert recorder.fps == 0.0


def test_recorder_says_when_it_cannot_write(tmp_path: Path) -> None:
    """A folder that is not there is named; the station's thread sees no error, now or later."""
    recorder = Recorder(tmp_path / "nope", 10.0)
    of = frame()
    for _ in range(2):
        recorder.observe(of, observed(of), (), ())
    recorder.close()
    assert isinstance(recorder.failure, SourceError)
    assert "nope" in str(recorder.failure)
    assert len(recorder.latencies_ms) == 1


@pytest.mark.parametrize("name", ["demo.png", "demo.mp4"])
def test_recorder_notices_at_the_end_what_is_not_there(tmp_path: Path, name: str) -> None:
    """A picture that cannot be written, and a video that is gone or empty, are failures."""
    recorder = Recorder(tmp_path, 10.0)
    of = frame()
    recorder.observe(of, observed(of), (), ())
    assert recorder.failure is None
    if name == "demo.png":
        recorder.picture.mkdir()
    else:
        assert recorder.video is not None
        recorder.video.unlink()
    recorder.close()
    assert name in str(recorder.failure)


def shown(fleet: Fleet, width: int = 100) -> str:
    """The dashboard as text."""
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(dashboard(fleet, title="T", connected=True, now=datetime.now(UTC)))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_dashboard_shows_stations_alerts_and_log() -> None:
    """Everything that is known appears, also on a narrow terminal."""
    fleet = told(
        ("n1/availability", b"online"),
        ("n1/cam/c1/availability", b"offline"),
        (ALERTS, alert(1)),
        (ALERTS, alert(1)),
    )
    text = shown(fleet)
    for part in ("n1", "online", "c1", "offline", "open alerts: 1", "without_mask", "duplicates 1"):
        assert part in text
    assert "n1" in shown(fleet, width=60)


def test_dashboard_of_an_empty_fleet() -> None:
    """Before anybody spoke it says so."""
    assert "no station has spoken yet" in shown(Fleet())


def test_a_held_back_summary_has_its_own_line() -> None:
    """The rate limit's summary is told as a count, not as a person."""
    moments = {"since": "2025-01-01T00:00:00.000Z", "until": "2025-01-01T00:00:01.000Z"}
    fleet = told((ALERTS, alert(1, "end", summary={"held_back": 7, **moments})))
    assert "7 alerts held back" in alert_line(fleet.log[0])
    assert "7 held back" in shown(fleet)


def test_a_defect_on_a_strip_has_its_place_in_the_line() -> None:
    """Metres along, millimetres across."""
    place = {"x_mm": 12_345.6, "y_mm": 45.2, "len_mm": 5.0, "wid_mm": 2.0, "err_mm": 0.2}
    fleet = told((ALERTS, alert(1, "new", task="steel_defect", position=place)))
    line = alert_line(fleet.log[0])
    assert "at 12.346 m, 45 mm across" in line
    assert "person" not in line


def test_fleet_report_leaves_out_what_was_never_heard() -> None:
    """JSON keys that do not apply are absent, never null."""
    fleet = reduce(Fleet(), ROOT, f"{ROOT}/n1/availability", b"online")
    report = fleet_report(fleet, ROOT)
    assert report["stations"] == {"n1": {"online": True, "cameras": {}}}


def test_percentiles_are_in_order() -> None:
    """p50 ≤ p95 ≤ p99, of the values themselves."""
    assert percentiles([1.0]) == {"p50": 1.0, "p95": 1.0, "p99": 1.0}
    figures = percentiles([float(v) for v in range(101)])
    assert figures == {"p50": 50.0, "p95": 95.0, "p99": 99.0}
