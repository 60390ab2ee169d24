"""A trained Keras model file: load it without running anything in it, fix its signature, export it.

A ``.keras`` archive and a Keras 3 ``.h5`` are taken. Loading never passes ``safe_mode=False``, so a
model that carries Python code (a ``Lambda`` layer) is refused.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow.python.framework import convert_to_constants

from converter.quiet import quiet
from edge.contract.errors import ModelError
from edge.contract.manifest import InputSpec, TensorSpec
from edge.records import ModelRef

_ZIP, _HDF5 = b"PK\x03\x04", b"\x89HDF\r\n\x1a\n"
_HINT = "name the .keras or .h5 file that Keras 3 saved"


class KerasModelError(ModelError):
    """The file is no Keras model that this converter takes, or not the one the recipe describes."""


@dataclass(frozen=True, slots=True)
class KerasModel:
    """A loaded model with the recipe's names on its input and outputs.

    Parameters
    ----------
    path, sha256
        The file, and the SHA-256 of its bytes in hex.
    model
        As Keras loaded it.
    input
        What the recipe promises; checked against the model.
    outputs
        The recipe's output names; each is one output of the model.
    """

    path: Path
    sha256: str
    model: keras.Model
    input: InputSpec
    outputs: tuple[str, ...]

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return int(self.model.count_params())

    def signature(self) -> Any:
        """A ``tf.function``: image (1, height, width, channels) float32 → outputs by name."""

        def serve(image: Any) -> dict[str, Any]:
            return _named(self.model(image, training=False), self.outputs, self.model)

        spec = tf.TensorSpec(self.input.shape, tf.float32, self.input.name)
        return tf.function(serve, input_signature=[spec])


class KerasEngine:
    """The Keras model behind the seam that LiteRT stands behind: the baseline of every gate.

    Attributes
    ----------
    model
        Passes for the variant float32.
    outputs
        The output tensors, by name.
    """

    def __init__(self, keras_model: KerasModel, name: str, version: str) -> None:
        self.model = ModelRef(name, version, "float32", keras_model.sha256)
        self._infer = keras_model.signature().get_concrete_function()
        self.outputs = {
            output: TensorSpec(dtype="float32", shape=tuple(tensor.shape))
            for output, tensor in self._infer.structured_outputs.items()
        }

    def infer(self, tensor: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        """(N, height, width, channels) float32 → each output by name, (N, ...) float32."""
        runs = [self._infer(tf.constant(tensor[i : i + 1])) for i in range(len(tensor))]
        return {name: np.concatenate([run[name].numpy() for run in runs]) for name in runs[0]}

    def close(self) -> None:
        """Nothing to release; TensorFlow keeps the graph."""


def load_keras(path: Path, spec: InputSpec, outputs: Sequence[str]) -> KerasModel:
    """Read a Keras file and check that it is the model the recipe describes.

    Parameters
    ----------
    path
        ``.keras``, or ``.h5`` as Keras 3 writes it.
    spec
        The input that the recipe promises.
    outputs
        The recipe's names of the outputs. A model with a dictionary of outputs must have these
        keys, one with a list these layer names; a single output takes the single name.

    Raises
    ------
    KerasModelError
        One line that tells missing, folder, empty, truncated, foreign, weights without a network,
        code inside and a network of another shape apart.
    """
    content = _read(path)
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise KerasModelError(f"{path}: Keras {keras.__version__} refuses it: {reason}") from error
    _check(path, model, spec, outputs)
    return KerasModel(path, hashlib.sha256(content).hexdigest(), model, spec, tuple(outputs))


def export(keras_model: KerasModel, folder: Path) -> None:
    """Write the model as a SavedModel: one signature, batch 1, all weights constant.

    Converting every variant from one SavedModel is several times faster than from the Keras model,
    and frozen weights are what calibration needs: it cannot read variables.
    """
    concrete = keras_model.signature().get_concrete_function()
    # Freezing flattens the dictionary of outputs, in the order of its sorted keys.
    names = sorted(concrete.structured_outputs)
    frozen = convert_to_constants.convert_variables_to_constants_v2(concrete)

    def serve(image: Any) -> dict[str, Any]:
        return dict(zip(names, frozen(image), strict=True))

    module = tf.Module()
    spec = tf.TensorSpec(keras_model.input.shape, tf.float32, keras_model.input.name)
    module.serve = tf.function(serve, input_signature=[spec])
    with quiet():
        tf.saved_model.save(module, str(folder), signatures={"serving_default": module.serve})


def _read(path: Path) -> bytes:
    """The file's bytes, when they can be a Keras model at all."""
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise KerasModelError(
            f"{path}: no such file", hint="train it first, or name a model with --keras"
        ) from error
    except IsADirectoryError as error:
        raise KerasModelError(f"{path}: is a folder", hint=_HINT) from error
    except OSError as error:
        raise KerasModelError(f"{path}: cannot be read: {error.strerror}") from error
    if not content:
        raise KerasModelError(f"{path}: is empty", hint="copy it again")
    if content.startswith(_ZIP):
        _check_suffix(path, "a .keras archive", ".keras")
        _check_archive(path)
    elif content.startswith(_HDF5):
        _check_suffix(path, "an HDF5 file", ".h5", ".hdf5")
        _check_hdf5(path)
    else:
        raise KerasModelError(f"{path}: is neither a .keras archive nor an HDF5 file", hint=_HINT)
    return content


def _check_suffix(path: Path, what: str, *suffixes: str) -> None:
    # Keras goes by the name alone and calls a wrongly named file "not found".
    if path.suffix.lower() not in suffixes:
        raise KerasModelError(
            f"{path}: is {what}, but its name does not say so",
            hint=f"rename it to {path.with_suffix(suffixes[0]).name}",
        )


def _check_archive(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except zipfile.BadZipFile as error:
        raise KerasModelError(
            f"{path}: is a damaged or truncated .keras archive", hint="copy it again"
        ) from error
    if missing := {"config.json", "model.weights.h5"} - names:
        raise KerasModelError(
            f"{path}: is a zip archive without {' and '.join(sorted(missing))}", hint=_HINT
        )


def _check_hdf5(path: Path) -> None:
    try:
        with h5py.File(path, "r") as file:
            whole = "model_config" in file.attrs
    except OSError as error:
        raise KerasModelError(
            f"{path}: is a damaged or truncated HDF5 file", hint="copy it again"
        ) from error
    if not whole:
        raise KerasModelError(
            f"{path}: holds weights but no network", hint="save the whole model: model.save(…)"
        )


def _check(path: Path, model: Any, spec: InputSpec, outputs: Sequence[str]) -> None:
    """The network has the recipe's input and outputs."""
    if not isinstance(model, keras.Model) or not getattr(model, "inputs", None):
        raise KerasModelError(f"{path}: holds a {type(model).__name__} without a fixed input")
    if len(model.inputs) != 1:
        raise KerasModelError(f"{path}: takes {len(model.inputs)} inputs, a recipe describes one")
    shape = tuple(model.inputs[0].shape)
    if len(shape) != 4 or any(a not in (None, b) for a, b in zip(shape, spec.shape, strict=True)):
        raise KerasModelError(
            f"{path}: takes an input of shape {shape}, the recipe says {tuple(spec.shape)}",
            hint="set input.size and input.color of the recipe to those of the training",
        )
    if len(model.outputs) == len(outputs) == 1:
        return
    given = list(model.output) if isinstance(model.output, dict) else list(model.output_names)
    if set(given) != set(outputs):
        raise KerasModelError(
            f"{path}: gives the outputs {', '.join(sorted(given))}, "
            f"the recipe names {', '.join(sorted(outputs))}",
            hint="use the model's names in [outputs] of the recipe",
        )


def _named(given: Any, names: Sequence[str], model: keras.Model) -> dict[str, Any]:
    """What the model returned, under the recipe's names; :func:`_check` has compared them."""
    if isinstance(given, dict):
        given = list(given.values()) if len(names) == 1 else [given[name] for name in names]
    elif not isinstance(given, (list, tuple)):
        given = [given]
    elif len(names) > 1:
        given = [given[model.output_names.index(name)] for name in names]
    return dict(zip(names, given, strict=True))
