"""Layers that treat masks as Keras 2 did, for models converted from it.

In Keras 2, the output mask of a merging layer was the conjunction of its inputs' masks.
In Keras 3 it is the disjunction, and if one input has no mask, only `Concatenate` has
an output mask at all. Keras 3 also drops the mask of a recurrent layer that receives
states besides its sequence.
"""

from __future__ import annotations

import functools
from typing import Any

import keras
import tensorflow as tf

from tf_gru_addon._compat import mask_of, set_mask

#: The names of the merging layers in this module.
MERGING = (
    *("Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract"),
)


class _EveryMask:
    """The masks of merging layers in Keras 2."""

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        output = super().__call__(inputs, *args, **kwargs)
        # Early versions of Keras 3 ignore the masks in a list of inputs.
        if mask_of(output) is None:
            mask = self.compute_mask(inputs, [mask_of(x) for x in inputs])
            if mask is not None:
                set_mask(output, mask)
        return output

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        masks = [m for m in mask or () if m is not None]
        if not masks:
            return None
        result = masks[0]
        for other in masks[1:]:
            result = keras.ops.logical_and(result, other)
        return result


def _registered(cls: type) -> type:
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

    Keras 3 ignores an input at its masked timesteps; this layer does not.
    """

    def _merge_function(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        return functools.reduce(keras.ops.maximum, inputs)


@_registered
class Minimum(_EveryMask, keras.layers.Minimum):
    """`keras.layers.Minimum` with the masks of Keras 2.

    Keras 3 ignores an input at its masked timesteps; this layer does not.
    """

    def _merge_function(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        return functools.reduce(keras.ops.minimum, inputs)


@_registered
class Multiply(_EveryMask, keras.layers.Multiply):
    """`keras.layers.Multiply` with the masks of Keras 2.

    Keras 3 treats an input as 1 at its masked timesteps; this layer does not.
    """

    def _merge_function(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        return functools.reduce(keras.ops.multiply, inputs)


@_registered
class Subtract(_EveryMask, keras.layers.Subtract):
    """`keras.layers.Subtract` with the masks of Keras 2."""


@_registered
class Concatenate(_EveryMask, keras.layers.Concatenate):
    """`keras.layers.Concatenate` with the masks of Keras 2."""

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Returns the mask of the output.

        If the features are concatenated, a timestep counts if every mask has it. If the
        timesteps are, so are the masks, and an input without a mask counts as unmasked;
        that mask is known only when the layer runs.
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
        """Whether the mask is known only when the layer runs."""
        return self.axis != -1


@_registered
class Bidirectional(keras.layers.Bidirectional):
    """`keras.layers.Bidirectional` with the outputs of Keras 2 at masked timesteps.

    They repeat the previous output, as in a unidirectional layer. In tf.keras and Keras
    3 they are 0.
    """

    def __init__(self, layer, merge_mode="concat", backward_layer=None, **kwargs):
        super().__init__(layer, merge_mode, backward_layer=backward_layer, **kwargs)
        for layer in (self.forward_layer, self.backward_layer):
            layer.zero_output_for_mask = False


@_registered
class MultiHeadAttention(keras.layers.MultiHeadAttention):
    """`keras.layers.MultiHeadAttention` with the masks of Keras 2.

    Keras 3's layer removes the masks from its inputs, so that other layers called on
    the same tensors miss them. It also gives wholly masked rows the scores 0 instead of
    equal ones.
    """

    def __call__(self, query, value, key=None, **kwargs):
        """Calls the layer, and puts the masks of its inputs back."""
        inputs = [x for x in (query, value, key) if x is not None]
        masks = [mask_of(x) for x in inputs]
        output = super().__call__(query, value, key=key, **kwargs)
        for x, mask in zip(inputs, masks, strict=True):
            if mask is not None:
                set_mask(x, mask)
        return output

    def _masked_softmax(self, attention_scores, attention_mask=None):
        if attention_mask is not None:
            dtype = attention_scores.dtype
            lowest = tf.float16.min if dtype == "float16" else -1e9
            adder = (1 - tf.cast(attention_mask, dtype)) * tf.cast(lowest, dtype)
            axis = -2 * len(self._attention_axes) - 1
            while len(adder.shape) < len(attention_scores.shape):
                adder = tf.expand_dims(adder, axis)  # for the heads
            attention_scores += adder
        return super()._masked_softmax(attention_scores)


@_registered
class TimeDistributed(keras.layers.TimeDistributed):
    """`keras.layers.TimeDistributed` with the masks of Keras 2.

    The wrapped layer is called once, with all timesteps as rows of one batch; each row
    has its part of the mask. A mask that the wrapped layer makes (`Embedding` with
    `mask_zero`, `Masking`) or passes on goes to the next layer. If there is none, the
    incoming mask goes on, reduced to (batch, timesteps): a timestep counts if any part
    of it does.

    Args:
        layer: The wrapped layer.
        inner_masks: False for models of Keras before 2.2, which gave the wrapped layer
            no mask and passed the mask on unchanged.
    """

    def __init__(
        self, layer: keras.layers.Layer, inner_masks: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(layer, **kwargs)
        self.inner_masks = inner_masks

    def call(self, inputs, training=None, mask=None):
        """Calls the wrapped layer once."""
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

    def _timesteps(
        self, rows: tf.Tensor, inputs: tf.Tensor, mask: tf.Tensor | None
    ) -> tf.Tensor:
        """Returns rows as timesteps, with the mask."""
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
        """Returns the mask, or None if it is known only when the layer runs."""
        return None if self.masks_known_late else mask

    @property
    def masks_known_late(self) -> bool:
        """Whether the mask is known only when the layer runs."""
        return self.inner_masks

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return super().get_config() | {"inner_masks": self.inner_masks}


@_registered
class MaskOf(keras.layers.Layer):
    """The mask of a tensor as a tensor, (batch, timesteps); all True without one.

    Passed as the argument `mask`, it keeps the mask of a recurrent layer that receives
    states.
    """

    def call(self, inputs, mask=None):
        """Returns the mask."""
        if mask is None:
            return keras.ops.ones_like(inputs[..., 0], "bool")
        return keras.ops.cast(mask, "bool")

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Returns None: a mask has no mask."""


def _rows(tensor: tf.Tensor) -> tf.Tensor:
    """Returns (batch * timesteps, ...) for (batch, timesteps, ...)."""
    rows = tf.reshape(tensor, tf.concat([[-1], tf.shape(tensor)[2:]], axis=0))
    rows.set_shape([None, *tensor.shape[2:]])
    return rows


def _unrow(rows: tf.Tensor, inputs: tf.Tensor) -> tf.Tensor:
    """Returns rows as (batch, timesteps, ...), with the sizes of the inputs."""
    sizes = tf.concat([tf.shape(inputs)[:2], tf.shape(rows)[1:]], axis=0)
    result = tf.reshape(rows, sizes)
    result.set_shape([*inputs.shape[:2], *rows.shape[1:]])
    return result


def _as_wide(mask: tf.Tensor, inputs: tf.Tensor) -> tf.Tensor:
    """Returns a mask, (batch, timesteps) or more axes, in the shape of the inputs."""
    if len(mask.shape) < len(inputs.shape):
        mask = keras.ops.expand_dims(mask, axis=-1)
    return keras.ops.logical_and(mask, keras.ops.ones_like(inputs, "bool"))
