"""Dropout masks as a function of a seed."""

from __future__ import annotations

import tensorflow as tf


def dropout_masks(
    seed: tf.Tensor,
    shape: tf.Tensor,
    rate: float,
    count: int,
    dtype: tf.DType,
    training: bool | tf.Tensor = True,
) -> list[tf.Tensor]:
    """Returns `count` independent masks of inverted dropout.

    An element is 0 with probability `rate`, else 1 / (1 - rate). The same seed always
    gives the same masks; those inside XLA differ from those outside, reproducibly.

    Args:
        seed: Two integers, shape (2,).
        shape: Shape of a mask, a 1-D integer tensor or a list.
        rate: Fraction of the elements to drop, in [0, 1].
        count: Number of masks.
        dtype: Floating-point dtype of the masks.
        training: Whether to drop. If a scalar boolean tensor is False at run time, the
            masks are ones.

    Returns:
        A list of `count` tensors of the shape `shape`.
    """
    uniform = tf.random.stateless_uniform(
        tf.concat([[count], shape], axis=0), tf.cast(seed, tf.int64), alg="philox"
    )
    scale = 0.0 if rate == 1 else 1.0 / (1.0 - rate)
    masks = tf.cast(uniform >= rate, dtype) * tf.constant(scale, dtype)
    if isinstance(training, tf.Tensor):
        masks = tf.where(tf.cast(training, tf.bool), masks, tf.ones_like(masks))
    return tf.unstack(masks, num=count, axis=0)
