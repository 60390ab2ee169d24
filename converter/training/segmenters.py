"""The networks that mark defects: a small one for the device, and U-Nets.

All take one grey picture, ``pixel / 255``, and end in one score for each label and pixel of the
input.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
from keras import layers

from converter.training.blocks import PRIOR, conv, inverted, logit
from converter.training.settings import Network

UNET_CHANNELS = (8, 16, 32, 64, 64, 128)
"""Of the levels of the plain U-Net, from the input's resolution down."""

DECODER_CHANNELS = (256, 128, 64, 32, 16)
"""Of the levels of a U-Net on an encoder, from the deepest skip up to the input's resolution."""


DROPOUT = 0.2
"""Share of the small network's coarsest channels that a training step leaves out."""


def build_segmenter(
    network: Network, height: int, width: int, labels: int, batch: int | None = None
) -> keras.Model:
    """A network of that name.

    Parameters
    ----------
    network
        ``small``: see :func:`build_small`. ``unet``: five times down and up with exponential linear
        units (Ronneberger et al. 2015, in the form of 600,000 parameters that was used on the
        Severstal frames). ``unet_…``: an encoder for classification in its place.
    height, width
        Size of the input in pixels, multiples of 32.
    labels
        How many.
    batch
        Pictures a call; the shipped model has 1.

    Returns
    -------
    keras.Model
        Input ``image`` [batch, height, width, 1], grey, ``pixel / 255``. Output ``masks`` [batch,
        height, width, labels], a score in [0, 1] for each label of each pixel. A layer ``logits``
        gives what the scores are made of.
    """
    image = keras.Input((height, width, 1), batch_size=batch, name="image")
    logits = _BUILDERS[network](image, labels)
    masks = layers.Activation("sigmoid", name="masks")(logits)
    return keras.Model(image, masks, name=network)


def build_small(image: keras.KerasTensor, labels: int) -> keras.KerasTensor:
    """Logits of a network for devices: inverted residuals down to stride 32 and an additive path
    back to stride 2.

    Beside the path a gate says for each 16 columns whether they hold any defect at all, seen over
    the whole height: where it says no, it lowers the logits of every label. Clean surfaces are
    told apart there, by texture in the large, and not pixel by pixel.
    """
    s2 = conv(conv(image, 16, 3, 2, "s2_a"), 16, 3, 1, "s2_b")
    s4 = conv(conv(s2, 32, 3, 2, "s4_a"), 32, 3, 1, "s4_b")
    s8 = inverted(inverted(s4, 48, 3, 2, "s8_a"), 48, 3, 1, "s8_b")
    s16 = inverted(s8, 80, 3, 2, "s16_a")
    for name in ("s16_b", "s16_c"):
        s16 = inverted(s16, 80, 3, 1, name)
    x = inverted(s16, 96, 3, 2, "s32_a")
    for name in ("s32_b", "s32_c"):
        x = inverted(x, 96, 2, 1, name, kernel=5)
    x = layers.SpatialDropout2D(DROPOUT, name="s32_dropout")(x)
    for name, skip, channels in (("s16", s16, 80), ("s8", s8, 48), ("s4", s4, 32), ("s2", s2, 24)):
        skip = conv(skip, channels, 1, 1, f"{name}_lateral", activate=False)
        x = conv(x, channels, 1, 1, f"{name}_down", activate=False)
        x = layers.Add(name=f"{name}_merge")([_double(x, f"{name}_up"), skip])
        if name == "s16":
            x = inverted(x, channels, 2, 1, "s16_mix")
            gate = _gate(x)
        else:
            x = conv(x, channels, 3, 1, f"{name}_mix")
    x = _scores(x, labels, "local")
    closed = layers.ReLU(name="closed")(layers.Rescaling(-1.0, name="against")(gate))
    # Stride 16 to stride 2, each number repeated; UpSampling2D would become several operators.
    size = (1, int(closed.shape[2]) * 8)
    closed = keras.ops.image.resize(
        closed, size, interpolation="nearest", data_format="channels_last"
    )
    x = layers.Subtract(name="gated")([x, closed])
    return layers.UpSampling2D(2, interpolation="bilinear", name="logits")(x)


def _gate(x: keras.KerasTensor) -> keras.KerasTensor:
    """Logits [batch, 1, columns, 1] of "there is a defect in these columns"."""
    x = conv(x, 64, 1, 1, "gate_a")
    x = layers.AveragePooling2D((int(x.shape[1]), 1), name="gate_pool")(x)
    x = layers.Conv2D(32, (1, 5), padding="same", activation="relu", name="gate_b")(x)
    return layers.Conv2D(1, 1, name="gate")(x)


def _double(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return layers.UpSampling2D(2, interpolation="bilinear", name=name)(x)


def _scores(x: keras.KerasTensor, labels: int, name: str) -> keras.KerasTensor:
    prior = keras.initializers.Constant(logit(PRIOR))
    return layers.Conv2D(labels, 1, bias_initializer=prior, name=name)(x)


def _plain(image: keras.KerasTensor, labels: int) -> keras.KerasTensor:
    """The U-Net of 600,000 parameters."""
    skips: list[keras.KerasTensor] = []
    x = image
    for level, channels in enumerate(UNET_CHANNELS):
        if level:
            skips.append(x)
            x = layers.MaxPooling2D(2, name=f"down_{level}")(x)
        x = _twice(x, channels, f"encode_{level}")
    for level, channels in reversed(list(enumerate(_UNET_UP))):
        x = layers.Conv2DTranspose(channels, 2, 2, "same", name=f"up_{level}")(x)
        x = layers.Concatenate(name=f"join_{level}")([x, skips[level]])
        x = _twice(x, channels, f"decode_{level}")
    return _scores(x, labels, "logits")


_UNET_UP = (8, 16, 32, 32, 64)


def _twice(x: keras.KerasTensor, channels: int, name: str) -> keras.KerasTensor:
    for part in ("a", "b"):
        x = layers.Conv2D(
            channels,
            3,
            padding="same",
            activation="elu",
            kernel_initializer="he_normal",
            name=f"{name}_{part}",
        )(x)
    return x


def _on_encoder(
    encode: Callable[[keras.KerasTensor], Sequence[keras.KerasTensor]],
) -> Callable[[keras.KerasTensor, int], keras.KerasTensor]:
    """A U-Net whose way down is an encoder's; ``encode`` gives maps of strides 2, 4, 8, 16, 32."""

    def build(image: keras.KerasTensor, labels: int) -> keras.KerasTensor:
        *skips, x = encode(image)
        levels: list[keras.KerasTensor | None] = [*reversed(skips), None]
        for level, (skip, channels) in enumerate(zip(levels, DECODER_CHANNELS, strict=True)):
            x = layers.UpSampling2D(2, interpolation="nearest", name=f"up_{level}")(x)
            if skip is not None:
                x = layers.Concatenate(name=f"join_{level}")([x, skip])
            x = conv(x, channels, 3, 1, f"decode_{level}_a")
            x = conv(x, channels, 3, 1, f"decode_{level}_b")
        return _scores(x, labels, "logits")

    return build


def _resnet34(image: keras.KerasTensor) -> list[keras.KerasTensor]:
    """ResNet-34 without its head (He et al. 2016, table 1)."""
    x = conv(image, 64, 7, 2, "stem", ceiling=None)
    maps = [x]
    x = layers.MaxPooling2D(3, 2, "same", name="stem_pool")(x)
    for stage, (channels, count) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
        for block in range(count):
            stride = 2 if stage and not block else 1
            x = _residual(x, channels, stride, f"stage_{stage}_{block}")
        maps.append(x)
    return maps


def _residual(x: keras.KerasTensor, channels: int, stride: int, name: str) -> keras.KerasTensor:
    y = conv(x, channels, 3, stride, f"{name}_a", ceiling=None)
    y = conv(y, channels, 3, 1, f"{name}_b", activate=False)
    if stride > 1:
        x = conv(x, channels, 1, stride, f"{name}_skip", activate=False)
    return layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([x, y]))


def _efficientnet(name: str) -> Callable[[keras.KerasTensor], list[keras.KerasTensor]]:
    """EfficientNet without its head (Tan and Le 2019), from ``keras.applications``."""

    def encode(image: keras.KerasTensor) -> list[keras.KerasTensor]:
        # It expects colours from 0 to 255.
        x = layers.Rescaling(255.0, name="grey_levels")(image)
        x = layers.Concatenate(name="colors")([x, x, x])
        whole = getattr(keras.applications, name)(
            include_top=False, weights=None, input_tensor=x, name=name.lower()
        )
        ends = ("block2a", "block3a", "block4a", "block6a")
        maps = [whole.get_layer(f"{end}_expand_activation").output for end in ends]
        return [*maps, whole.get_layer("top_activation").output]

    return encode


_BUILDERS: dict[Network, Callable[[keras.KerasTensor, int], keras.KerasTensor]] = {
    "small": build_small,
    "unet": _plain,
    "unet_resnet34": _on_encoder(_resnet34),
    "unet_efficientnet_b0": _on_encoder(_efficientnet("EfficientNetB0")),
    "unet_efficientnet_b3": _on_encoder(_efficientnet("EfficientNetB3")),
    "unet_efficientnet_b5": _on_encoder(_efficientnet("EfficientNetB5")),
}
