"""`linesight check` of a station with a line, and what such a station refuses at its start."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge import app, config
from edge.app.line import check_labels
from edge.cli import main
from edge.errors import ConfigError
from tests.fakes import FakeSink, FakeTask
from tests.helpers.broker import free_port

GRADING = '[[line.grading]]\nverdict = "reject"\nlabels = ["{label}"]\n'


def station(folder: Path, line: str, *, label: str = "scratches") -> Path:
    """A steel station over a synthetic picture; its model is the shipped one."""
    path = folder / "station.toml"
    path.write_text(
        f'[station]\nnode = "n1"\ntask = "steel_defect"\nstate_dir = "{folder}/state"\n'
        '[[camera]]\nid = "strip"\nsource = "synthetic://black"\nwidth = 1600\nheight = 256\n'
        f"[mqtt]\nport = {free_port()}\n"
        f"[line]\nmm_per_px_x = 0.5\nmm_per_px_y = 0.5\n{line}\n{GRADING.format(label=label)}"
    )
    return path


def said_of_the_line(path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The line about the line."""
    main(["check", "--config", str(path)])
    (line,) = [one for one in capsys.readouterr().out.splitlines() if one[2:].startswith("line: ")]
    return line


def test_a_counter_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The count that is told can be held against the strip."""
    counter = tmp_path / "count0"
    counter.mkdir()
    (counter / "count").write_text("1234\n")
    encoder = f'[line.encoder]\nsource = "counter://{counter}"\nmm_per_count = 0.1'
    said = said_of_the_line(station(tmp_path, encoder), capsys)
    assert said.startswith("✓")
    assert "counts 1234, sections of 1000 mm, gate at 3600 mm" in said


def test_a_counter_that_is_not_there_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With its path."""
    encoder = f'[line.encoder]\nsource = "counter://{tmp_path}/none"\nmm_per_count = 0.1'
    said = said_of_the_line(station(tmp_path, encoder), capsys)
    assert said.startswith("✗")
    assert f"{tmp_path}/none" in said


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ('[line.encoder]\nsource = "mqtt"\nmm_per_count = 0.1', "its samples come in"),
        ("[line.speed]\nmm_per_s = 2000.0", "by its speed"),
    ],
)
def test_what_cannot_be_looked_at_is_said(
    tmp_path: Path, where: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Samples that come in and a speed need no device."""
    said = said_of_the_line(station(tmp_path, where), capsys)
    assert said.startswith("✓")
    assert says in said


@pytest.mark.parametrize("key", ["gate", "lots"])
def test_a_digital_line_is_requested(
    tmp_path: Path, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a machine without the chip it is named."""
    where = f'{key} = "gpio:///dev/gpiochip77?line=5"\n[line.speed]\nmm_per_s = 2000.0'
    said = said_of_the_line(station(tmp_path, where), capsys)
    assert said.startswith("✗")
    assert "gpiochip77" in said


def test_a_grading_table_speaks_of_the_models_labels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A label that is misspelled would reject nothing: refused by the check and at the start."""
    path = station(tmp_path, "[line.speed]\nmm_per_s = 2000.0", label="scratch")
    said = said_of_the_line(path, capsys)
    assert "line.grading[0].labels: 'scratch' is no label of steel_defect" in said
    with pytest.raises(ConfigError, match="'scratch' is no label"):
        app.build(config.load(path), sink=FakeSink())


def test_labels_that_are_known_pass(tmp_path: Path) -> None:
    """Also none at all, which means every label."""
    path = station(tmp_path, "[line.speed]\nmm_per_s = 2000.0")
    table = config.load(path).line
    assert table is not None
    check_labels(table, ("scratches",), "m")
    app.build(config.load(path), sink=FakeSink(), tasks=[FakeTask()])
