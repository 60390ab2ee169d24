"""Put the scanned weights into a model, and know of every weight that it was set."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py

from converter.keras_model.errors import KerasModelError

_OTHER_NAMES = {"depthwise_kernel": "kernel"}
"""What Keras 2 called a weight that Keras 3 calls otherwise."""

_KNOWN = frozenset(
    {"kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance", "alpha"}
    | {"pointwise_kernel", "embeddings"}
)


def load_weights(path: Path, model: Any, weights: Path, work: Path) -> None:
    """Set every weight of a Keras model.

    Parameters
    ----------
    path
        The model file, for messages.
    model
        Built; a functional or a sequential one.
    weights
        HDF5, in the form of Keras 3 (by path) or of Keras 2 and Keras 3's ``.h5`` (by layer).
    work
        Folder for a copy.

    Raises
    ------
    KerasModelError
        A weight of the model is not in the file, or has another shape there.
    """
    with h5py.File(weights, "r") as file:
        group = file.get("model_weights", file)
        if _listed(group, "layer_names"):
            return _set(path, model, group)
    if not weights.name.endswith(".weights.h5"):  # Keras goes by the name
        weights = Path(shutil.copyfile(weights, work / "copy.weights.h5"))
    try:
        model.load_weights(weights)
    except Exception as error:
        raise KerasModelError(f"{path}: {_reason(error)}") from error
    return None


def _set(path: Path, model: Any, group: Any) -> None:
    """Layer by layer in the order of the file, which is that of the model when it was saved."""
    layers = [layer for layer in model.layers if layer.weights]
    stored = {name: list(_weights(group[name])) for name in _listed(group, "layer_names")}
    stored = {name: found for name, found in stored.items() if found}
    if set(stored) == {layer.name for layer in layers}:
        pairs = [(layer, stored[layer.name]) for layer in layers]
    elif len(stored) == len(layers):
        pairs = list(zip(layers, stored.values(), strict=True))
    else:
        missing = [layer.name for layer in layers if layer.name not in stored]
        raise KerasModelError(
            f"{path}: the network has {len(layers)} layers with weights, the file {len(stored)}"
            f"{f'; the first without is {missing[0]}' if missing else ''}",
            hint="name the weights that were saved from this network",
        )
    for layer, found in pairs:
        _set_layer(path, layer, found)


def _set_layer(path: Path, layer: Any, found: list[tuple[str, Any]]) -> None:
    variables = [*layer.trainable_weights, *layer.non_trainable_weights]
    if len(found) != len(variables):
        raise KerasModelError(
            f"{path}: layer {layer.name} has {len(variables)} weights "
            f"({', '.join(v.path for v in variables)}), the file {len(found)} "
            f"({', '.join(name for name, _ in found)})"
        )
    by_tail = {_tail(name): (name, dataset) for name, dataset in found}
    if len(by_tail) == len(found) and set(by_tail) == {_tail(v.path) for v in variables}:
        found = [by_tail[_tail(variable.path)] for variable in variables]
    for variable, (name, dataset) in zip(variables, found, strict=True):
        if _differ(variable.path, name):
            raise KerasModelError(
                f"{path}: layer {layer.name}: where the network has {variable.path}, "
                f"the file has {name}"
            )
        if tuple(dataset.shape) != tuple(variable.shape):
            raise KerasModelError(
                f"{path}: weight {variable.path} has the shape {tuple(dataset.shape)} in the file, "
                f"the network needs {tuple(variable.shape)}"
            )
        variable.assign(dataset[()])


def _tail(name: str) -> tuple[str, str]:
    """Layer and weight; the models around them are not always in the name."""
    *_, layer, weight = ("", *name.split("/"))
    return layer, _OTHER_NAMES.get(weight, weight)


def _differ(ours: str, stored: str) -> bool:
    """Both last names are known and not the same: the order is another one."""
    names = {_tail(ours)[1], _tail(stored)[1]}
    return len(names) == 2 and names <= _KNOWN


def _weights(group: Any) -> Iterator[tuple[str, Any]]:
    for name in _listed(group, "weight_names"):
        yield name.removesuffix(":0"), group[name]


def _listed(group: Any, attribute: str) -> list[str]:
    """A list of names; HDF5 has no room for a long one in one attribute."""
    if attribute in group.attrs:
        parts = [group.attrs[attribute]]
    else:
        count = sum(name.removeprefix(attribute).isdecimal() for name in group.attrs)
        parts = [group.attrs[f"{attribute}{index}"] for index in range(count)]
    return [n.decode() if isinstance(n, bytes) else str(n) for part in parts for n in part]


def _reason(error: Exception) -> str:
    """One line of what Keras says about the first object that it could not load."""
    text = str(error)
    found = re.search(r"<(\w+) name=([^,>]+)", text)
    lines = [line.strip() for line in text.split("\n\n")[1:2] or text.splitlines()]
    line = lines[0] if lines else type(error).__name__
    where = f"layer {found[2]} ({found[1]}): " if found else ""
    return f"the weights do not fit: {where}{' '.join(line.split())}"
