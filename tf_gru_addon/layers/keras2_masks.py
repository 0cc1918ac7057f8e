"""Layers that treat masks as Keras 2 did, for models that came from there.

Merging layers of Keras 2 took a timestep to be there if every input that has a mask has
it; those of Keras 3 take it to be there if any has it, and all but `Concatenate` know
no mask at all where one of the inputs has none. Keras 3 also forgets the mask of a
recurrent layer that is given states besides its sequence.
"""

import functools

import keras
import tensorflow as tf

from tf_gru_addon._compat import mask_of, set_mask

#: The merging layers here.
MERGING = (
    *("Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract"),
)


class _EveryMask:
    """The masks of `Add` and its like in Keras 2."""

    def __call__(self, inputs, *args, **kwargs):
        output = super().__call__(inputs, *args, **kwargs)
        # The first versions of Keras 3 see no masks in a list of inputs.
        if mask_of(output) is None:
            mask = self.compute_mask(inputs, [mask_of(x) for x in inputs])
            if mask is not None:
                set_mask(output, mask)
        return output

    def compute_mask(self, inputs, mask=None):
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

    Keras 3 takes no number from an input at the timesteps that its mask leaves out.
    """

    def _merge_function(self, inputs):
        return functools.reduce(keras.ops.maximum, inputs)


@_registered
class Minimum(_EveryMask, keras.layers.Minimum):
    """`keras.layers.Minimum` with the masks of Keras 2.

    Keras 3 takes no number from an input at the timesteps that its mask leaves out.
    """

    def _merge_function(self, inputs):
        return functools.reduce(keras.ops.minimum, inputs)


@_registered
class Multiply(_EveryMask, keras.layers.Multiply):
    """`keras.layers.Multiply` with the masks of Keras 2.

    Keras 3 takes an input for 1 at the timesteps that its mask leaves out.
    """

    def _merge_function(self, inputs):
        return functools.reduce(keras.ops.multiply, inputs)


@_registered
class Subtract(_EveryMask, keras.layers.Subtract):
    """`keras.layers.Subtract` with the masks of Keras 2."""


@_registered
class Concatenate(_EveryMask, keras.layers.Concatenate):
    """`keras.layers.Concatenate` with the masks of Keras 2."""

    def compute_mask(self, inputs, mask=None):
        """Returns the masks put together as the inputs are.

        Along the features, a timestep is there if every input has it. Along the time,
        an input without a mask is all there; this mask is not known before the layer
        runs.
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
    def masks_known_late(self):
        """Whether the mask is not known before the layer runs."""
        return self.axis != -1


@_registered
class Bidirectional(keras.layers.Bidirectional):
    """`keras.layers.Bidirectional` with the outputs of Keras 2 where masked.

    There they repeat the last output, as those of a layer in one direction do; those of
    tf.keras and of Keras 3 are 0.
    """

    def __init__(self, layer, merge_mode="concat", backward_layer=None, **kwargs):
        super().__init__(layer, merge_mode, backward_layer=backward_layer, **kwargs)
        for layer in (self.forward_layer, self.backward_layer):
            layer.zero_output_for_mask = False


@_registered
class MultiHeadAttention(keras.layers.MultiHeadAttention):
    """`keras.layers.MultiHeadAttention` with the masks of Keras 2.

    That of Keras 3 takes the masks off its inputs, so that other layers that are called
    on the same tensors run without; and where a row is wholly masked, its scores are 0
    and not the same for all.
    """

    def __call__(self, query, value, key=None, **kwargs):
        """Calls the layer; see `keras.layers.MultiHeadAttention`."""
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

    The layer inside sees all timesteps at once, as rows of one batch, and each row with
    its part of the mask. The mask that the layer inside makes (`Embedding` with
    `mask_zero`, `Masking`) or passes on goes to the next layer. Where it makes none,
    the mask that came in goes on, reduced to (batch, timesteps): a timestep is there if
    any part of it is.

    Args:
        layer: The layer inside.
        inner_masks: False for models of Keras before 2.2, which kept masks from the
            layer inside, and passed the mask on as it came.
    """

    def __init__(self, layer, inner_masks=True, **kwargs):
        super().__init__(layer, **kwargs)
        self.inner_masks = inner_masks

    def call(self, inputs, training=None, mask=None):
        """Calls the layer inside once."""
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

    def _timesteps(self, rows, inputs, mask):
        """Returns rows as timesteps, with their mask."""
        result = _unrow(rows, inputs)
        if not self.inner_masks:
            return result
        inner = mask_of(rows)
        if inner is not None:
            set_mask(result, _unrow(inner, inputs))
        elif mask is not None:
            set_mask(result, tf.reduce_any(mask, list(range(2, len(mask.shape)))))
        return result

    def compute_mask(self, inputs, mask=None):
        """Returns None where the mask is not known before the layer runs."""
        return None if self.masks_known_late else mask

    @property
    def masks_known_late(self):
        """Whether the mask is not known before the layer runs."""
        return self.inner_masks

    def get_config(self):
        """Returns the arguments."""
        return super().get_config() | {"inner_masks": self.inner_masks}


@_registered
class MaskOf(keras.layers.Layer):
    """The mask of a tensor as a tensor, (batch, timesteps); all True without one.

    As the argument `mask` it keeps the mask of a recurrent layer that is given states.
    """

    def call(self, inputs, mask=None):
        """Returns the mask."""
        if mask is None:
            return keras.ops.ones_like(inputs[..., 0], "bool")
        return keras.ops.cast(mask, "bool")

    def compute_mask(self, inputs, mask=None):
        """Returns None: a mask has no mask."""


def _rows(tensor: tf.Tensor) -> tf.Tensor:
    """Returns (batch * timesteps, ...) for (batch, timesteps, ...)."""
    rows = tf.reshape(tensor, tf.concat([[-1], tf.shape(tensor)[2:]], axis=0))
    rows.set_shape([None, *tensor.shape[2:]])
    return rows


def _unrow(rows: tf.Tensor, inputs: tf.Tensor) -> tf.Tensor:
    """Returns (batch, timesteps, ...) as the inputs have them, for rows of them."""
    sizes = tf.concat([tf.shape(inputs)[:2], tf.shape(rows)[1:]], axis=0)
    result = tf.reshape(rows, sizes)
    result.set_shape([*inputs.shape[:2], *rows.shape[1:]])
    return result


def _as_wide(mask: tf.Tensor, inputs: tf.Tensor) -> tf.Tensor:
    """Returns a mask, (batch, timesteps) or wider, in the shape of the inputs."""
    if len(mask.shape) < len(inputs.shape):
        mask = keras.ops.expand_dims(mask, axis=-1)
    return keras.ops.logical_and(mask, keras.ops.ones_like(inputs, "bool"))
