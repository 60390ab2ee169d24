"""What our networks are built of: convolutions, inverted residuals, and their normalization.

Every convolution is followed by a batch normalization that the converter folds away.
"""

from __future__ import annotations

import keras
import tensorflow as tf
from keras import layers

PRIOR = 0.01
"""Score every cell begins with, so that the sea of empty cells does not drown the first steps
(RetinaNet, section 4.1).
"""


def norm(
    x: keras.KerasTensor,
    name: str,
    *,
    activate: bool = True,
    ceiling: float | None = 6.0,
    gamma: str = "ones",
) -> keras.KerasTensor:
    """Batch normalization, then a rectifier up to ``ceiling`` (None: without one)."""
    # Momentum 0.97: short trainings on small batches need statistics that follow quickly; the
    # weight average smooths them.
    x = layers.BatchNormalization(
        momentum=0.97, epsilon=1e-3, gamma_initializer=gamma, name=f"{name}_bn"
    )(x)
    return layers.ReLU(max_value=ceiling, name=f"{name}_relu")(x) if activate else x


def conv(
    x: keras.KerasTensor,
    channels: int,
    kernel: int,
    stride: int,
    name: str,
    *,
    activate: bool = True,
    ceiling: float | None = 6.0,
    gamma: str = "ones",
) -> keras.KerasTensor:
    """A convolution without bias, and what :func:`norm` puts behind it."""
    layer = layers.Conv2D(
        channels, kernel, stride, "same", use_bias=False, kernel_initializer="he_normal", name=name
    )
    return norm(layer(x), name, activate=activate, ceiling=ceiling, gamma=gamma)


def fused(
    x: keras.KerasTensor, channels: int, expand: int, stride: int, name: str
) -> keras.KerasTensor:
    """Fused inverted residual (EfficientNetV2): one plain 3×3 in place of expansion and
    depthwise; faster on few channels.
    """
    y = conv(x, int(x.shape[-1]) * expand, 3, stride, f"{name}_expand")
    y = conv(y, channels, 1, 1, f"{name}_project", activate=False)
    return layers.Add(name=f"{name}_add")([x, y]) if stride == 1 and x.shape[-1] == channels else y


def inverted(
    x: keras.KerasTensor,
    channels: int,
    expand: int,
    stride: int,
    name: str,
    *,
    kernel: int = 3,
    gamma: str = "ones",
) -> keras.KerasTensor:
    """Inverted residual with a linear bottleneck (MobileNetV2, section 3)."""
    y = conv(x, int(x.shape[-1]) * expand, 1, 1, f"{name}_expand")
    y = layers.DepthwiseConv2D(
        kernel,
        stride,
        "same",
        use_bias=False,
        depthwise_initializer="he_normal",
        name=f"{name}_depth",
    )(y)
    y = norm(y, f"{name}_depth")
    y = conv(y, channels, 1, 1, f"{name}_project", activate=False, gamma=gamma)
    return layers.Add(name=f"{name}_add")([x, y]) if stride == 1 and x.shape[-1] == channels else y


class FusedNormalization(layers.BatchNormalization):  # type: ignore[misc] # Keras has no types
    """Batch normalization whose training step is one operator instead of a dozen: a fifth of a
    training step on a CPU. Its weights are those of the plain layer.
    """

    def call(
        self, inputs: tf.Tensor, training: bool | None = None, mask: tf.Tensor | None = None
    ) -> tf.Tensor:
        """As the plain layer on [batch, rows, columns, channels]."""
        if not training:
            return super().call(inputs, training=False, mask=mask)
        none = tf.zeros([0])
        result = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=self.gamma,
            offset=self.beta,
            mean=none,
            variance=none,
            epsilon=self.epsilon,
            is_training=True,
        )
        for moving, now in (
            (self.moving_mean, result.batch_mean),
            (self.moving_variance, result.batch_variance),
        ):
            moving.assign(moving * self.momentum + now * (1.0 - self.momentum))
        return result.y


def for_training(model: keras.Model) -> keras.Model:
    """The same network with the same weights, its normalizations fused."""

    def copied(layer: keras.layers.Layer) -> keras.layers.Layer:
        kind = FusedNormalization if type(layer) is layers.BatchNormalization else type(layer)
        return kind.from_config(layer.get_config())

    clone = keras.models.clone_model(model, clone_function=copied)
    clone.set_weights(model.get_weights())
    return clone


def logit(probability: float) -> float:
    """The number whose logistic function is ``probability``, in (0, 1)."""
    return float(keras.ops.log(probability / (1.0 - probability)))
