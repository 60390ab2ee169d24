"""The built wheel alone, in an empty virtual environment, does the main job from any folder."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


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
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of an environment that holds the wheel with [edge,demo]."""
    folder = tmp_path_factory.mktemp("empty")
    venv.create(folder / "venv", with_pip=True)
    programs = folder / "venv" / "bin"
    version = f"py{sys.version_info.major}{sys.version_info.minor}-{platform.machine()}"
    constraints = ROOT / "constraints" / f"{version}.txt"
    pins = ["-c", str(constraints)] if constraints.exists() else []
    pip = [str(programs / "python"), "-m", "pip", "install", "-q", *pins]
    # Nothing may be compiled on a device: what has no wheel fails here.
    _run([*pip, "--only-binary=:all:", f"{wheel}[edge,demo]"], folder)
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


@pytest.mark.timeout(600)
def test_wheel_runs_the_demo_from_any_folder(installed: Path, tmp_path: Path) -> None:
    """`linesight demo` opens and closes an alert in a folder that is no checkout."""
    _run([str(installed / "linesight"), "demo", "--json", "demo.json", "--out", "out"], tmp_path)
    summary = json.loads((tmp_path / "demo.json").read_text())
    assert summary["alerts_opened"] >= 1
    assert summary["alerts_closed"] >= 1


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (["run", "--config", "station.toml"], "edge"),
        (["eval", "face_mask", "--data", "."], "edge"),
        (["bench", "face_mask"], "edge"),
        (["demo"], "edge"),
    ],
    ids=["run", "eval", "bench", "demo"],
)
def test_without_extras_every_verb_names_the_extra(
    wheel: Path, tmp_path: Path, arguments: list[str], extra: str
) -> None:
    """Installed without extras, a verb that needs one exits 69 and names it in one line."""
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    _run([str(python), "-m", "pip", "install", "-q", "--no-deps", str(wheel)], tmp_path)
    (tmp_path / "station.toml").write_text(
        '[station]\nnode = "n1"\ntask = "face_mask"\n[[camera]]\nid = "c1"\nsource = "0"\n'
    )
    run = subprocess.run(
        [str(python.with_name("linesight")), *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 69, run.stderr
    assert f"linesight[{extra}" in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1
