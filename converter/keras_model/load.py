"""A scanned source becomes a model that can be called; Keras never sees the user's file itself.

The configuration that the scan has read is deserialized, then the scanned weights are put in.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
from keras.src.legacy.saving import saving_options, saving_utils
from keras.src.saving import serialization_lib

from converter.keras_model.describe import describe_inputs, describe_layers, describe_outputs
from converter.keras_model.errors import KerasModelError
from converter.keras_model.facts import ModelFacts
from converter.keras_model.legacy import Config, layer_name, sublayers, upgrade
from converter.keras_model.signature import load_saved_model
from converter.keras_model.source import KerasSource
from converter.keras_model.weights import load_weights


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model with one input, which is a picture.

    Parameters
    ----------
    path
        As the user named it, for messages.
    facts
        What is known of it.
    call
        Images (N, height, width, channels) float32 → each output under the name that it has in
        ``facts``; TensorFlow tensors.
    """

    path: Path
    facts: ModelFacts
    call: Callable[[Any], dict[str, Any]]


def load(source: KerasSource, work: Path) -> LoadedModel:
    """Build the model that the scan has passed.

    Parameters
    ----------
    source
        What :func:`converter.keras_model.source.read_source` gave.
    work
        Folder for copies.

    Raises
    ------
    KerasModelError
        Keras cannot build it; a weight is missing; it has several inputs, or one that is no
        picture; it is fixed to a batch of several.
    """
    if source.format == "SavedModel":
        facts, call = load_saved_model(source)
    else:
        assert source.config is not None
        assert source.weights is not None
        model = _build(source.path, upgrade(source.path, source.config))
        load_weights(source.path, model, source.weights, work)
        facts = ModelFacts(
            source.format,
            source.sha256,
            source.keras_version,
            int(model.count_params()),
            describe_inputs(model),
            describe_outputs(model),
            describe_layers(model),
        )
        call = _caller(model, [output.name for output in facts.outputs])
    _check(source.path, facts)
    return LoadedModel(source.path, facts, call)


def _build(path: Path, config: Config) -> Any:
    try:
        model = _deserialize(config)
    except Exception as error:
        raise KerasModelError(
            f"{path}: Keras {keras.__version__} cannot build {_culprit(config, error)}"
        ) from error
    if not isinstance(model, keras.Model) or not getattr(model, "inputs", None):
        raise KerasModelError(f"{path}: holds a {type(model).__name__} without a fixed input")
    return model


def _deserialize(config: Config) -> Any:
    config = copy.deepcopy(config)  # Keras takes it apart
    if "module" in config:
        return keras.saving.deserialize_keras_object(config, safe_mode=True)
    legacy = saving_options.keras_option_scope(use_legacy_config=True)
    with legacy, serialization_lib.SafeModeScope(True):
        return saving_utils.model_from_config(config)


def _culprit(config: Config, error: Exception) -> str:
    """The first layer that Keras does not take even alone, else what it said of the whole."""
    for where, layer in _leaves(config, ""):
        try:
            _deserialize(layer)
        except Exception as alone:  # noqa: BLE001 - whatever Keras raises is the reason
            return f"layer {where} ({layer['class_name']}): {_reason(alone)}"
    return f"the network: {_reason(error)}"


def _leaves(config: Config, where: str) -> Iterator[tuple[str, Config]]:
    for layer in sublayers(config):
        name = f"{where}{layer_name(layer)}"
        if sublayers(layer):
            yield from _leaves(layer, f"{name}/")
        else:
            yield name, layer


def _reason(error: Exception) -> str:
    """What was raised first, on one line."""
    while error.__cause__ is not None or error.__context__ is not None:
        earlier = error.__cause__ or error.__context__
        if not isinstance(earlier, Exception):
            break
        error = earlier
    lines = str(error).strip().splitlines()
    return f"{lines[0][:200]}" if lines else type(error).__name__


def _caller(model: Any, names: list[str]) -> Callable[[Any], dict[str, Any]]:
    def call(images: Any) -> dict[str, Any]:
        given = model(images, training=False)
        if isinstance(given, dict):
            return {name: given[name] for name in names}
        return dict(zip(names, keras.tree.flatten(given), strict=True))

    return call


def _check(path: Path, facts: ModelFacts) -> None:
    if len(facts.inputs) != 1:
        names = ", ".join(tensor.name for tensor in facts.inputs)
        raise KerasModelError(
            f"{path}: takes {len(facts.inputs)} inputs ({names}), a recipe describes one"
        )
    (image,) = facts.inputs
    if len(image.shape) != 4:
        raise KerasModelError(
            f"{path}: takes an input of shape {image.shape}, which is no picture "
            "(batch, height, width, channels)"
        )
    for tensor in (image, *facts.outputs):
        if tensor.shape and tensor.shape[0] not in (None, 1):
            raise KerasModelError(
                f"{path}: {tensor.name} is fixed to a batch of {tensor.shape[0]}",
                hint="save the model with an open batch size",
            )
