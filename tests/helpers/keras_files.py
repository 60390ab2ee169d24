"""Keras model files of every form, written without Keras: small, fast, and as hostile as needed."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from converter.keras_model.errors import KerasModelError
from converter.keras_model.source import read_source

Config = dict[str, Any]


def layer(kind: str, name: str, module: str = "keras.layers", **config: Any) -> Config:
    """A layer as Keras 3 writes it."""
    return {
        "module": module,
        "class_name": kind,
        "config": {"name": name, **config},
        "registered_name": None,
    }


def network(*layers: Config) -> Config:
    """A network of Keras 3 with an input, a dense layer and more layers."""
    first = layer("InputLayer", "image", batch_shape=[None, 2], dtype="float32")
    dense = layer(
        "Dense",
        "scores",
        units=3,
        activation="softmax",
        kernel_initializer=layer("GlorotUniform", "g", "keras.initializers", seed=None),
        dtype=layer("DTypePolicy", "float32", "keras"),
    )
    return layer("Sequential", "net", "keras", layers=[first, dense, *layers])


def legacy(config: Any) -> Any:
    """A configuration as Keras 2 writes it: no modules."""
    if isinstance(config, dict):
        return {
            key: legacy(value)
            for key, value in config.items()
            if key not in ("module", "registered_name")
        }
    return [legacy(value) for value in config] if isinstance(config, list) else config


def write_weights(path: Path, group: str = "") -> Path:
    """HDF5 with the weights of :func:`network` as Keras 2 lays them out."""
    with h5py.File(path, "w") as file:
        top = file.create_group(group) if group else file
        top.attrs["layer_names"] = np.array([b"scores"])
        scores = top.create_group("scores")
        scores.attrs["weight_names"] = np.array([b"scores/kernel:0", b"scores/bias:0"])
        scores["scores/kernel:0"] = np.ones((2, 3), np.float32)
        scores["scores/bias:0"] = np.zeros(3, np.float32)
    return path


def write_h5(path: Path, config: Config, version: str = "2.4.0") -> Path:
    """A whole model in HDF5."""
    write_weights(path, "model_weights")
    with h5py.File(path, "a") as file:
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["keras_version"] = version
    return path


def write_archive(path: Path, config: Config, weights: Path | None = None) -> Path:
    """A ``.keras`` archive."""
    if weights is None:
        weights = write_weights(path.with_suffix(".tmp"))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
        archive.writestr("config.json", json.dumps(config))
        archive.write(weights, "model.weights.h5")
    return path


def write_json(path: Path, config: Config) -> Path:
    """A network as JSON, with its weights beside it."""
    path.write_text(json.dumps(config))
    write_weights(path.with_suffix(".weights.h5"))
    return path


def message(*fields: tuple[int, bytes | str | int]) -> bytes:
    """A protocol buffer of these fields."""
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += _varint(number << 3) + _varint(value)
        else:
            content = value.encode() if isinstance(value, str) else value
            out += _varint(number << 3 | 2) + _varint(len(content)) + content
    return out


def node(operator: str, name: str = "node", calls: str = "") -> bytes:
    """A node of a graph; with ``calls`` it has an attribute that names a function."""
    attribute = message((1, "f"), (2, message((10, message((1, calls))))))
    fields: list[tuple[int, bytes | str | int]] = [(1, name), (2, operator)]
    return message(*fields, *([(5, attribute)] if calls else []))


def saved_model(
    functions: Mapping[str, Sequence[bytes]],
    *,
    main: Sequence[bytes] = (),
    offered: Sequence[str] = (),
    objects: Sequence[bytes] = (),
    stand_ins: Sequence[str] = (),
    more: bytes = b"",
) -> bytes:
    """The bytes of a ``saved_model.pb`` with these functions, some offered to whoever loads it."""
    # TensorFlow may call such a function instead of another one of the same interface.
    stands_in = message((5, message((1, "api_implements"), (2, b""))))
    library = message(
        *(
            (
                1,
                message((1, message((1, name))), *((3, node) for node in nodes))
                + (stands_in if name in stand_ins else b""),
            )
            for name, nodes in functions.items()
        )
    )
    graph = message(*((1, node) for node in main), (2, library))
    tree = message(
        *((1, item) for item in objects), *((2, message((1, name), (2, b""))) for name in offered)
    )
    return message((1, 1), (2, message((2, graph), (7, tree)) + more))


def write_saved_model(folder: Path, content: bytes) -> Path:
    """A SavedModel folder with that graph."""
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(content)
    (folder / "variables" / "variables.index").write_bytes(b"index")
    (folder / "variables" / "variables.data-00000-of-00001").write_bytes(b"data")
    return folder


def refused(path: Path) -> str:
    """What the scan says about a file: it must refuse it, in one line that names the file."""
    work = path.parent / "work"
    work.mkdir(exist_ok=True)
    with pytest.raises(KerasModelError) as caught:
        read_source(path, None, work)
    assert "\n" not in str(caught.value)
    assert str(path) in caught.value.message
    return str(caught.value)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
