"""The course of a training: where it goes on, and where it must not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="training needs the convert extra")

import keras
import tensorflow as tf

from converter.training import DetectorTraining
from converter.training.detector import _record
from converter.training.loop import Average, Batch, run
from converter.training.metrics import Judged
from converter.training.pictures import Picture
from converter.training.settings import SPLIT
from converter.training.state import load_state, save_state, write_json
from edge.errors import ConfigError

pytestmark = [
    pytest.mark.convert,
    # Keras 3.15 copies variables with np.array, which numpy 2 deprecates for TensorFlow's tensors.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword"),
]

SETTINGS = DetectorTraining(
    minutes=60, epoch_steps=1, patience=1, picture_fraction=0.2, crop_fraction=0.2, fold=1
)
OTHER: dict[str, float] = {"seed": 8, "picture_fraction": 0.25, "crop_fraction": 0.3, "fold": 2}


@pytest.fixture(autouse=True)
def eager() -> Iterator[None]:
    """Compiling a graph takes longer than the few steps these tests run."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def tiny() -> keras.Model:
    """One weight and one bias."""
    return keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])


class Idle:
    """Learns nothing, and never gets better: ``patience`` ends the training."""

    def __init__(self) -> None:
        self.model = tiny()
        self.average = Average(self.model, 0.5)

    @property
    def variables(self) -> list[Any]:
        return [*self.model.weights, *self.average.variables]

    def step(self, batch: Batch, learning_rate: float) -> dict[str, float]:
        return {"loss": 1.0}


def go(settings: DetectorTraining, out: Path, *, resume: bool) -> int:
    """Train, and count the epochs on the learning curve."""
    run(
        settings,
        Idle(),
        lambda rng: (np.zeros(1, np.float32),),
        lambda weights: (0.5, {"val_loss": 1.0}, {}),
        tiny(),
        out,
        resume=resume,
        progress=lambda line: None,
    )
    return len((out / "curve.jsonl").read_text().splitlines())


def changed(key: str) -> DetectorTraining:
    """The settings with another value of one key."""
    return DetectorTraining.model_validate(SETTINGS.model_dump() | {key: OTHER[key]})


def test_the_same_split_goes_on(tmp_path: Path) -> None:
    """What decides nothing about the split may change: here the patience and the minutes."""
    assert go(SETTINGS, tmp_path, resume=False) == 2
    longer = SETTINGS.model_copy(update={"patience": 3, "minutes": 70.0})
    assert go(longer, tmp_path, resume=True) == 4


@pytest.mark.parametrize("key", SPLIT)
def test_another_split_does_not_go_on(tmp_path: Path, key: str) -> None:
    """Refused with the key and both values, and what was there is left alone; anew is fine."""
    go(SETTINGS, tmp_path, resume=False)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    was = getattr(SETTINGS, key)
    with pytest.raises(
        ConfigError, match=rf"training\.{key} {was}, now it is {OTHER[key]}: "
    ) as told:
        go(changed(key), tmp_path, resume=True)
    assert "train anew" in told.value.hint
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert go(changed(key), tmp_path, resume=False) == 2


def test_the_split_is_still_known_after_a_resumption(tmp_path: Path) -> None:
    """A training that was resumed once is guarded as well."""
    go(SETTINGS, tmp_path, resume=False)
    go(SETTINGS.model_copy(update={"patience": 2}), tmp_path, resume=True)
    with pytest.raises(ConfigError, match=r"training\.fold 1, now it is 2"):
        go(changed("fold"), tmp_path, resume=True)


def test_a_state_that_does_not_tell_its_split_is_accepted(tmp_path: Path) -> None:
    """States of before it was stored can still be resumed."""
    go(SETTINGS, tmp_path, resume=False)
    variables = Idle().variables
    facts = load_state(tmp_path / "state.npz", variables)
    del facts["split"]
    save_state(tmp_path / "state.npz", variables, facts)
    assert go(changed("fold").model_copy(update={"patience": 2}), tmp_path, resume=True) == 3


def test_a_new_threshold_leaves_what_was_trained_with(tmp_path: Path) -> None:
    """Whoever asks for another precision gets its figures; the settings that say which pictures
    the weights have not seen stay.
    """
    write_json(
        tmp_path / "metrics.json",
        {"kind": "face_detector", "epoch": 9, "settings": SETTINGS.model_dump(mode="json")},
    )
    picture = Picture(
        Path("a.png"), np.zeros((4, 4, 3), np.uint8), np.zeros((0, 4), np.float32), ()
    )
    judged = Judged(np.array([0.9, 0.5], np.float32), np.array([True, False]), 1)
    asked = SETTINGS.model_copy(update=OTHER | {"minutes": 1.0, "target_precision": 0.5})
    _record(tmp_path, asked, [picture], [judged])
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    trained = SETTINGS.model_copy(update={"target_precision": 0.5})
    assert metrics["settings"] == trained.model_dump(mode="json")
    assert (metrics["epoch"], metrics["validation_faces"]) == (9, 1)
    assert metrics["shipped"]["threshold"] == pytest.approx(0.5)
    _record(tmp_path, SETTINGS, [picture], [judged])
    stricter = json.loads((tmp_path / "metrics.json").read_text())
    assert stricter["settings"] == SETTINGS.model_dump(mode="json")
    assert stricter["shipped"]["threshold"] > 0.5
