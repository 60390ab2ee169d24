"""``[line]`` of station.toml: what is accepted, what is refused, and what becomes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge import config
from edge.app.line import line_settings, open_line
from edge.config import Config
from edge.errors import ConfigError
from edge.line.encoders import LocalEncoder
from edge.line.line import StripLine
from edge.records import EncoderSample

ENCODER = {"source": "local", "mm_per_count": 0.1}
LINE: dict[str, Any] = {"mm_per_px_x": 0.5, "mm_per_px_y": 0.25, "encoder": ENCODER}


def tables(line: dict[str, Any], **camera: Any) -> dict[str, Any]:
    """A steel station with this line."""
    return {
        "station": {"node": "n", "task": "steel_defect"},
        "camera": [{"id": "strip", "source": "0", "width": 1600, "height": 256, **camera}],
        "line": line,
    }


def refused(given: dict[str, Any]) -> str:
    """What the one mistake is."""
    with pytest.raises(ConfigError) as caught:
        config.build(given, origin="here")
    (line,) = str(caught.value).splitlines()
    return line


def test_a_line_needs_a_scale_and_an_encoder() -> None:
    """The rest has defaults: the strip is as wide as the picture, the gate two fields away."""
    built = config.build(tables(LINE), origin="here")
    assert built.line is not None
    made = line_settings(built, built.line)
    assert (made.camera, made.size_px) == ("strip", (1600, 256))
    assert made.lanes.width_mm == 64.0
    assert (made.section_mm, made.frame_mm, made.gate_mm) == (1000.0, 800.0, 3600.0)


def test_every_key_arrives() -> None:
    """Grading table, rolls, lanes and direction are those of the file."""
    line = {
        **LINE,
        "camera": "strip",
        "runs": "left",
        "width_mm": 60.0,
        "lanes": 3,
        "gap_mm": 0.0,
        "section_mm": 2000.0,
        "gate_mm": 2900.0,
        "roll": [{"name": "work roll", "diameter_mm": 180.0}],
        "grading": [
            {"verdict": "reject", "labels": ["scratches"], "size_mm": 20.0, "per_metre": 1},
            {"verdict": "downgrade", "lanes": [1, 3]},
        ],
    }
    built = config.build(tables(line), origin="here")
    assert built.line is not None
    made = line_settings(built, built.line)
    assert (made.geometry.runs, made.lanes.count, made.lanes.width_mm) == ("left", 3, 60.0)
    assert (made.gap_mm, made.section_mm, made.gate_mm) == (0.0, 2000.0, 2900.0)
    assert made.rolls == {"work roll": 180.0}
    assert [rule.verdict for rule in made.rules] == ["reject", "downgrade"]
    assert made.rules[0].labels == ("scratches",)
    assert made.rules[1].lanes == (1, 3)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"mm_per_px_x": 0.0}, "line.mm_per_px_x"),
        ({"camera": "door"}, "'door' is none of strip"),
        ({"runs": "up"}, "line.runs"),
        ({"encoder": None, "speed": None}, "comes from line.encoder or from line.speed"),
        ({"speed": {"mm_per_s": 5.0}}, "comes from line.encoder or from line.speed"),
        ({"encoder": {**ENCODER, "source": "serial:///dev/ttyS0"}}, "is nothing that a line has"),
        ({"encoder": {**ENCODER, "bits": 1}}, "line.encoder.bits"),
        ({"encoder": None, "speed": {"mm_per_s": 0.0}}, "always stands still"),
        ({"gate": "mqtt"}, "is no digital line"),
        ({"lots": "counter:///sys/x"}, "is no digital line"),
        ({"grading": [{"verdict": "accept"}]}, "line.grading[0].verdict"),
        ({"roll": [{"name": "work roll", "diameter_mm": 0.0}]}, "line.roll[0].diameter_mm"),
        ({"camera": "a b"}, "line.camera"),
        ({"lanes": 65}, "1 to 64"),
        (
            {"encoder": {"source": "gpio:///dev/gpiochip0?line=1", "mm_per_count": 1.0, "bits": 8}},
            "do not wrap",
        ),
        (
            {
                "roll": [
                    {"name": "a", "diameter_mm": 1.0},
                    {"name": "a", "diameter_mm": 2.0},
                ]
            },
            "two rolls are called 'a'",
        ),
        ({"grading": [{"verdict": "reject", "lanes": [0]}]}, "line.grading[0].lanes"),
        ({"encoder": None, "speed": {"mm_per_s": 1.0, "relative_error": 0.7}}, "0 to 0.5"),
    ],
)
def test_wrong_values_are_refused_in_one_line(keys: dict[str, Any], said: str) -> None:
    """Each names its key or says what to write."""
    line = {key: value for key, value in {**LINE, **keys}.items() if value is not None}
    assert said in refused(tables(line))


def test_a_line_needs_the_size_of_its_camera() -> None:
    """A scale in mm per pixel holds for one size of the picture."""
    given = tables(LINE)
    del given["camera"][0]["width"]
    assert "needs width and height" in refused(given)


def test_a_file_keeps_its_size_and_the_line_says_it() -> None:
    """The file source takes no width and height; ``frame_px`` stands in for them."""
    given = tables({**LINE, "frame_px": [800, 128]})
    del given["camera"][0]["width"], given["camera"][0]["height"]
    built = config.build(given, origin="here")
    assert built.line is not None
    assert line_settings(built, built.line).size_px == (800, 128)


def test_of_several_cameras_one_is_named() -> None:
    """Which one hangs over the strip cannot be guessed."""
    given = tables(LINE)
    given["camera"].append({"id": "door", "source": "1"})
    assert "name one of strip, door" in refused(given)


def test_a_door_has_no_line() -> None:
    """Faces have no place on a strip."""
    given = tables(LINE)
    given["station"]["task"] = "face_mask"
    assert "a face_mask station has no line" in refused(given)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"grading": [{"verdict": "reject", "lanes": [3]}], "lanes": 2}, "no lane 3 of 2"),
        (
            {"grading": [{"verdict": "reject", "per_metre": 1}], "section_mm": 500.0},
            "must be a multiple of 1000",
        ),
    ],
)
def test_a_table_that_could_never_reject_is_refused(keys: dict[str, Any], said: str) -> None:
    """Before anything starts, by its key."""
    built = config.build(tables({**LINE, **keys}), origin="here")
    with pytest.raises(ConfigError, match=said):
        open_line(built, "boot")


@pytest.mark.parametrize(("ceiling", "wraps"), [("4294967295", True), ("999", False)])
def test_a_counter_says_where_it_wraps(tmp_path: Path, ceiling: str, wraps: bool) -> None:
    """A power of two is a width; without one a wrap is a lost place."""
    (tmp_path / "count").write_text("4294967290")
    (tmp_path / "ceiling").write_text(ceiling)
    opened = open_line(_config(f"counter://{tmp_path}"), "b")
    opened.parts.line.tell(EncoderSample(4294967290, 1))
    opened.parts.line.tell(EncoderSample(4, 20_000_000))
    assert (opened.parts.line.counts["jumped_back"] == 0) == wraps


def test_a_gate_that_is_too_near_is_refused_before_anything_starts() -> None:
    """The message names the key and the least distance."""
    built = config.build(tables({**LINE, "gate_mm": 1799.0}), origin="here")
    with pytest.raises(ConfigError, match=r"line\.gate_mm: 1799 is too near.*1800 mm"):
        open_line(built, "boot")


@pytest.mark.parametrize(
    ("source", "boot"),
    [
        ("local", None),
        ("mqtt", ""),
        ("counter:///sys/bus/counter/devices/counter0/count0", "b"),
        ("gpio:///dev/gpiochip0?line=17", None),
    ],
)
def test_which_encoder_outlives_the_service(source: str, boot: str | None) -> None:
    """A counter of this machine counts on until the next boot, a remote one for ever."""
    opened = open_line(_config(source), "b")
    assert isinstance(opened.parts.line, StripLine)
    assert opened.parts.line._boot == boot
    assert (opened.parts.encoder is None) == (source == "mqtt")


def test_an_encoder_may_be_handed_in() -> None:
    """A demo brings its own."""
    encoder = LocalEncoder()
    assert open_line(_config("local"), "b", encoder).parts.encoder is encoder


def test_a_strip_with_a_speed_has_no_encoder(tmp_path: Path) -> None:
    """Its place comes from the time."""
    line = {**LINE, "speed": {"mm_per_s": 2000.0, "published": True}}
    del line["encoder"]
    assert open_line(config.build(tables(line), origin="here"), "b").parts.encoder is None


def _config(source: str) -> Config:
    encoder = {**ENCODER, "source": source}
    return config.build(tables({**LINE, "encoder": encoder}), origin="here")
