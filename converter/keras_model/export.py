"""The one SavedModel that every variant is made of, and the baseline beside it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow.python.framework import convert_to_constants

from converter.keras_model.errors import KerasModelError
from converter.keras_model.load import LoadedModel

_ACTIVATIONS: Mapping[str, Callable[[Any], Any]] = {"softmax": tf.nn.softmax, "sigmoid": tf.sigmoid}


@dataclass(frozen=True, slots=True)
class Exported:
    """A model under the recipe's names.

    Parameters
    ----------
    shapes
        Output → its shape for one image, sorted by name.
    serve
        Images → outputs, by Keras itself.
    batches
        It takes several images at a time.
    """

    shapes: dict[str, tuple[int, ...]]
    serve: Callable[[Any], dict[str, Any]]
    batches: bool

    def infer(self, images: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
        """(N, height, width, channels) float32 → each output by name, (N, ...) float32."""
        step = max(1, len(images)) if self.batches else 1
        runs = [self.serve(tf.constant(images[i : i + step])) for i in range(0, len(images), step)]
        return {name: np.concatenate([run[name].numpy() for run in runs]) for name in self.shapes}


def export(
    model: LoadedModel,
    folder: Path,
    *,
    name: str,
    shape: tuple[int, int, int, int],
    outputs: Sequence[str],
    activations: Mapping[str, str],
) -> Exported:
    """Check the model against the recipe, then write it as a SavedModel.

    It gets one signature, batch 1, all weights constant: converting from it is several times
    faster than from the Keras model, and calibration cannot read variables.

    Parameters
    ----------
    model
        Loaded.
    folder
        Is replaced.
    name, shape
        Of the recipe's input.
    outputs
        The recipe's names.
    activations
        Output → ``softmax`` or ``sigmoid``, appended to it.

    Raises
    ------
    KerasModelError
        The model has another input or other outputs.
    """
    names = _check(model, shape, outputs)

    def serve(image: Any) -> dict[str, Any]:
        given = model.call(image)
        return {
            ours: _ACTIVATIONS.get(activations.get(ours, ""), tf.identity)(
                tf.cast(given[theirs], tf.float32)
            )
            for ours, theirs in names.items()
        }

    one = tf.function(serve, input_signature=[tf.TensorSpec(shape, tf.float32, name)])
    frozen = convert_to_constants.convert_variables_to_constants_v2(one.get_concrete_function())
    # Freezing flattens the dictionary of outputs, in the order of its sorted keys.
    shapes = {
        ours: tuple(int(size) for size in tensor.shape)
        for ours, tensor in zip(sorted(names), frozen.outputs, strict=True)
    }
    _write(frozen, list(shapes), folder)
    facts = model.facts
    batches = all(tensor.shape[:1] == (None,) for tensor in (*facts.inputs, *facts.outputs))
    images = tf.TensorSpec((None if batches else 1, *shape[1:]), tf.float32, name)
    return Exported(shapes, tf.function(serve, input_signature=[images]), batches)


def _write(frozen: Any, names: list[str], folder: Path) -> None:
    (image,) = frozen.inputs

    def serve(taken: Any) -> dict[str, Any]:
        return dict(zip(names, frozen(taken), strict=True))

    module = tf.Module()
    spec = tf.TensorSpec(image.shape, tf.float32, image.op.name)
    module.serve = tf.function(serve, input_signature=[spec])
    shutil.rmtree(folder, ignore_errors=True)
    # Gradients of silu and the like name functions that are frozen away; nobody trains this.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    signatures = {"serving_default": module.serve}
    tf.saved_model.save(module, str(folder), signatures=signatures, options=options)


def _check(
    model: LoadedModel, shape: tuple[int, int, int, int], outputs: Sequence[str]
) -> dict[str, str]:
    """The recipe's names of the outputs → the model's; and the input is the recipe's."""
    (image,) = model.facts.inputs
    if any(a not in (None, b) for a, b in zip(image.shape, shape, strict=True)):
        raise KerasModelError(
            f"{model.path}: takes an input of shape {image.shape}, the recipe says {tuple(shape)}",
            hint="set input.size and input.color of the recipe to those of the training",
        )
    given = [tensor.name for tensor in model.facts.outputs]
    if len(given) == len(outputs) == 1:
        return {outputs[0]: given[0]}
    if set(given) != set(outputs):
        raise KerasModelError(
            f"{model.path}: gives the outputs {', '.join(sorted(given))}, "
            f"the recipe names {', '.join(sorted(outputs))}",
            hint="use the model's names in [outputs] of the recipe",
        )
    return {name: name for name in outputs}
