"""A layer that reverses sequences in time."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="tf_gru_addon")
class ReverseTimesteps(keras.layers.Layer):
    """Reverses the timesteps of sequences.

    A recurrent layer with `go_backwards=True` and `return_sequences=True` returns its
    outputs in the order of computation. Put this layer after it to restore the order of
    its inputs. A mask passes unchanged, because Keras' recurrent layers pass theirs on
    in the order of the inputs.

    Call arguments:
        sequences: (batch, timesteps, ...).

    Returns:
        The reversed sequences, of the same shape.

    Raises:
        ValueError: `sequences` has no axis of timesteps.

    Example:
        >>> import tensorflow as tf
        >>> from tf_gru_addon.layers import ReverseTimesteps
        >>> ReverseTimesteps()(tf.constant([[[1.0], [2.0], [3.0]]])).numpy().ravel()
        array([3., 2., 1.], dtype=float32)
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, sequences: tf.Tensor) -> tf.Tensor:
        """Returns the reversed sequences."""
        if len(sequences.shape) < 2:
            raise ValueError(
                f"sequences of {self.name} must have the shape (batch, timesteps, "
                f"...); received {tuple(sequences.shape)}."
            )
        return tf.reverse(sequences, axis=[1])

    def compute_output_shape(
        self, sequences_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        """Returns the shape of the sequences."""
        return sequences_shape
