"""Layers that treat masks as Keras 2 did, for models that were made there.

The merging layers of Keras 2 combine the masks of their inputs with "and", and ignore
inputs without a mask. Those of Keras 3 use "or", and all but `Concatenate` drop the
mask if an input has none. Keras 3 also drops the mask of a recurrent layer that is
called with states besides its sequence.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tf_gru_addon._compat import mask_of, set_mask

#: The merging layers in this file.
MERGING = (
    *("Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract"),
)


class _EveryMask(keras.layers.Layer):
    """The masks of the merging layers of Keras 2."""

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        output = super().__call__(inputs, *args, **kwargs)
        # Early versions of Keras 3 find no masks in a list of inputs.
        if mask_of(output) is None:
            mask = self.compute_mask(inputs, [mask_of(x) for x in inputs])
            if mask is not None:
                set_mask(output, mask)
        return output

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        masks = [m for m in mask or () if m is not None]
        return functools.reduce(keras.ops.logical_and, masks) if masks else None


def _registered(cls: type) -> Any:
    return keras.saving.register_keras_serializable(package="tf_gru_addon")(cls)


@_registered
class Add(_EveryMask, keras.layers.Add):
    """`keras.layers.Add` with the masks of Keras 2."""


@_registered
class Average(_EveryMask, keras.layers.Average):
    """`keras.layers.Average` with the masks of Keras 2."""


@_registered
class Maximum(_EveryMask, keras.layers.Maximum):
    """`keras.layers.Maximum` with the masks of Keras 2.

    Keras 3 ignores an input at the timesteps that its mask excludes.
    """

    def _merge_function(self, inputs: Sequence[Any]) -> Any:
        return functools.reduce(keras.ops.maximum, inputs)


@_registered
class Minimum(_EveryMask, keras.layers.Minimum):
    """`keras.layers.Minimum` with the masks of Keras 2.

    Keras 3 ignores an input at the timesteps that its mask excludes.
    """

    def _merge_function(self, inputs: Sequence[Any]) -> Any:
        return functools.reduce(keras.ops.minimum, inputs)


@_registered
class Multiply(_EveryMask, keras.layers.Multiply):
    """`keras.layers.Multiply` with the masks of Keras 2.

    Keras 3 replaces an input by 1 at the timesteps that its mask excludes.
    """

    def _merge_function(self, inputs: Sequence[Any]) -> Any:
        return functools.reduce(keras.ops.multiply, inputs)


@_registered
class Subtract(_EveryMask, keras.layers.Subtract):
    """`keras.layers.Subtract` with the masks of Keras 2."""


@_registered
class Concatenate(_EveryMask, keras.layers.Concatenate):
    """`keras.layers.Concatenate` with the masks of Keras 2."""

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Returns the mask of the output.

        Along the features, it is the "and" of the masks. Along time, it is their
        concatenation, with True for inputs without a mask; it is only known at run
        time.
        """
        if not self.masks_known_late:
            return super().compute_mask(inputs, mask)
        if mask is None or all(m is None for m in mask):
            return None
        if any(isinstance(x, keras.KerasTensor) for x in inputs):
            return None
        masks = [
            _as_wide(keras.ops.ones_like(x[..., :1], "bool") if m is None else m, x)
            for x, m in zip(inputs, mask, strict=True)
        ]
        return keras.ops.all(keras.ops.concatenate(masks, axis=self.axis), axis=-1)

    @property
    def masks_known_late(self) -> bool:
        """Whether the mask is only known at run time."""
        return bool(self.axis != -1)


@_registered
class Bidirectional(keras.layers.Bidirectional):
    """`keras.layers.Bidirectional` with the masked outputs of standalone Keras 2.

    At masked timesteps it repeats the previous output, as a layer in one direction
    does; in tf.keras and in Keras 3 the output is 0.

    Args:
        layer: The recurrent layer.
        merge_mode: How the outputs of the two directions are combined.
        backward_layer: The layer that runs backward; None for a copy of `layer`.
        **kwargs: Arguments of every layer.
    """

    def __init__(
        self,
        layer: keras.layers.Layer,
        merge_mode: str | None = "concat",
        backward_layer: keras.layers.Layer | None = None,
        **kwargs: Any,
    ):
        super().__init__(layer, merge_mode, backward_layer=backward_layer, **kwargs)
        for layer in (self.forward_layer, self.backward_layer):
            layer.zero_output_for_mask = False


@_registered
class MultiHeadAttention(keras.layers.MultiHeadAttention):
    """`keras.layers.MultiHeadAttention` with the masks of Keras 2.

    The one of Keras 3 removes the masks of its inputs, so that other layers that are
    called with the same tensors do not see them. And if a row is fully masked, its
    attention scores are 0 in Keras 3, and uniform in Keras 2.
    """

    def __call__(self, query: Any, value: Any, key: Any = None, **kwargs: Any) -> Any:
        """Calls `keras.layers.MultiHeadAttention` and restores the inputs' masks."""
        inputs = [x for x in (query, value, key) if x is not None]
        masks = [mask_of(x) for x in inputs]
        output = super().__call__(query, value, key=key, **kwargs)
        for x, mask in zip(inputs, masks, strict=True):
            if mask is not None:
                set_mask(x, mask)
        return output

    def _masked_softmax(self, attention_scores: Any, attention_mask: Any = None) -> Any:
        if attention_mask is not None:
            dtype = attention_scores.dtype
            lowest = tf.float16.min if dtype == "float16" else -1e9
            adder = (1 - tf.cast(attention_mask, dtype)) * tf.cast(lowest, dtype)
            axis = -2 * len(self._attention_axes) - 1
            while len(adder.shape) < len(attention_scores.shape):
                adder = tf.expand_dims(adder, axis)  # The heads.
            attention_scores += adder
        return super()._masked_softmax(attention_scores)


@_registered
class TimeDistributed(keras.layers.TimeDistributed):
    """`keras.layers.TimeDistributed` with the masks of Keras 2.

    The inner layer gets all timesteps at once, as rows of one batch,
    `(batch * timesteps, ...)`, each row with its slice of the mask. The mask that the
    inner layer creates (`Embedding` with `mask_zero`, `Masking`) or passes on becomes
    the mask of the output. If there is none, the output has the incoming mask reduced
    to `(batch, timesteps)`: a timestep is True if any of its elements is.

    Args:
        layer: The inner layer.
        inner_masks: False for models of Keras before 2.2, which hid masks from the
            inner layer and passed the incoming mask on unchanged.
        **kwargs: Arguments of every layer.
    """

    def __init__(
        self, layer: keras.layers.Layer, inner_masks: bool = True, **kwargs: Any
    ):
        super().__init__(layer, **kwargs)
        self.inner_masks = inner_masks

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Calls the inner layer once, with all timesteps.

        Args:
            inputs: `(batch, timesteps, ...)`.
            training: Passed on to the inner layer if it takes it.
            mask: `(batch, timesteps)`, or with more axes of the inputs.

        Raises:
            ValueError: There is a mask, and the inner layer is stateful.
        """
        if getattr(self.layer, "stateful", False):
            if mask is not None:
                raise ValueError(
                    f"{self.name}: a TimeDistributed of a stateful layer takes no mask."
                )
            return super().call(inputs, training=training)
        rows = _rows(inputs)
        if self.inner_masks and mask is not None:
            set_mask(rows, _rows(mask))
        options = {"training": training} if self.layer._call_has_training_arg else {}
        outputs = self.layer(rows, **options)
        return keras.tree.map_structure(
            lambda x: self._timesteps(x, inputs, mask), outputs
        )

    def _timesteps(self, rows: tf.Tensor, inputs: tf.Tensor, mask: Any) -> tf.Tensor:
        """Returns rows as (batch, timesteps, ...), with their mask."""
        result = _unrow(rows, inputs)
        if not self.inner_masks:
            return result
        inner = mask_of(rows)
        if inner is not None:
            set_mask(result, _unrow(inner, inputs))
        elif mask is not None:
            set_mask(result, tf.reduce_any(mask, list(range(2, len(mask.shape)))))
        return result

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Returns None if the mask is only known at run time."""
        return None if self.masks_known_late else mask

    @property
    def masks_known_late(self) -> bool:
        """Whether the mask is only known at run time."""
        return self.inner_masks

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        return dict(super().get_config()) | {"inner_masks": self.inner_masks}


@_registered
class MaskOf(keras.layers.Layer):
    """The mask of a tensor as a tensor, `(batch, timesteps)`; all True without one.

    A recurrent layer that is called with states gets it as its argument `mask`.
    """

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Returns the mask of `inputs`, `(batch, timesteps, ...)`."""
        if mask is None:
            return keras.ops.ones_like(inputs[..., 0], "bool")
        return keras.ops.cast(mask, "bool")

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """Returns None: a mask has no mask."""


def _rows(tensor: tf.Tensor) -> tf.Tensor:
    """Returns (batch * timesteps, ...) for (batch, timesteps, ...)."""
    rows = tf.reshape(tensor, tf.concat([[-1], tf.shape(tensor)[2:]], axis=0))
    rows.set_shape([None, *tensor.shape[2:]])
    return rows


def _unrow(rows: tf.Tensor, inputs: tf.Tensor) -> tf.Tensor:
    """Returns (batch, timesteps, ...), with the inputs' sizes, for rows."""
    sizes = tf.concat([tf.shape(inputs)[:2], tf.shape(rows)[1:]], axis=0)
    result = tf.reshape(rows, sizes)
    result.set_shape([*inputs.shape[:2], *rows.shape[1:]])
    return result


def _as_wide(mask: tf.Tensor, inputs: tf.Tensor) -> tf.Tensor:
    """Returns a mask, (batch, timesteps) or wider, in the shape of the inputs."""
    if len(mask.shape) < len(inputs.shape):
        mask = keras.ops.expand_dims(mask, axis=-1)
    return keras.ops.logical_and(mask, keras.ops.ones_like(inputs, "bool"))
