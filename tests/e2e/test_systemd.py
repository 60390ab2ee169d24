"""The unit, the example configuration, and what systemd's own checker says of them."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from edge.config import load
from edge.sources import open_source

FOLDER = Path(__file__).resolve().parents[2] / "systemd"
UNIT = FOLDER / "linesight.service"


@pytest.fixture
def analyze() -> str:
    """The path of ``systemd-analyze``, which needs no running systemd to verify a unit."""
    path = shutil.which("systemd-analyze")
    if path is None:
        reason = "systemd-analyze is absent: apt-get install systemd"
        if os.environ.get("LINESIGHT_REQUIRE_SYSTEMD") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return path


def _parsed() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign] # keys keep their capitals
    parser.read(UNIT, encoding="utf-8")
    return parser


def _complaints(analyze: str, folder: Path, text: str) -> str:
    """What the checker writes to stderr; its exit code is 0 even for unknown keys."""
    start = _parsed()["Service"]["ExecStart"]
    assert start in text
    unit = folder / "linesight.service"
    unit.write_text(text.replace(start, "/bin/true"), encoding="utf-8")
    ran = subprocess.run(
        [analyze, "verify", "--man=no", str(unit)], check=False, capture_output=True, text=True
    )
    return ran.stderr


def test_the_checker_has_nothing_to_say(analyze: str, tmp_path: Path) -> None:
    """``systemd-analyze verify`` writes nothing about the unit."""
    assert _complaints(analyze, tmp_path, UNIT.read_text(encoding="utf-8")) == ""


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("WatchdogSec=30", "WatchdogSecs=30"), ("Type=notify", "Type=notifyy")],
)
def test_a_wrong_unit_is_noticed(analyze: str, tmp_path: Path, right: str, wrong: str) -> None:
    """The twin: a misspelt key or value makes the checker speak, so silence means something."""
    text = UNIT.read_text(encoding="utf-8")
    assert right in text

    assert ": " in _complaints(analyze, tmp_path, text.replace(right, wrong))


def test_the_unit_keeps_its_promises() -> None:
    """Readiness and watchdog go through sd_notify, failures restart, a wrong configuration does
    not, and the state folder is the service's own.
    """
    service = dict(_parsed()["Service"])

    promised = {
        "Type": "notify",
        "NotifyAccess": "main",
        "Restart": "always",
        "RestartSec": "5",
        "RestartPreventExitStatus": "78",
        "WatchdogSec": "30",
        "StateDirectory": "linesight",
        "SupplementaryGroups": "video",
        "ExecStart": "/opt/linesight/venv/bin/linesight run --config /etc/linesight/station.toml",
    }
    assert {key: service.get(key) for key in promised} == promised


def test_the_example_configuration_is_right() -> None:
    """The example loads without a mistake and its camera's source can be built."""
    config = load(FOLDER / "station.example.toml")

    (camera,) = config.camera
    open_source(
        camera.source,
        camera=camera.id,
        width=camera.width,
        height=camera.height,
        fps=camera.fps,
    )


def test_what_the_example_comments_out_is_the_default(tmp_path: Path) -> None:
    """The values behind ``#`` are the defaults: with them written out the station is the same."""
    example = (FOLDER / "station.example.toml").read_text(encoding="utf-8")
    written_out = tmp_path / "station.toml"
    kept = ("username", "password_file", "ca ")  # examples, not defaults
    written_out.write_text(
        "\n".join(
            line.removeprefix("# ") if " = " in line and not line[2:].startswith(kept) else line
            for line in example.splitlines()
        ),
        encoding="utf-8",
    )

    assert load(written_out) == load(FOLDER / "station.example.toml")
