"""A conversion that dies leaves the old bundle, and ends with an exit code that is not 0 (F32)."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.helpers.command import ROOT
from tests.helpers.labelled import write_labelled

pytestmark = [pytest.mark.convert, pytest.mark.timeout(300)]

DEADLINE_S = 90.0

NETWORK = """
import keras, numpy as np
image = keras.Input((32, 32, 3), name="image")
x = keras.layers.Conv2D(2, 1, activation="relu", name="tint")(image)
x = keras.layers.GlobalAveragePooling2D()(x)
model = keras.Model(image, keras.layers.Dense(2, activation="softmax", name="judge")(x))
tint = np.array([[-1, 1], [0, 0], [1, -1]], np.float32).reshape(1, 1, 3, 2)
model.get_layer("tint").set_weights([tint, np.zeros(2)])
model.get_layer("judge").set_weights([np.eye(2) * 20, np.zeros(2)])
model.save("tint.keras")
"""

RECIPE = """
name = "tint"
version = "0.1.0"
task = "classification"
labels = ["with_mask", "without_mask"]
variants = ["float32", "int8"]
[input]
size = [32, 32]
color = "RGB"
resize = { mode = "stretch" }
normalize = { mean = [127.5, 127.5, 127.5], std = [127.5, 127.5, 127.5] }
[outputs]
judge = "class_scores"
[decode]
kind = "classification"
[representative]
sources = ["crops"]
[gate]
metric = "accuracy"
budget = 0.05
[card]
purpose = "Tells blue from red."
data = "Painted by a program."
limits = ["It knows painted blobs only."]
"""

FULL = """
import resource, sys
from converter.cli import main
limit = int(sys.argv.pop(1))
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
sys.exit(main(sys.argv[1:]))
"""
"""A file that may not grow beyond a limit fails like one on a full disk, with an error of the
system's; Python ignores the signal that comes with it."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, pictures, a recipe, and a bundle that was made before."""
    place = tmp_path_factory.mktemp("faults")
    write_labelled(place / "data", photos=1, crops=60)
    (place / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow"}
    subprocess.run(
        [sys.executable, "-c", NETWORK], cwd=place, env=environment, check=True, capture_output=True
    )
    run = _convert(place, 0)
    _, err = run.communicate(timeout=DEADLINE_S)
    assert run.returncode == 0, err
    return place


def _convert(place: Path, limit: int) -> subprocess.Popen[str]:
    arguments = ["convert", "recipe.toml", "--keras", "tint.keras", "--data", "data"]
    return subprocess.Popen(
        [sys.executable, "-c", FULL, str(limit), *arguments, "--out", "bundle"],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _said(run: subprocess.Popen[str]) -> str:
    assert run.stderr is not None
    return run.stderr.read()


def _files(place: Path) -> dict[str, str]:
    bundle = place / "bundle"
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in bundle.iterdir()}


def _child(pid: int) -> int | None:
    """The process that holds the model, once there is one."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()
    return int(children[0]) if children else None


def _wait_for(run: subprocess.Popen[str], word: str) -> None:
    """Until the command has said a word."""
    assert run.stdout is not None
    for line in run.stdout:
        if word in line:
            return
    pytest.fail(f"the command ended before it said {word!r}: {_said(run)}")


@pytest.mark.parametrize("word", ["Keras 3 archive", "float32:", "int8: is converted"])
def test_killed_midway(site: Path, word: str) -> None:
    """A kill -9 at any stage leaves the old bundle byte for byte, and no process behind."""
    before = _files(site)
    with _convert(site, 0) as run:
        _wait_for(run, word)
        child = _child(run.pid)
        run.kill()
    assert run.returncode == -signal.SIGKILL
    assert _files(site) == before
    end = time.monotonic() + DEADLINE_S
    while child is not None and Path(f"/proc/{child}").exists():
        assert time.monotonic() < end, "the process that holds the model lives on"
        time.sleep(0.05)


def test_child_killed_midway(site: Path) -> None:
    """When the process that holds the model dies, the command ends with one line and not 0."""
    before = _files(site)
    with _convert(site, 0) as run:
        _wait_for(run, "Keras 3 archive")
        child = _child(run.pid)
        assert child is not None
        os.kill(child, signal.SIGKILL)
        lines = _said(run).splitlines()
    assert run.returncode not in (0, None)
    assert len(lines) == 1
    assert "SIGKILL" in lines[0]
    assert _files(site) == before


def test_disk_full(site: Path) -> None:
    """A disk that takes no more ends the command with one line and not 0; the bundle is intact."""
    before = _files(site)
    run = _convert(site, 4096)
    out, err = run.communicate(timeout=DEADLINE_S)
    assert run.returncode not in (0, None)
    assert "Traceback" not in err
    assert len(err.splitlines()) == 1, err
    assert "wrote bundle" not in out
    assert _files(site) == before


def test_run_that_is_left_alone_replaces_the_bundle(site: Path) -> None:
    """The twin: without a fault the same command writes a new bundle."""
    before = json.loads((site / "bundle" / "manifest.json").read_text())["provenance"]["created"]
    run = _convert(site, 0)
    out, err = run.communicate(timeout=DEADLINE_S)
    assert run.returncode == 0, err
    assert out.endswith("wrote bundle: float32, int8\n")
    after = json.loads((site / "bundle" / "manifest.json").read_text())["provenance"]["created"]
    assert after != before
