"""Converting a MobileNetV2, five variants and their gate, stays within five minutes and 3 GB."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge.contract.bundle import load_bundle
from tests.helpers.command import ROOT
from tests.helpers.data import data_dir

pytestmark = [pytest.mark.convert, pytest.mark.data, pytest.mark.timeout(900)]

MINUTES, GIB = 5.0, 3.0
JUDGED, CALIBRATING = 500, 100
VARIANTS = ["float32", "float16", "dynamic", "int8", "int16x8"]

NETWORK = """
import sys
import keras, numpy as np, cv2
from pathlib import Path
keras.utils.set_random_seed(7)
base = keras.applications.MobileNetV2((224, 224, 3), 0.35, include_top=False, weights=None,
                                      pooling="avg")
labels = sys.argv[2:]
pictures, truth = [], []
for number, label in enumerate(labels):
    for path in sorted(Path(sys.argv[1], label).iterdir())[:20]:
        image = cv2.resize(cv2.imread(str(path)), (224, 224))[..., ::-1]
        pictures.append(image / 127.5 - 1.0)
        truth.append(np.eye(len(labels))[number])
for layer in base.layers:  # means and deviations of these pictures, or activations vanish
    if isinstance(layer, keras.layers.BatchNormalization):
        layer.momentum = 0.0
base(np.array(pictures, np.float32), training=True)
features = base.predict(np.array(pictures, np.float32), verbose=0)
mean, scale = features.mean(0), features.std(0) + 1e-3
known = np.c_[(features - mean) / scale, np.ones(len(features))]
head = np.linalg.solve(known.T @ known + 10 * np.eye(known.shape[1]), known.T @ np.array(truth))
kernel = 8 * head[:-1] / scale[:, None]
dense = keras.layers.Dense(len(labels), activation="softmax", name="judge")
model = keras.Model(base.input, dense(base.output))
dense.set_weights([kernel, 8 * head[-1] - mean @ kernel])
model.save("model.keras")
"""
"""A MobileNetV2 with random features, and a last layer fitted to a few pictures (ridge regression):
what it costs to convert does not depend on how good it is."""

RECIPE = """
name = "mobilenet"
version = "1.0"
task = "classification"
labels = {labels}
variants = {variants}
[input]
size = [224, 224]
color = "RGB"
resize = {{ mode = "stretch" }}
normalize = {{ mean = [127.5, 127.5, 127.5], std = [127.5, 127.5, 127.5] }}
[outputs]
judge = "class_scores"
[decode]
kind = "classification"
[representative]
sources = ["."]
count = {count}
held_back = {held_back}
[gate]
metric = "accuracy"
budget = 1.0
agreement = 0.0
trust_input = true
[card]
purpose = "To be timed."
data = "Imagenette."
limits = ["It is nearly untrained."]
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the network, the pictures and the recipe."""
    source = data_dir("imagenette", "train")
    place = tmp_path_factory.mktemp("mobilenet")
    labels = sorted(path.name for path in source.iterdir())[:10]
    each = (JUDGED + CALIBRATING) // len(labels)
    for label in labels:
        (place / "data" / label).mkdir(parents=True)
        for path in sorted((source / label).iterdir())[:each]:
            (place / "data" / label / path.name).symlink_to(path)
    arguments = [sys.executable, "-c", NETWORK, str(source), *labels]
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "2"}
    subprocess.run(arguments, cwd=place, env=environment, check=True, capture_output=True)
    text = RECIPE.format(
        labels=json.dumps(labels),
        variants=json.dumps(VARIANTS),
        count=CALIBRATING,
        held_back=JUDGED / (JUDGED + CALIBRATING),
    )
    (place / "recipe.toml").write_text(text, encoding="utf-8")
    return place


def _tree_mib(pid: int) -> float:
    """Resident memory of a process and all below it, in MiB."""
    total = 0
    waiting = [pid]
    while waiting:
        here = Path("/proc", str(waiting.pop()))
        try:
            status = (here / "status").read_text(encoding="utf-8")
            total += next(int(x.split()[1]) for x in status.splitlines() if x.startswith("VmRSS"))
            for task in (here / "task").iterdir():
                waiting += map(int, (task / "children").read_text(encoding="utf-8").split())
        except (OSError, StopIteration):  # it has just ended
            continue
    return total / 1024


def _converted(place: Path, out: str) -> tuple[float, float]:
    """Convert; seconds and the most memory in GiB."""
    command = [sys.executable, "-m", "converter.cli", "convert", "recipe.toml"]
    command += ["--keras", "model.keras", "--data", "data", "--out", out]
    began = time.monotonic()
    most = 0.0
    with (place / f"{out}.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=place, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=log, stderr=log
        )
        while process.poll() is None:
            most = max(most, _tree_mib(process.pid))
            time.sleep(0.1)
    assert process.returncode == 0, (place / f"{out}.log").read_text(encoding="utf-8")
    return time.monotonic() - began, most / 1024


def test_time_and_memory(place: Path) -> None:
    """Five variants with their gate on 500 pictures stay in the budget, on two CPUs."""
    seconds, gib = _converted(place, "bundle")
    print(f"five variants of MobileNetV2 0.35: {seconds:.0f} s, {gib:.2f} GiB")
    manifest = load_bundle(place / "bundle").manifest
    assert list(manifest.variants) == VARIANTS
    assert {variant.gate.n for variant in manifest.variants.values()} == {JUDGED}
    assert seconds <= 60 * MINUTES
    assert gib <= GIB
