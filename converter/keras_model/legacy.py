"""A scanned configuration in the form that Keras 3 takes, reduced to what inference needs.

Keras 2 wrote keys that Keras 3 refuses, though they say nothing: a depthwise convolution's
``groups``, a batch normalization's axis as a list. Initial values, penalties and constraints go,
because the weights come from the file. Half precision goes, because the weights of such a network
are kept in float32 anyway and a bundle's variants are made from float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from converter.keras_model.errors import KerasModelError

Config = dict[str, Any]

_FUNCTIONAL = "keras.src.models.functional"
_TRAINING_ONLY = ("_regularizer", "_constraint")
_OPEN_DTYPES = frozenset({"float16", "bfloat16", "float64", "mixed_float16", "mixed_bfloat16"})
_DROPPED: Mapping[str, Mapping[str, Any]] = {
    # Keys that Keras 2 wrote, with the value at which leaving them out changes nothing.
    "BatchNormalization": {"fused": any, "renorm": False, "virtual_batch_size": None},
    "Conv2DTranspose": {"groups": 1},
    "DepthwiseConv2D": {"groups": 1},
    "InputLayer": {"ragged": False},
    "SeparableConv2D": {
        "groups": 1,
        "kernel_initializer": any,
        "kernel_regularizer": any,
        "kernel_constraint": any,
    },
}


def upgrade(path: Path, config: Config) -> Config:
    """A copy of a model's configuration that Keras 3 takes.

    Parameters
    ----------
    path
        For messages.
    config
        Of a model, of Keras 2 or 3; the scan has passed it.

    Raises
    ------
    KerasModelError
        A layer has its channels first, is quantized, or is no configuration.
    """
    try:
        return _model(path, config, "")
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise KerasModelError(f"{path}: its configuration is not one of Keras") from error


def sublayers(config: Config) -> list[Config]:
    """The layers of a model's configuration, empty for a single layer's."""
    inner = config.get("config")
    found = inner.get("layers", []) if isinstance(inner, dict) else inner
    return list(found) if isinstance(found, list) else []


def layer_name(config: Config) -> str:
    """What a layer is called, or its class when it has no name."""
    return str(config.get("name") or config["config"].get("name") or config["class_name"])


def _model(path: Path, config: Config, where: str) -> Config:
    inner = config["config"]
    if isinstance(inner, list):  # a Sequential before Keras 2.2.3
        inner = {"name": "sequential", "layers": inner}
    layers = [_layer(path, layer, where) for layer in inner["layers"]]
    made = dict(config)
    if config["class_name"] in ("Model", "Functional"):
        made["class_name"] = "Functional"
        if "module" in made:
            made |= {"module": _FUNCTIONAL, "registered_name": "Functional"}
    elif layers and "InputLayer" not in (layers[0]["class_name"], config["class_name"]):
        layers = _input_of(inner["layers"][0], layers[0], path) + layers
    made["config"] = {**inner, "layers": layers}
    if shape := inner.get("build_input_shape"):
        made["config"]["build_input_shape"] = _open_batch(shape)
    made["config"].pop("dtype", None)
    return made


def _input_of(old: Config, first: Config, path: Path) -> list[Config]:
    """The input layer of a Sequential whose first layer says what it takes."""
    shape = old["config"].get("batch_input_shape") if isinstance(old["config"], dict) else None
    if shape is None:
        return []
    config = {"batch_shape": shape, "name": f"{layer_name(first)}_input"}
    module = {"module": "keras.layers", "registered_name": None} if "module" in first else {}
    return [_layer(path, {"class_name": "InputLayer", "config": config, **module}, "")]


def _layer(path: Path, config: Config, where: str) -> Config:
    if sublayers(config):
        return _model(path, config, f"{where}{layer_name(config)}/")
    if not isinstance(config["config"], dict):
        raise TypeError
    kind, name = config["class_name"], f"{where}{layer_name(config)}"
    inner = _keys(kind, dict(config["config"]))
    if inner.get("data_format") == "channels_first" or inner.get("dim_ordering") == "th":
        raise KerasModelError(
            f"{path}: layer {name} ({kind}) has its channels first",
            hint="save the model with data_format channels_last",
        )
    if "dtype" in inner:
        inner["dtype"] = _dtype(path, inner["dtype"], f"{name} ({kind})")
    if isinstance(inner.get("layer"), dict):  # a wrapper
        inner["layer"] = _layer(path, inner["layer"], f"{name}/")
    shape = inner.pop("batch_input_shape", None)
    if kind == "InputLayer":
        inner["batch_shape"] = _open_batch(inner.get("batch_shape", shape))
        inner["dtype"] = "float32"  # what a bundle's input is
    return {**config, "config": inner}


def _keys(kind: str, inner: Config) -> Config:
    for key, silent in _DROPPED.get(kind, {}).items():
        if key in inner and (silent is any or inner[key] == silent):
            del inner[key]
    axis = inner.get("axis")
    if kind == "BatchNormalization" and isinstance(axis, list) and len(axis) == 1:
        inner["axis"] = axis[0]
    for key, value in inner.items():
        if key.endswith("_initializer") and value is not None:
            inner[key] = "zeros"
        elif key.endswith(_TRAINING_ONLY):
            inner[key] = None
    return inner


def _dtype(path: Path, dtype: Any, layer: str) -> Any:
    policy = dtype["config"].get("name", "") if isinstance(dtype, dict) else dtype
    if policy is not None and "_from_" in str(policy):
        raise KerasModelError(
            f"{path}: layer {layer} is quantized already ({policy})",
            hint="name the model as it was before quantization",
        )
    return "float32" if policy in _OPEN_DTYPES else policy or "float32"


def _open_batch(shape: Any) -> Any:
    """A batch of 1 may be built into the network; of any other size, the size goes."""
    if not isinstance(shape, list) or not shape or shape[0] in (None, 1):
        return shape
    return [None, *shape[1:]]
