"""The LiteRT engine: loading, checks against the manifest, batches."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edge.contract.bundle import load_bundle
from edge.contract.golden import check_golden
from edge.engines import open_engine
from edge.engines.litert import BATCH, LiteRTEngine
from edge.errors import GoldenMismatch, HashMismatch, ModelError, SpecMismatch
from tests.helpers.bundles import (
    BLOB_DETECTOR,
    FIXTURES,
    TINT_CLASSIFIER,
    copy_bundle,
    edit_manifest,
    exchange_model,
)

Json = dict[str, Any]


@pytest.mark.parametrize("variant", ["float32", "int8"])
@pytest.mark.parametrize("path", [BLOB_DETECTOR, TINT_CLASSIFIER], ids=lambda path: path.name)
def test_the_golden_vectors_hold_on_this_machine(path: Path, variant: str) -> None:
    """Preprocessing and runtime together give here what they gave where the bundle was made."""
    bundle = load_bundle(path)
    engine = open_engine(bundle, variant)
    report = check_golden(bundle, variant, engine.infer)
    engine.close()
    assert set(report.differences) == set(bundle.manifest.outputs)


@pytest.mark.parametrize(
    "change",
    [
        {"color": "BGR"},
        {"normalize": {"mean": [127.5] * 3, "std": [140.0] * 3}},
        {"resize": {"mode": "letterbox", "pad": 0, "interpolation": "linear"}},
        {"resize": {"mode": "letterbox", "pad": 127, "interpolation": "nearest"}},
        {"resize": {"mode": "stretch", "pad": 127, "interpolation": "linear"}},
    ],
    ids=str,
)
def test_other_preprocessing_is_a_golden_mismatch(tmp_path: Path, change: Json) -> None:
    """A device that would swap channels, scale, pad or resize otherwise does not pass, although
    the model file is right.
    """
    folder = copy_bundle(tmp_path, BLOB_DETECTOR)
    if "color" in change:  # the brightest channel is the same in any order
        folder = copy_bundle(tmp_path, TINT_CLASSIFIER)
    edit_manifest(folder, lambda data: data["input"].update(change))
    bundle = load_bundle(folder)
    engine = open_engine(bundle, "float32")
    with pytest.raises(GoldenMismatch):
        check_golden(bundle, "float32", engine.infer)


def test_a_damaged_file_is_never_loaded(tmp_path: Path) -> None:
    """The hash is checked before the runtime sees a byte."""
    folder = copy_bundle(tmp_path, TINT_CLASSIFIER)
    file = folder / "model.int8.tflite"
    file.write_bytes(file.read_bytes()[:-4] + b"\0\0\0\1")
    with pytest.raises(HashMismatch, match=r"model\.int8\.tflite: sha256 mismatch: expected"):
        open_engine(load_bundle(folder), "int8")


@pytest.mark.parametrize("content", [b"x", b"not a model at all", b"\x18\0\0\0TFL3" + b"\0" * 99])
def test_a_file_that_is_no_model_is_one_line(tmp_path: Path, content: bytes) -> None:
    """Whatever the runtime says of a file that it refuses comes as one line with the path."""
    folder = copy_bundle(tmp_path, TINT_CLASSIFIER)
    exchange_model(folder, "int8", content)
    with pytest.raises(ModelError, match=r"model\.int8\.tflite: cannot be loaded: ") as caught:
        open_engine(load_bundle(folder), "int8")
    assert caught.value.exit_code == 78
    assert "\n" not in str(caught.value)


def _int8(data: Json) -> Json:
    return dict.__getitem__(data["variants"], "int8")


def _smaller(data: Json) -> None:
    data["input"]["shape"] = [1, 16, 32, 3]
    for variant in data["variants"].values():
        variant["inputs"]["image"]["shape"] = [1, 16, 32, 3]


def _three_labels(data: Json) -> None:
    data["labels"].append("mask_incorrect")
    for variant in data["variants"].values():
        variant["outputs"]["scores"]["shape"] = [1, 3]


def _renamed(data: Json) -> None:
    data["outputs"] = {"probability": "class_scores"}
    for variant in data["variants"].values():
        variant["outputs"] = {"probability": variant["outputs"]["scores"]}


def _float_output(data: Json) -> None:
    _int8(data)["outputs"]["scores"] = {"dtype": "float32", "shape": [1, 2]}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            _smaller,
            r"input image: shape \(1, 32, 32, 3\) in the file, \(1, 16, 32, 3\) in the manifest",
        ),
        (_three_labels, r"output scores: shape \(1, 2\) in the file, \(1, 3\) in the manifest"),
        (_renamed, "outputs scores in the file, probability in the manifest"),
        (_float_output, "output scores: dtype int8 in the file, float32 in the manifest"),
        (
            lambda d: _int8(d)["inputs"]["image"].update(scale=0.0079),
            r"input image: scale 0\.00784\d+ in the file, 0\.00789\d+ in the manifest",
        ),
        (
            lambda d: _int8(d)["inputs"]["image"].update(zero_point=0),
            "input image: zero_point -1 in the file, 0 in the manifest",
        ),
    ],
    ids=["shape", "classes", "names", "dtype", "scale", "zero_point"],
)
def test_a_manifest_that_promises_other_tensors_is_refused(
    tmp_path: Path, change: Callable[[Json], object], reason: str
) -> None:
    """Shape, number of classes, names, dtype, scale or zero point: the error names both values."""
    folder = copy_bundle(tmp_path, TINT_CLASSIFIER)
    edit_manifest(folder, change)
    with pytest.raises(SpecMismatch, match=reason) as caught:
        open_engine(load_bundle(folder), "int8")
    assert caught.value.exit_code == 78


def test_a_scale_with_more_digits_is_the_same_number(tmp_path: Path) -> None:
    """The file holds float32; a manifest written from a float64 of it fits."""
    folder = copy_bundle(tmp_path, TINT_CLASSIFIER)
    edit_manifest(folder, lambda d: _int8(d)["inputs"]["image"].update(scale=0.0078431377187371))
    open_engine(load_bundle(folder), "int8").close()


def _crops(count: int) -> npt.NDArray[Any]:
    return np.random.default_rng(3).uniform(-1, 1, (count, 32, 32, 3)).astype(np.float32)


@pytest.mark.parametrize("name", ["fixed_batch", "mixing_batch"])
def test_a_file_that_cannot_follow_a_batch_runs_one_by_one(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A file that refuses several images, and one that takes them but mixes them up, give for
    every image of a batch what they give for it alone.
    """
    folder = copy_bundle(tmp_path, TINT_CLASSIFIER)
    exchange_model(folder, "float32", (FIXTURES / f"{name}.tflite").read_bytes())
    engine = open_engine(load_bundle(folder), "float32")
    crops = _crops(2 * BATCH + 1)
    with caplog.at_level(logging.INFO):
        batch = engine.infer(crops)
    for index in range(len(crops)):
        single = engine.infer(crops[index : index + 1])
        np.testing.assert_allclose(batch["scores"][index], single["scores"][0], rtol=1e-5)
    assert caplog.text.count("runs images one by one") == 1


def test_a_file_that_follows_the_batch_does(caplog: pytest.LogCaptureFixture) -> None:
    """The twin: a file without a fixed shape inside runs batches without a word."""
    engine = open_engine(load_bundle(TINT_CLASSIFIER), "float32")
    with caplog.at_level(logging.INFO):
        assert len(engine.infer(_crops(2 * BATCH + 1))["scores"]) == 2 * BATCH + 1
    assert "one by one" not in caplog.text


def test_closing_lets_go_of_the_file() -> None:
    """A closed engine keeps neither interpreter nor bytes."""
    engine = LiteRTEngine(load_bundle(TINT_CLASSIFIER), "float32")
    engine.infer(_crops(BATCH))
    engine.close()
    held = [value for value in vars(engine).values() if isinstance(value, bytes) and value]
    assert held == []
    assert not any(type(value).__name__ == "Lane" for value in vars(engine).values())
