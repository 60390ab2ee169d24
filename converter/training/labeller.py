"""A trained detector that others wrote, rebuilt in Keras: it labels what our data leaves
unlabelled, and its weights may start a detector of ours.

The network is the single-shot detector of AIZOOTech/FaceMaskDetection (MIT): eight 3×3 convolutions
with pooling between them, and from the fourth on a box head and a score head on each map. Nothing
in it fixes the input's size but its anchors, which are told in pixels of the 260×260 input here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import keras
import numpy as np
import tensorflow as tf
from keras import layers
from numpy.typing import NDArray

from converter.tflite.weights import read_convolutions
from converter.training.pictures import PAD
from converter.training.targets import suppress
from edge.errors import ModelError

SIDE = 260
"""Side of the input that the network was trained with, in pixels."""

CHANNELS = (32, 64, 64, 64, 128, 128, 64, 64)
"""Filters of the trunk's convolutions; each but the last two is followed by pooling."""

STRIDES = (8, 16, 32, 64)
"""Input pixels per cell of the first four maps; the fifth is 3×3 cells over the whole input."""

SIZES = ((0.04, 0.056), (0.08, 0.11), (0.16, 0.22), (0.32, 0.45), (0.64, 0.72))
RATIOS = (1.0, 0.62, 0.42)
VARIANCES = np.array([0.1, 0.1, 0.2, 0.2], np.float32)

Convolutions = Mapping[str, tuple[NDArray[np.float32], NDArray[np.float32]]]


def trunk(image: keras.KerasTensor) -> list[keras.KerasTensor]:
    """The eight convolutions on ``image`` [batch, height, width, 3], RGB in [0, 1].

    Returns
    -------
    list
        The activations of all eight, at strides 1, 2, 4, 8, 16, 32, 64 and, without a border, 64.
    """
    x, maps = image, []
    for i, channels in enumerate(CHANNELS):
        x = layers.Conv2D(
            channels,
            3,
            padding="valid" if i == 7 else "same",
            activation="relu",
            name=f"conv2d_{i}",
        )(x)
        maps.append(x)
        if i < 6:
            x = layers.MaxPooling2D(2, padding="same", name=f"maxpool2d_{i}")(x)
    return maps


def fill(model: keras.Model, convolutions: Convolutions) -> None:
    """Put trained convolutions into the layers of the same names.

    Raises
    ------
    ModelError
        A layer of that name has another shape, or none of the names is there.
    """
    found = 0
    for layer in model.layers:
        if layer.name in convolutions:
            kernel, bias = convolutions[layer.name]
            if [w.shape for w in layer.weights] != [kernel.shape, bias.shape]:
                raise ModelError(f"layer {layer.name} has {kernel.shape}, another network's shape")
            layer.set_weights([kernel, bias])
            found += 1
    if not found:
        raise ModelError("none of its layers is that of the detector this program knows")


def build(convolutions: Convolutions) -> keras.Model:
    """The whole trained network on an input of any size: per map box codes [batch, n, 4] and the
    scores [batch, n, 2] of a masked and a bare face.
    """
    image = keras.Input((None, None, 3), name="image")
    maps = trunk(image)
    outputs = []
    for i, source in enumerate((maps[3], maps[4], maps[5], maps[6], maps[7])):
        for kind, values in (("loc", 4), ("cls", 2)):
            x = layers.Conv2D(
                64, 3, padding="same", activation="relu", name=f"{kind}_{i}_insert_conv2d"
            )(source)
            ends = None if kind == "loc" else "sigmoid"
            x = layers.Conv2D(
                4 * values, 3, padding="same", activation=ends, name=f"{kind}_{i}_conv"
            )(x)
            outputs.append(layers.Reshape((-1, values))(x))
    model = keras.Model(image, outputs, name="labeller")
    fill(model, convolutions)
    return model


class Labeller:
    """Finds faces in pictures, slowly and at several scales.

    Parameters
    ----------
    path
        ``face_mask_detection.tflite`` of AIZOOTech/FaceMaskDetection.

    Raises
    ------
    ModelError
        The file is not that network.
    """

    def __init__(self, path: Path) -> None:
        model = build(read_convolutions(path))
        self._infer = tf.function(
            lambda x: model(x, training=False),
            input_signature=[tf.TensorSpec((1, None, None, 3), tf.float32)],
        )

    def find(
        self, image: NDArray[np.uint8], sides: Sequence[int], *, threshold: float
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Boxes [n, 4] (x0, y0, x1, y1, pixels of ``image``) and scores [n], best first.

        Parameters
        ----------
        image
            BGR, (H, W, 3) uint8.
        sides
            The picture is seen with each of these as its longer side, in pixels.
        threshold
            The least score.
        """
        boxes, scores = [np.zeros((0, 4), np.float32)], [np.zeros(0, np.float32)]
        for side in sides:
            found, score = self._pass(image, side, threshold)
            boxes.append(found)
            scores.append(score)
        return suppress(np.concatenate(boxes), np.concatenate(scores), iou=0.4)

    def _pass(
        self, image: NDArray[np.uint8], side: int, threshold: float
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        shrink = side / max(image.shape[:2])
        small = cv2.resize(image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        own = side <= SIDE
        rows, columns = (SIDE if own else -(-n // 64) * 64 for n in small.shape[:2])
        top, left = (rows - small.shape[0]) // 2, (columns - small.shape[1]) // 2
        canvas = np.full((rows, columns, 3), PAD, np.uint8)
        canvas[top : top + small.shape[0], left : left + small.shape[1]] = small
        outputs = self._infer(tf.constant(canvas[None, ..., ::-1].astype(np.float32) / 255))
        boxes, scores = [], []
        # Only the finest map bears another input size: the others lean on where the border is, and
        # find faces everywhere (average precision 0.79 with it alone, 0.50 with four).
        for level in range(5 if own else 1):
            code, score = (outputs[2 * level + k].numpy()[0] for k in (0, 1))
            best = score.max(axis=1)
            good = best >= threshold
            anchors = self._anchors(level, rows, columns, own=own)[good]
            code = code[good] * VARIANCES
            centre = code[:, :2] * anchors[:, 2:] + anchors[:, :2]
            half = np.exp(code[:, 2:]) * anchors[:, 2:] / 2
            boxes.append(np.concatenate([centre - half, centre + half], axis=1))
            scores.append(best[good])
        shift = np.array([left, top, left, top], np.float32)
        return (np.concatenate(boxes) - shift) / np.float32(shrink), np.concatenate(scores)

    @staticmethod
    def _anchors(level: int, rows: int, columns: int, *, own: bool) -> NDArray[np.float32]:
        """Centre and size [n, 4] of a map's anchors, in pixels of the canvas."""
        if level == 4:
            count, step = (3, 3), (SIDE / 3, SIDE / 3)
        else:
            # Pooling rounds up, once for each factor of 2.
            count = (-(-rows // STRIDES[level]), -(-columns // STRIDES[level]))
            step = (rows / count[0], columns / count[1]) if own else (STRIDES[level],) * 2
        small, large = SIZES[level]
        shapes = [(small, 1.0), (large, 1.0), *((small, ratio) for ratio in RATIOS[1:])]
        y, x = np.mgrid[0 : count[0], 0 : count[1]] + 0.5
        table = np.empty((*count, len(shapes), 4), np.float32)
        table[..., 0], table[..., 1] = x[..., None] * step[1], y[..., None] * step[0]
        for k, (size, ratio) in enumerate(shapes):
            table[..., k, 2] = SIDE * size * np.sqrt(ratio)
            table[..., k, 3] = SIDE * size / np.sqrt(ratio)
        return table.reshape(-1, 4)
