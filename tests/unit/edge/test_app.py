"""The composition root: what a configuration is turned into."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import pytest

from edge import app
from edge.config import Config
from edge.config import build as build_config
from edge.engines import runtime_name
from edge.errors import (
    BundleNotFound,
    GoldenMismatch,
    HashMismatch,
    ModelError,
    UnsupportedSource,
)
from edge.outbox import Outbox
from edge.pipeline import Pipeline
from edge.tasks import SegmentationTask
from tests.fakes import FakeSink, FakeTask
from tests.helpers.bundles import BLOB_DETECTOR, FIXTURES, copy_bundle
from tests.helpers.colours import ColourEngine, colour_manifest, paint

TABLES: Mapping[str, Mapping[str, Any]] = {
    "station": {"node": "n1", "task": "face_mask", "models_dir": str(FIXTURES)},
    "models": {"detector": "blob_detector", "classifier": "tint_classifier"},
}


def config_of(folder: Path, source: str = "synthetic://blobs", **tables: Any) -> Config:
    """A configuration with one camera; ``tables`` are merged into it."""
    merged: dict[str, Any] = {"camera": [{"id": "door", "source": source}]}
    for name in {*TABLES, *tables}:
        merged[name] = {**TABLES.get(name, {}), **tables.get(name, {})}
    merged["station"]["state_dir"] = str(folder / "state")
    return build_config(merged, origin="test")


def close(pipeline: Pipeline) -> None:
    """Release what was built and never started."""
    pipeline.stop()


def test_building_starts_nothing(tmp_path: Path) -> None:
    """``build`` starts no thread, opens no camera, touches neither broker nor state directory."""
    before = threading.active_count()
    pipeline = app.build(config_of(tmp_path), sink=FakeSink())
    assert threading.active_count() == before
    assert not (tmp_path / "state").exists()
    close(pipeline)


def test_each_worker_has_a_task_of_its_own(tmp_path: Path) -> None:
    """Two workers are given two tasks, for an interpreter belongs to one thread."""
    config = config_of(tmp_path, inference={"workers": 2, "threads": 1})
    pipeline = app.build(config, sink=FakeSink())
    assert len(pipeline.tasks) == 2
    assert pipeline.tasks[0] is not pipeline.tasks[1]
    close(pipeline)


@pytest.mark.parametrize(
    ("source", "policy"),
    [
        ("synthetic://blobs", "every"),
        ("synthetic://blobs?live=1", "latest"),
    ],
)
def test_the_mailbox_follows_the_source(tmp_path: Path, source: str, policy: str) -> None:
    """Without a word in the configuration files keep every frame, cameras the latest."""
    pipeline = app.build(config_of(tmp_path, source), tasks=[FakeTask()], sink=FakeSink())
    assert pipeline.mailboxes["door"].policy == policy


def test_a_wrong_source_is_found_before_a_model_is_loaded(tmp_path: Path) -> None:
    """The URI's error comes although the model is missing too, and at once."""
    config = config_of(tmp_path, "rtmp://host/x", models={"detector": "absent"})
    with pytest.raises(UnsupportedSource, match="rtmp"):
        app.build(config, sink=FakeSink())


def test_a_missing_bundle_is_named(tmp_path: Path) -> None:
    """The message names the bundle and the folders."""
    with pytest.raises(BundleNotFound, match="absent"):
        app.build(config_of(tmp_path, models={"detector": "absent"}), sink=FakeSink())


def test_a_damaged_model_is_refused(tmp_path: Path) -> None:
    """A flipped byte in a model file is a wrong hash before anything runs (F17)."""
    bundle = copy_bundle(tmp_path, BLOB_DETECTOR)
    file = next(bundle.glob("model.*.tflite"))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(HashMismatch, match="sha256 mismatch"):
        app.open_task(
            "face_mask",
            ("blob_detector", "tint_classifier"),
            variant=file.name.split(".")[1],
            models=tmp_path,
            models_dir=FIXTURES,
        )


def test_bundles_of_the_wrong_kind_are_refused(tmp_path: Path) -> None:
    """A classifier in the detector's place is refused by its task."""
    with pytest.raises(ModelError, match="tint_classifier"):
        app.open_task("face_mask", ("tint_classifier", "tint_classifier"), models_dir=FIXTURES)


def test_other_numbers_than_golden_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that computes other outputs is found at the start, and the engine is closed."""

    def mismatch(*_: object) -> None:
        raise GoldenMismatch("output differs")

    monkeypatch.setattr("edge.app.tasks.check_golden", mismatch)
    with pytest.raises(GoldenMismatch):
        app.open_task("face_mask", ("blob_detector", "tint_classifier"), models_dir=FIXTURES)


def test_without_golden_the_same_machine_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twin: only the golden check finds it."""
    monkeypatch.setattr("edge.app.tasks.check_golden", lambda *_: pytest.fail("asked"))
    app.open_task(
        "face_mask",
        ("blob_detector", "tint_classifier"),
        models_dir=FIXTURES,
        golden=False,
    ).close()


def test_the_golden_check_is_quick(tmp_path: Path) -> None:
    """Opening both fixture bundles with their golden vectors takes well under a second."""
    began = time.monotonic()
    app.open_task("face_mask", ("blob_detector", "tint_classifier"), models_dir=FIXTURES).close()
    assert time.monotonic() - began < 1


def test_the_will_and_the_client_id_are_the_stations(tmp_path: Path) -> None:
    """A root with a slash gives a client id without one."""
    config = config_of(tmp_path, station={"root": "plant/a"})
    settings = app.mqtt_settings(config)
    assert settings.client_id == "plant-a-n1"
    assert (settings.host, settings.port) == ("localhost", 1883)


def test_a_built_station_runs_with_real_models(tmp_path: Path) -> None:
    """Blobs through the fixture bundles: a bare face becomes an alert that ends with the source."""
    sink = FakeSink()
    config = config_of(
        tmp_path,
        "synthetic://blobs?frames=12&pace=fast",
        rule={"hits": 2, "of": 3},
        inference={"threads": 1},
    )
    seen: list[int] = []
    pipeline = app.build(
        config,
        sink=sink,
        observer=lambda frame, observation, tracks, alerts: seen.append(frame.sequence),
    )
    pipeline.run(lambda seconds: threading.Event().wait(seconds))
    assert seen == list(range(12))
    assert len(sink.rows()) >= 2


def test_only_the_first_worker_pays_for_the_golden_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For three workers each of the two bundles is checked once: it is the same file."""
    calls: list[object] = []
    monkeypatch.setattr("edge.app.tasks.check_bundle", lambda *args, **_: calls.append(args))
    config = config_of(tmp_path, inference={"workers": 3, "threads": 1})
    close(app.build(config, sink=FakeSink()))
    assert len(calls) == 2


def test_info_names_the_runtime_and_counts_processors(tmp_path: Path) -> None:
    """The retained ``info`` says which runtime computes the outputs, and numbers are numbers."""
    sink = FakeSink()
    source = "synthetic://blobs?frames=1&pace=fast"
    app.build(config_of(tmp_path, source), tasks=[FakeTask()], sink=sink).run(lambda seconds: False)
    [info] = [json.loads(m.payload) for m in sink.sent if m.topic.endswith("/info")]
    assert info["versions"]["runtime"] == runtime_name()
    assert info["hardware"]["cpus"] >= 1
    assert (tmp_path / "state" / "outbox.exit").read_text() == "stopped\n"


def test_a_steel_station_segments(tmp_path: Path) -> None:
    """Its one bundle must be a segmentation's; a classifier in its place is refused."""
    with pytest.raises(ModelError, match="its task is classification, needed is segmentation"):
        app.open_task("steel_defect", ("tint_classifier",), models_dir=FIXTURES)


def test_a_steel_station_alerts_for_each_region(tmp_path: Path) -> None:
    """Two regions of a frame are two alerts; in the next frame, where none is, both end."""
    sink = FakeSink()
    red_spot, blue_spot = (slice(2, 8), slice(2, 9)), (slice(9, 15), slice(20, 30))
    picture = paint((16, 32), ("red", *red_spot), ("blue", *blue_spot))
    folder = tmp_path / "frames"
    folder.mkdir()
    for name, image in (("a.png", picture), ("b.png", paint((16, 32)))):
        assert cv2.imwrite(str(folder / name), image)
    of = colour_manifest()
    config = build_config(
        {
            "station": {"node": "n1", "task": "steel_defect", "state_dir": str(tmp_path / "state")},
            "camera": [{"id": "line", "source": str(folder)}],
        },
        origin="test",
    )
    task = SegmentationTask(of, ColourEngine(of))
    app.build(config, sink=sink, tasks=[task]).run(lambda seconds: False)
    said = [json.loads(message.payload) for message in sink.rows()]
    assert sorted((one["label"], one["phase"]) for one in said) == [
        ("blue", "end"),
        ("blue", "new"),
        ("red", "end"),
        ("red", "new"),
    ]
    red = next(one for one in said if (one["label"], one["phase"]) == ("red", "new"))
    assert (red["task"], red["box"]["px"]) == ("steel_defect", [2.0, 2.0, 7.0, 6.0])
    assert red["measure"] == [
        {"name": "area", "value": 42.0, "unit": "px2"},
        {"name": "length", "value": 7.0, "unit": "px"},
        {"name": "width", "value": 6.0, "unit": "px"},
    ]


@pytest.mark.parametrize(("ack", "left"), [("app", 4), ("broker", 0)])
def test_who_confirms_is_what_the_file_says(tmp_path: Path, ack: str, left: int) -> None:
    """With ``ack = "app"`` the broker's word leaves the rows on the disk."""
    sink = FakeSink()
    folder = tmp_path / "frames"
    folder.mkdir()
    spots = (("red", slice(2, 8), slice(2, 9)), ("blue", slice(9, 15), slice(20, 30)))
    for name, image in (("a.png", paint((16, 32), *spots)), ("b.png", paint((16, 32)))):
        assert cv2.imwrite(str(folder / name), image)
    of = colour_manifest()
    state = tmp_path / "state"
    config = build_config(
        {
            "station": {"node": "n1", "task": "steel_defect", "state_dir": str(state)},
            "camera": [{"id": "line", "source": str(folder)}],
            "mqtt": {"ack": ack},
        },
        origin="test",
    )
    task = SegmentationTask(of, ColourEngine(of))
    app.build(config, sink=sink, tasks=[task]).run(lambda seconds: False)
    assert len(sink.rows()) == 4
    outbox = Outbox.open(state / "outbox.db", boot_id="b")
    assert len(outbox.peek(10)) == left
    outbox.close()
