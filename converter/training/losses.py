"""The detector's losses, on grids of logits and boxes.

`focal` is the penalty-reduced focal loss of CornerNet (Law and Deng 2018, equation 1, alpha 2,
beta 4), `giou` the generalized intersection over union of Rezatofighi et al. 2019.
"""

from __future__ import annotations

import tensorflow as tf

L1_WEIGHT = 0.2


def focal(logit: tf.Tensor, heat: tf.Tensor, keep: tf.Tensor) -> tf.Tensor:
    """Sum over cells divided by the number of faces; all three are [batch, rows, columns]."""
    probability = tf.sigmoid(logit)
    log_p, log_not = -tf.nn.softplus(-logit), -tf.nn.softplus(logit)
    centre = tf.cast(heat >= 0.9999, tf.float32)
    positive = centre * (1.0 - probability) ** 2 * log_p
    negative = (1.0 - centre) * (1.0 - heat) ** 4 * probability**2 * log_not
    return -tf.reduce_sum((positive + negative) * keep) / tf.maximum(
        tf.reduce_sum(centre * keep), 1.0
    )


def giou(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Generalized IoU in [-1, 1] of boxes [.., 4] given as centre x, centre y, log width, log
    height in one unit.
    """
    half_a, half_b = tf.exp(a[..., 2:]) / 2, tf.exp(b[..., 2:]) / 2
    a0, a1 = a[..., :2] - half_a, a[..., :2] + half_a
    b0, b1 = b[..., :2] - half_b, b[..., :2] + half_b
    inner = tf.reduce_prod(tf.maximum(tf.minimum(a1, b1) - tf.maximum(a0, b0), 0.0), axis=-1)
    hull = tf.reduce_prod(tf.maximum(a1, b1) - tf.minimum(a0, b0), axis=-1)
    union = tf.reduce_prod(a1 - a0, axis=-1) + tf.reduce_prod(b1 - b0, axis=-1) - inner
    return inner / tf.maximum(union, 1e-6) - (hull - union) / tf.maximum(hull, 1e-6)


def box_loss(predicted: tf.Tensor, box: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    """Mean over faces of 1 − GIoU + 0.2·L1; ``predicted`` and ``box`` are [batch, rows,
    columns, 4], ``weight`` is without the 4.
    """
    # Offsets are told from the cell's own corner, so the grid position cancels in the IoU of
    # one cell's two boxes.
    own = weight > 0
    p, b, w = (
        tf.boolean_mask(predicted, own),
        tf.boolean_mask(box, own),
        tf.boolean_mask(weight, own),
    )
    # Early on an unlucky step may throw the log size far out; exp would then drown the gradient
    # of all others.
    p = tf.concat([p[:, :2], tf.clip_by_value(p[:, 2:], -2.0, 6.0)], axis=-1)
    each = 1.0 - giou(p, b) + L1_WEIGHT * tf.reduce_sum(tf.abs(p - b), axis=-1)
    return tf.reduce_sum(each * w) / tf.maximum(tf.reduce_sum(w), 1.0)
