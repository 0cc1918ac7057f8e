"""The GRUs of a model, whosever they are, as this package's for a while."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import keras
import tensorflow as tf

from tf_gru_addon._compat import layers_of
from tf_gru_addon.layers.gru_cell import GRUCell
from tf_gru_addon.layers.in_place import become_gru


@contextlib.contextmanager
def as_grus(model: keras.Model) -> Iterator[None]:
    """Makes each `keras.layers.GRU` and `RNN(GRUCell)` a `GRU` within the block.

    Only of these classes themselves: what a subclass computes is its own affair.

    Args:
        model: A built model; afterwards it is what it was.
    """
    with contextlib.ExitStack() as undo:
        for layer in list(layers_of(model)):
            if type(layer) not in (keras.layers.GRU, keras.layers.RNN):
                continue
            if type(layer.cell) in (keras.layers.GRUCell, GRUCell) and layer.built:
                undo.callback(become_gru(layer))
        yield


def rows_at_once(
    layer: keras.layers.TimeDistributed, inputs: tf.Tensor, training: bool | None
) -> tf.Tensor:
    """Calls what a `TimeDistributed` wraps once, for the rows of all its timesteps.

    Args:
        layer: The wrapper.
        inputs: (batch, timesteps, ...).
        training: As in a call.
    """
    rows = tf.reshape(inputs, [-1, *_sizes(inputs)[2:]])
    outputs = layer.layer(rows, training=training)
    return tf.reshape(outputs, [*_sizes(inputs)[:2], *_sizes(outputs)[1:]])


def _sizes(x: tf.Tensor) -> list[int | tf.Tensor]:
    """Returns the size of each axis, as an integer where it is known."""
    dynamic = tf.unstack(tf.shape(x))
    return [
        dynamic[axis] if size is None else size for axis, size in enumerate(x.shape)
    ]
