"""The built wheel alone, in an empty virtual environment, does the main job from any folder.

One environment serves all tests, from empty to full: the tests stand in the order in which its
extras are installed.
"""

from __future__ import annotations

import json
import os
import platform
import pty
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.cli import VERBS
from tests.helpers.broker import Broker

ROOT = Path(__file__).parents[2]

CALLS = {
    "run": ["run", "--config", "station.toml"],
    "check": ["check", "--config", "station.toml"],
    "demo": ["demo"],
    "eval": ["eval", "face_mask", "--data", "."],
    "bench": ["bench", "face_mask"],
    "watch": ["watch", "--host", "127.0.0.1", "--seconds", "1"],
    "config example": ["config", "example"],
    "config show": ["config", "show", "--config", "station.toml"],
    "schema": ["schema"],
}
"""A sensible call of each verb."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("dist")
    _run([sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(ROOT)], folder)
    (built,) = folder.glob("linesight-*-py3-none-any.whl")
    return built


def _run(command: list[str], folder: Path) -> str:
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert run.returncode == 0, f"{command}: {run.stdout[-2000:]}{run.stderr[-4000:]}"
    return run.stdout


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of the one environment, which the following fixtures fill."""
    folder = tmp_path_factory.mktemp("empty")
    venv.create(folder / "venv", with_pip=True)
    return folder / "venv" / "bin"


@pytest.fixture(scope="module")
def bare(wheel: Path, programs: Path) -> Path:
    """The environment with the wheel and no extra. It is taken first, then ``edge_only``."""
    _run([str(programs / "python"), "-m", "pip", "install", "-q", "--no-deps", str(wheel)], ROOT)
    return programs


@pytest.fixture(scope="module")
def edge_only(wheel: Path, bare: Path) -> Path:
    """The same environment with [edge], which turns ``bare`` into more than it says."""
    return _install(wheel, bare, "edge")


@pytest.fixture(scope="module")
def installed(wheel: Path, edge_only: Path) -> Path:
    """The same environment with [edge,demo], taken last."""
    return _install(wheel, edge_only, "edge,demo")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A mosquitto that runs."""
    with Broker(tmp_path) as broker:
        yield broker


def _install(wheel: Path, programs: Path, extras: str) -> Path:
    version = f"py{sys.version_info.major}{sys.version_info.minor}-{platform.machine()}"
    constraints = ROOT / "constraints" / f"{version}.txt"
    pins = ["-c", str(constraints)] if constraints.exists() else []
    pip = [str(programs / "python"), "-m", "pip", "install", "-q", *pins]
    # Nothing may be compiled on a device: what has no wheel fails here.
    _run([*pip, "--only-binary=:all:", f"{wheel}[{extras}]"], programs)
    return programs


def test_wheel_holds_the_bundles(wheel: Path) -> None:
    """Models, their manifests and the JSON schemas travel in the wheel; tests do not."""
    names = zipfile.ZipFile(wheel).namelist()
    for model in ("face_detector", "mask_classifier"):
        assert f"edge/models/{model}/manifest.json" in names
        assert f"edge/models/{model}/golden.npz" in names
        assert any(name.startswith(f"edge/models/{model}/model.") for name in names)
    assert "edge/contract/manifest.schema.json" in names
    assert not [name for name in names if name.startswith("tests/")]


def test_every_verb_is_tried() -> None:
    """The twin of what follows: a verb that is added must be tried without extras, too."""
    assert {arguments[0] for arguments in CALLS.values()} == set(VERBS)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("call", CALLS)
def test_without_extras_every_verb_names_the_extra(bare: Path, tmp_path: Path, call: str) -> None:
    """Installed without extras, a verb exits 69 and names the extra in one line.

    Only ``config example`` needs nothing: a station.toml can be begun before anything else.
    """
    done = _call(bare, CALLS[call], tmp_path)
    if call == "config example":
        assert (done.returncode, done.stderr) == (0, "")
        assert "[station]" in done.stdout
    else:
        assert_names_the_extra(done, "edge")


@pytest.mark.timeout(180)
@pytest.mark.parametrize("call", ["demo", "watch"])
def test_without_demo_its_verbs_name_the_extra(
    edge_only: Path, broker: Broker, tmp_path: Path, call: str
) -> None:
    """Installed with [edge] alone, what is meant for people's eyes exits 69 and names [demo]."""
    arguments = [*CALLS[call], "--port", str(broker.port)] if call == "watch" else CALLS[call]
    assert_names_the_extra(_call(edge_only, arguments, tmp_path, terminal=True), "demo")


@pytest.mark.timeout(180)
def test_without_demo_watch_writes_lines_into_a_pipe(
    edge_only: Path, broker: Broker, tmp_path: Path
) -> None:
    """The twin: where there is no terminal to draw on, ``watch`` needs no more than [edge]."""
    done = _call(edge_only, [*CALLS["watch"], "--port", str(broker.port)], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.timeout(180)
def test_without_demo_the_device_has_what_it_needs(edge_only: Path, tmp_path: Path) -> None:
    """With [edge] alone the service judges pictures, and nothing of [demo] has come with it."""
    source = "synthetic://blobs?frames=5&pace=fast"
    (tmp_path / "station.toml").write_text(_station(source, tmp_path))
    done = _call(edge_only, ["run", "--config", "station.toml", "--stdout"], tmp_path)
    assert done.returncode == 0, done.stderr
    health = [json.loads(line) for line in done.stdout.splitlines() if "/health" in line]
    assert health[-1]["payload"]["cameras"]["c1"]["frames_in"] == 5
    packages = {path.name for path in edge_only.parent.glob("lib/python*/site-packages/*")}
    assert "numpy" in packages
    assert not packages & {"amqtt", "rich", "skimage", "tensorflow", "keras"}


@pytest.mark.timeout(600)
def test_wheel_runs_the_demo_from_any_folder(installed: Path, tmp_path: Path) -> None:
    """`linesight demo` opens and closes an alert in a folder that is no checkout."""
    _run([str(installed / "linesight"), "demo", "--json", "demo.json", "--out", "out"], tmp_path)
    summary = json.loads((tmp_path / "demo.json").read_text())
    assert summary["alerts_opened"] >= 1
    assert summary["alerts_closed"] >= 1


def assert_names_the_extra(done: subprocess.CompletedProcess[str], extra: str) -> None:
    """Exit code 69, and one line that says what to install."""
    assert done.returncode == 69, (done.returncode, done.stderr)
    assert f"linesight[{extra}" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def _call(
    programs: Path, arguments: list[str], folder: Path, *, terminal: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run ``linesight`` of an environment in a folder, its output a pipe or a terminal."""
    station = folder / "station.toml"
    if not station.exists():
        station.write_text(_station("0", folder))
    command = [str(programs / "linesight"), *arguments]
    if not terminal:
        return subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, timeout=60
        )
    outer, inner = pty.openpty()
    try:
        return subprocess.run(
            command,
            cwd=folder,
            stdout=inner,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
    finally:
        os.close(inner)
        os.close(outer)


def _station(source: str, folder: Path) -> str:
    return (
        f'[station]\nnode = "n1"\ntask = "face_mask"\nstate_dir = "{folder / "state"}"\n'
        f'[[camera]]\nid = "c1"\nsource = "{source}"\n'
    )
