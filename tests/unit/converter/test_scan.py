"""The scan of model files: each form passes, and each file that is none is told apart."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import pytest

from converter.keras_model.errors import KerasModelError
from converter.keras_model.source import KerasSource, read_source
from tests.helpers.data import data_dir
from tests.helpers.keras_files import (
    layer,
    legacy,
    message,
    network,
    node,
    saved_model,
    write_archive,
    write_h5,
    write_json,
    write_saved_model,
    write_weights,
)

ROOT = Path(__file__).resolve().parents[3]
TRAINED = {
    "face_mask_detector.h5": ("Keras 2 HDF5", "2.4.0"),
    "fer2013_mini_XCEPTION.102-0.66.hdf5": ("Keras 2 HDF5", "2.0.5"),
    "gender_mini_XCEPTION.21-0.95.hdf5": ("Keras 2 HDF5", "2.0.5"),
    "severstal_unet_keras231.json": ("Keras JSON with weights", "2.3.1"),
}


def _read(path: Path, weights: Path | None = None) -> KerasSource:
    work = path.parent / "work"
    work.mkdir(exist_ok=True)
    return read_source(path, weights, work)


def _refused(path: Path, weights: Path | None = None) -> str:
    """What is said about a file, without its name; always one line and exit code 78."""
    with pytest.raises(KerasModelError) as caught:
        _read(path, weights)
    assert caught.value.exit_code == 78
    assert "\n" not in str(caught.value)
    assert caught.value.hint
    assert str(caught.value).startswith(f"{path.parent}")
    return str(caught.value)


@pytest.mark.data
@pytest.mark.parametrize("name", TRAINED)
def test_models_of_others_pass(name: str, tmp_path: Path) -> None:
    """Models that others trained with Keras 2.0 to 2.4 pass the scan, their weights with them."""
    source = read_source(data_dir("keras_models", name), None, tmp_path)
    assert (source.format, source.keras_version) == TRAINED[name]
    assert source.config is not None
    assert source.weights is not None
    assert source.weights.exists()


def test_each_form_is_known_by_its_content(tmp_path: Path) -> None:
    """Archive, HDF5, JSON and SavedModel pass under any name, each with its format and version."""
    content = saved_model({"f": [node("MatMul")]}, offered=["f"])
    found = {
        path: _read(path)
        for path in (
            write_archive(tmp_path / "a.zip", network()),
            write_h5(tmp_path / "b.model", legacy(network())),
            write_h5(tmp_path / "c.bin", legacy(network()), "3.15.1"),
            write_json(tmp_path / "d.txt", legacy(network())),
            write_saved_model(tmp_path / "e", content),
        )
    }
    assert [(source.format, source.keras_version) for source in found.values()] == [
        ("Keras 3 archive", "3.15.1"),
        ("Keras 2 HDF5", "2.4.0"),
        ("Keras 3 HDF5", "3.15.1"),
        ("Keras JSON with weights", ""),
        ("SavedModel", ""),
    ]
    assert len({source.sha256 for source in found.values()}) == 5
    for path, source in found.items():
        assert source.path == path
        assert (source.config is None) == (source.format == "SavedModel")


def test_sequential_of_old_keras_passes(tmp_path: Path) -> None:
    """A Sequential whose configuration is a bare list of layers, as Keras 2.0 wrote it, passes."""
    config = legacy(network())
    config["config"] = config["config"]["layers"]
    assert _read(write_h5(tmp_path / "m.h5", config)).config == config


def test_compile_settings_are_dropped_at_any_depth(tmp_path: Path) -> None:
    """What only trains a model is neither scanned nor handed on, also that of a sub-model."""
    inner = network()
    inner["compile_config"] = {"loss": layer("Evil", "x", "os")}
    config = network(inner)
    config["compile_config"] = {"optimizer": layer("Evil", "x", "os")}
    source = _read(write_archive(tmp_path / "m.keras", config))
    assert source.config == network(network())


def test_old_tuples_become_lists(tmp_path: Path) -> None:
    """Tuples and shapes that older Keras wrote as objects become plain lists."""
    config = network(
        layer("Reshape", "r", target_shape={"class_name": "__tuple__", "items": [3, 1]})
    )
    source = _read(write_archive(tmp_path / "m.keras", config))
    assert source.config is not None
    assert source.config["config"]["layers"][2]["config"]["target_shape"] == [3, 1]


def test_json_in_json_passes(tmp_path: Path) -> None:
    """``json.dump(model.to_json())`` writes JSON inside a JSON string, which is read too."""
    path = write_json(tmp_path / "m.json", network())
    path.write_text(json.dumps(path.read_text()))
    assert _read(path).config == network()


def test_weights_of_json_are_named_or_lie_beside(tmp_path: Path) -> None:
    """Weights are named, or ``<stem>.weights.h5`` or ``<stem>.h5``; they change the hash."""
    path = write_json(tmp_path / "m.json", network())
    beside = _read(path)
    assert beside.weights == tmp_path / "m.weights.h5"
    other = write_weights(tmp_path / "other.hdf5")
    named = _read(path, other)
    assert named.weights == other
    assert named.sha256 != beside.sha256
    (tmp_path / "m.weights.h5").rename(tmp_path / "m.h5")
    assert _read(path).weights == tmp_path / "m.h5"
    (tmp_path / "m.h5").unlink()
    assert "neither m.weights.h5 nor m.h5 lies beside it" in _refused(path)


def test_weights_belong_to_json_only(tmp_path: Path) -> None:
    """Naming weights for a model that has its own is an error, not ignored."""
    weights = write_weights(tmp_path / "w.h5")
    assert "has its weights in itself" in _refused(
        write_h5(tmp_path / "m.h5", legacy(network())), weights
    )


def _folder(path: Path) -> None:
    path.mkdir()


def _unpacked(path: Path) -> None:
    path.mkdir()
    (path / "config.json").write_text("{}")


def _weights_only(path: Path) -> None:
    write_weights(path)


def _network_only(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(legacy(network()))


def _cut(whole: Callable[[Path], Path]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        content = whole(path).read_bytes()
        path.write_bytes(content[: len(content) // 2])

    return write


def _zip(*names: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, b"{}")

    return write


def _bytes(content: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(content)

    return write


ONNX = message((1, 8), (2, "pytorch"), (3, "2.1"), (7, b"graph"))
FROZEN = message((1, message((1, "data"), (2, "Placeholder"))))
NO_MODEL: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing": (lambda _: None, "no such file"),
    "empty": (_bytes(b""), "is empty"),
    "junk": (_bytes(bytes(range(256))), "is no Keras model"),
    "text": (_bytes(b"hello world\n"), "is no Keras model"),
    "HTML": (_bytes(b"<!DOCTYPE html>\n<html>"), "is a web page, not a model"),
    "LFS": (_bytes(b"version https://git-lfs.github.com/spec/v1\n"), "is a Git LFS pointer"),
    "folder": (_folder, "is a folder without saved_model.pb"),
    "unpacked archive": (_unpacked, "an unpacked .keras archive"),
    "pipe": (os.mkfifo, "is neither a file nor a folder"),
    "TFLite": (_bytes(b"\x1c\0\0\0TFL3" + bytes(32)), "is a TFLite file"),
    "ONNX": (_bytes(ONNX), "is an ONNX file"),
    "pickle": (_bytes(pickle.dumps({"weights": [1, 2]})), "is a Python pickle"),
    "PyTorch": (_zip("model/data.pkl", "model/version"), "is a PyTorch file"),
    "frozen graph": (_bytes(FROZEN), "is a frozen graph of TensorFlow 1"),
    "graph alone": (_bytes(saved_model({"f": []})), "is the graph of a SavedModel without its"),
    "gzip": (_bytes(b"\x1f\x8b\x08" + bytes(20)), "is compressed"),
    "YAML": (_bytes(b"backend: tensorflow\nclass_name: Model\n"), "is a network as YAML"),
    "weights alone": (_weights_only, "holds weights but no network"),
    "network alone": (_network_only, "holds a network but no weights"),
    "other zip": (_zip(), "is an empty zip archive"),
    "zip without weights": (_zip("config.json"), "without model.weights.h5"),
    "zip without network": (_zip("model.weights.h5"), "without config.json"),
    "truncated archive": (
        _cut(lambda path: write_archive(path, network())),
        "is a damaged or truncated .keras archive",
    ),
    "truncated HDF5": (
        _cut(lambda path: write_h5(path, legacy(network()))),
        "is a damaged or truncated HDF5 file",
    ),
    "truncated JSON": (_bytes(b'{"class_name": "Model", "config": {'), "JSON is damaged"),
    "other JSON": (_bytes(b'{"name": "x"}'), "is JSON, but not the network of a Keras model"),
    "single layer": (
        _bytes(json.dumps(layer("Dense", "d")).encode()),
        "holds a single Dense, not a network",
    ),
}


@pytest.mark.parametrize("name", NO_MODEL)
def test_what_is_no_model_is_told(name: str, tmp_path: Path) -> None:
    """Each file that is no Keras model gets a line of its own, with a hint (F31)."""
    write, said = NO_MODEL[name]
    path = tmp_path / "model.keras"
    write(path)
    assert said in _refused(path)


def test_no_two_texts_are_equal() -> None:
    """Nothing that is told apart is told in the same words, but the two kinds of junk."""
    texts = [said for _, said in NO_MODEL.values()]
    assert len(texts) - len(set(texts)) == 1


def test_truncated_saved_model_is_told(tmp_path: Path) -> None:
    """A SavedModel whose graph was cut short is damaged, wherever it was cut."""
    content = saved_model({"f": [node("MatMul")]}, offered=["f"])
    folder = write_saved_model(tmp_path / "m", content)
    for length in range(len(content)):
        (folder / "saved_model.pb").write_bytes(content[:length])
        with pytest.raises(KerasModelError):
            _read(folder)


def test_unreadable_file_is_told(tmp_path: Path) -> None:
    """A file without permission to read says so."""
    path = write_h5(tmp_path / "m.h5", legacy(network()))
    path.chmod(0)
    code = (
        "import os, sys; from pathlib import Path\n"
        "from converter.keras_model.source import read_source\n"
        "os.geteuid() or os.seteuid(65534)\n"  # root may read everything
        "try: read_source(Path(sys.argv[1]), None, Path(sys.argv[1]).parent)\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == f"KerasModelError {path}: cannot be read: Permission denied"


def test_scan_imports_no_keras(tmp_path: Path) -> None:
    """Neither Keras nor TensorFlow is imported before a file has passed."""
    files = [
        write_archive(tmp_path / "m.keras", network()),
        write_saved_model(tmp_path / "m", saved_model({"f": [node("MatMul")]}, offered=["f"])),
    ]
    code = (
        "import sys; from pathlib import Path\n"
        "from converter.keras_model.source import read_source\n"
        "for name in sys.argv[1:]: read_source(Path(name), None, Path(name).parent)\n"
        "print(sorted({'keras', 'tensorflow'} & set(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, *map(str, files)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == "[]"
