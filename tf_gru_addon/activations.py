"""Activations whose meaning changed between versions of Keras."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

Activation = Callable[[tf.Tensor], tf.Tensor]


@keras.saving.register_keras_serializable(package="tf_gru_addon")
def hard_sigmoid(x: tf.Tensor) -> tf.Tensor:
    """The hard sigmoid of TensorFlow r2.0 (and of Keras 1 and 2).

        hard_sigmoid(x) = clip(0.2 x + 0.5, 0, 1)

    Keras 3's function of the same name is another one, `relu6(x + 3) / 6`; layers of
    this package take that one when it is passed as the function
    `keras.activations.hard_sigmoid`.

    Args:
        x: Tensor of any floating-point dtype.

    Returns:
        Tensor of the shape and dtype of `x`, within [0, 1].

    Example:
        >>> from tf_gru_addon.activations import hard_sigmoid
        >>> hard_sigmoid(tf.constant([-3.0, 0.0, 1.25])).numpy().tolist()
        [0.0, 0.5, 0.75]
    """
    x = tf.convert_to_tensor(x)
    return tf.clip_by_value(0.2 * x + 0.5, tf.cast(0, x.dtype), tf.cast(1, x.dtype))


# The first versions of Keras 3 save a function by its bare name if it is one of theirs,
# and would load their own: keras.layers.Dense(activation=hard_sigmoid) would change.
hard_sigmoid.__name__ = "r2_0_hard_sigmoid"


def get(identifier: Any) -> Activation:
    """Returns the activation of a name, config or callable.

    As `keras.activations.get` (None is linear), but the *name* "hard_sigmoid" means
    TensorFlow r2.0's function; see `hard_sigmoid`. Keras 3's has the name
    "keras_hard_sigmoid" here.

    Raises:
        ValueError: `identifier` names no activation.
    """
    if identifier == "hard_sigmoid":
        return hard_sigmoid
    if identifier == "keras_hard_sigmoid":
        return keras.activations.hard_sigmoid
    return keras.activations.get(identifier)


def name_of(activation: Activation) -> str:
    """Returns what to call an activation in a message."""
    return getattr(activation, "__name__", type(activation).__name__)


def serialize(activation: Activation) -> Any:
    """Returns the config from which `get` restores the activation.

    Keras 3's hard sigmoid becomes a dict, because its bare name would be read as
    TensorFlow r2.0's.
    """
    if activation is hard_sigmoid:
        return "hard_sigmoid"
    if activation is keras.activations.hard_sigmoid:
        return keras.saving.serialize_keras_object(activation)
    return keras.activations.serialize(activation)
