"""The networks we ship: an anchor-free face detector and a mask classifier, both small and
friendly to int8.

Only operators that TensorFlow Lite quantizes well are used: convolution, depthwise convolution,
ReLU6, addition, nearest-neighbour enlargement, mean, dense, softmax and logistic.
"""

from __future__ import annotations

import keras
from keras import layers

from converter.training.blocks import PRIOR, conv, fused, inverted, logit

STRIDE = 4
"""Input pixels per cell of the face detector's output grids."""


def _trunk(x: keras.KerasTensor, index: int, channels: int, stride: int) -> keras.KerasTensor:
    """A convolution of the trunk, whose shape is that of the detector it may start from (see
    `labeller`): hence no ceiling on its activations.
    """
    return conv(x, channels, 3, stride, f"trunk_{index}", ceiling=None)


def _halved(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return layers.MaxPooling2D(2, padding="same", name=f"{name}_pool")(x)


def _refined(x: keras.KerasTensor, name: str, count: int, *, kernel: int = 3) -> keras.KerasTensor:
    """Residual blocks behind a convolution of the trunk; each begins as the identity, so that the
    trunk's features arrive unspoilt (Goyal et al. 2017, section 5.1).
    """
    for i in range(count):
        x = inverted(x, int(x.shape[-1]), 2, 1, f"{name}_{i}", kernel=kernel, gamma="zeros")
    return x


def _double(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Enlarge twice by repetition; neither way has weights, so they pass from one to the other."""
    if x.shape[1] is None or x.shape[2] is None:
        return layers.UpSampling2D(2, interpolation="nearest", name=name)(x)
    # UpSampling2D becomes seven TensorFlow Lite operators, this becomes one. (The layer Resizing
    # would too, but in Keras 3.15 it switches all layers after it to training mode.)
    size = (int(x.shape[1]) * 2, int(x.shape[2]) * 2)
    return keras.ops.image.resize(x, size, interpolation="nearest", data_format="channels_last")


def build_face_detector(
    height: int | None, width: int | None, batch: int | None = None
) -> keras.Model:
    """Single-shot, anchor-free face detector in the manner of CenterNet and TTFNet.

    A trunk of plain convolutions, residual blocks behind each of its maps, and a path back up to
    stride 4.

    Parameters
    ----------
    height, width
        Input size in pixels, multiples of 32; ``None`` leaves it open, which training uses.
    batch
        Pictures a call; the shipped model has 1.

    Returns
    -------
    keras.Model
        Input ``image`` [batch, height, width, 3], RGB, ``(pixel - 127.5) / 127.5``. Outputs, a
        dictionary, on a grid of ``height / 4`` rows and ``width / 4`` columns: ``score`` [..,
        1] in [0, 1]; ``offset`` [.., 2], x then y of the face's centre from the cell's upper
        left corner, in cells; ``size`` [.., 2], natural logarithm of width and height in cells.
        A cell (row, column) thus tells centre x = (column + offset x) · 4 px and width =
        exp(size w) · 4 px of the input.
    """
    image = keras.Input((height, width, 3), batch_size=batch, name="image")
    x = _trunk(image, 0, 32, 2)
    x = _trunk(x, 1, 64, 2)
    s4 = _trunk(x, 2, 64, 1)
    s8 = _refined(_trunk(_halved(s4, "s4"), 3, 64, 1), "s8", 3)
    s16 = _refined(_trunk(_halved(s8, "s8"), 4, 128, 1), "s16", 3)
    # The 5×5 at stride 32 lift the receptive field over 600 px: a face that fills the picture is
    # seen whole.
    x = _refined(_trunk(_halved(s16, "s16"), 5, 128, 1), "s32", 2, kernel=5)
    for name, skip, channels in (("s16", s16, 128), ("s8", s8, 64), ("s4", s4, 32)):
        if name == "s4":  # the largest map is made thin, or it would cost a third of the time
            skip = conv(skip, channels, 1, 1, "s4_lateral", activate=False)
        x = conv(x, channels, 1, 1, f"{name}_down", activate=False)
        x = _double(x, f"{name}_up")
        x = layers.Add(name=f"{name}_merge")([x, skip])
        if name != "s4":
            x = inverted(x, channels, 2, 1, f"{name}_mix")
    x = conv(x, 40, 3, 1, "head")
    score = layers.Conv2D(
        1, 1, bias_initializer=keras.initializers.Constant(logit(PRIOR)), name="logit"
    )(x)
    outputs = {
        "score": layers.Activation("sigmoid", name="score")(score),
        "offset": layers.Conv2D(
            2, 1, bias_initializer=keras.initializers.Constant(0.5), name="offset"
        )(x),
        # Faces of about 40 px are the commonest, hence ln(10 cells) to begin with.
        "size": layers.Conv2D(2, 1, bias_initializer=keras.initializers.Constant(2.3), name="size")(
            x
        ),
    }
    return keras.Model(image, outputs, name="face_detector")


def build_mask_classifier(size: int, batch: int | None = None) -> keras.Model:
    """Mask classifier: inverted residuals under the reference system's head (pooling, dense
    128, dropout, dense 2).

    Parameters
    ----------
    size
        Side of the square input in pixels, a multiple of 16.
    batch
        Crops a call.

    Returns
    -------
    keras.Model
        Input ``image`` [batch, size, size, 3], RGB, ``(pixel - 127.5) / 127.5``; output
        ``probability`` [batch, 2], softmax over ``with_mask``, ``without_mask``.
    """
    image = keras.Input((size, size, 3), batch_size=batch, name="image")
    x = conv(image, 16, 3, 2, "stem")
    x = fused(x, 24, 3, 2, "s4_a")
    x = fused(x, 24, 2, 1, "s4_b")
    x = inverted(x, 48, 4, 2, "s8_a")
    x = inverted(x, 48, 3, 1, "s8_b")
    x = inverted(x, 48, 3, 1, "s8_c")
    x = inverted(x, 80, 4, 2, "s16_a")
    x = inverted(x, 80, 3, 1, "s16_b")
    x = inverted(x, 80, 3, 1, "s16_c")
    x = conv(x, 160, 1, 1, "top")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(128, activation="relu", name="hidden")(x)
    x = layers.Dropout(0.5, name="dropout")(x)
    return keras.Model(
        image, layers.Dense(2, activation="softmax", name="probability")(x), name="mask_classifier"
    )
