"""Turning sequences round in time."""

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="tf_gru_addon")
class ReverseTimesteps(keras.layers.Layer):
    """Turns the timesteps round, the last one first.

    For behind a recurrent layer with `go_backwards=True` and `return_sequences=True`,
    whose outputs come in the order in which it made them: it brings them back to the
    order of its inputs. A mask passes on as it is, because Keras' recurrent layers pass
    theirs on in the order of the inputs whatever that of their outputs.

    Call arguments:
        sequences: (batch, timesteps, ...); any number of timesteps.

    Returns:
        The same shape.

    Raises:
        ValueError: `sequences` has no timesteps.

    Example:
        >>> import tensorflow as tf
        >>> from tf_gru_addon.layers import ReverseTimesteps
        >>> ReverseTimesteps()(tf.constant([[[1.0], [2.0], [3.0]]])).numpy().ravel()
        array([3., 2., 1.], dtype=float32)
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, sequences):
        """Turns the timesteps round; see the class."""
        if len(sequences.shape) < 2:
            raise ValueError(
                f"sequences of {self.name} must have the shape (batch, timesteps, "
                f"...); received {tuple(sequences.shape)}."
            )
        return tf.reverse(sequences, axis=[1])

    def compute_output_shape(self, sequences_shape):
        """Returns the shape given."""
        return sequences_shape
