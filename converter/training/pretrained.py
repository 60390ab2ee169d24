"""Starts our detector from the trunk of the one that others trained (see `labeller`)."""

from __future__ import annotations

import keras
import numpy as np
from numpy.typing import NDArray

from converter.training.labeller import Convolutions
from edge.errors import ModelError

TRUNK = 6
"""Convolutions that both networks share."""


def start_trunk(
    model: keras.Model, convolutions: Convolutions, images: NDArray[np.float32]
) -> None:
    """Put the trained convolutions into ``model``'s trunk, in place.

    The trained network has no normalization left and sees pixels in [0, 1]. Each of ours is set
    to the mean and variance that its input has on ``images`` [n, H, W, 3] in [-1, 1], and its
    scale and shift undo just that: the trunk then gives what the trained one gave, and training
    finds sane statistics. The two first convolutions take every second pixel where the trained
    network takes the greatest of four, which training has to mend: it saves a third of the whole
    network's time.

    Raises
    ------
    ModelError
        The convolutions are another network's.
    """
    for i in range(TRUNK):
        layer, norm = model.get_layer(f"trunk_{i}"), model.get_layer(f"trunk_{i}_bn")
        try:
            kernel, bias = convolutions[f"conv2d_{i}"]
        except KeyError:
            raise ModelError(f"no convolution conv2d_{i}: not the network to start from") from None
        if kernel.shape != tuple(layer.kernel.shape):
            raise ModelError(
                f"conv2d_{i} is {kernel.shape}, not {tuple(layer.kernel.shape)}: another network"
            )
        if i == 0:  # pixels from [0, 1] to [-1, 1]
            half = np.float32(0.5)
            kernel, bias = kernel * half, bias + kernel.sum(axis=(0, 1, 2)) * half
        layer.set_weights([kernel])
        until = keras.Model(model.input, layer.output)
        values = np.asarray(until.predict_on_batch(images))
        mean, variance = values.mean(axis=(0, 1, 2)), values.var(axis=(0, 1, 2))
        norm.set_weights([np.sqrt(variance + norm.epsilon), mean + bias, mean, variance])
