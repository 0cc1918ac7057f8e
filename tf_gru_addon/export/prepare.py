"""Prepares a model for tracing by an export."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import tensorflow as tf

from tf_gru_addon._compat import layers_of
from tf_gru_addon.layers.gru_cell import GRUCell
from tf_gru_addon.layers.in_place import become_gru
from tf_gru_addon.shadow import shadow


def prepared(model: keras.Model) -> keras.Model:
    """Returns a shadow of a model with layers that every target supports.

    Each `keras.layers.GRU` and each `RNN` of a `GRUCell` becomes a `GRU`, and a
    `TimeDistributed` runs all timesteps in one call. Subclasses are not changed,
    because their `call` may compute something else.

    Args:
        model: A `flat_model`. It is not changed.
    """
    result = shadow(model)
    for layer in list(layers_of(result)):
        kind = type(layer)
        if kind in (keras.layers.GRU, keras.layers.RNN) and layer.built:
            if type(layer.cell) in (keras.layers.GRUCell, GRUCell):
                become_gru(layer)
        elif kind is keras.layers.TimeDistributed:
            object.__setattr__(layer, "__class__", _AllAtOnce)
    return result


class _AllAtOnce(keras.layers.TimeDistributed):
    """Calls the wrapped layer once, on a batch of all timesteps of all rows.

    Keras calls it once per timestep, in a loop or unrolled.
    """

    def call(
        self,
        inputs: tf.Tensor,
        training: bool | None = None,
        mask: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Runs the inputs, (batch, timesteps, ...)."""
        options: dict[str, Any] = {"training": training}
        if mask is not None and "mask" in inspect.signature(self.layer.call).parameters:
            options["mask"] = _rows(mask)
        outputs = self.layer(_rows(inputs), **options)
        return tf.reshape(outputs, [*_sizes(inputs)[:2], *_sizes(outputs)[1:]])


def _rows(x: tf.Tensor) -> tf.Tensor:
    """Joins the batch axis and the time axis."""
    return tf.reshape(x, [-1, *_sizes(x)[2:]])


def _sizes(x: tf.Tensor) -> list[int | tf.Tensor]:
    """Returns the size of each axis, as an integer if it is static."""
    dynamic = tf.unstack(tf.shape(x))
    return [
        dynamic[axis] if size is None else size for axis, size in enumerate(x.shape)
    ]
