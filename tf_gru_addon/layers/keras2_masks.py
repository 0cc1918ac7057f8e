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


class _Merging:
    """Leaves the mask on the output."""

    def __call__(self, inputs, *args, **kwargs):
        output = super().__call__(inputs, *args, **kwargs)
        # The first versions of Keras 3 see no masks in a list of inputs.
        if mask_of(output) is None:
            mask = self.compute_mask(inputs, [mask_of(x) for x in inputs])
            if mask is not None:
                set_mask(output, mask)
        return output


class _EveryMask(_Merging):
    """The masks of `Add` and its like in Keras 2."""

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
    """`keras.layers.Maximum` with the masks of Keras 2."""


@_registered
class Minimum(_EveryMask, keras.layers.Minimum):
    """`keras.layers.Minimum` with the masks of Keras 2."""


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
class Concatenate(_Merging, keras.layers.Concatenate):
    """`keras.layers.Concatenate` with the masks of Keras 2."""

    def compute_mask(self, inputs, mask=None):
        """Returns where every input is there, those without a mask everywhere."""
        if mask is None or all(m is None for m in mask):
            return None
        masks = [
            _as_wide(keras.ops.ones_like(x[..., :1], "bool") if m is None else m, x)
            for x, m in zip(inputs, mask, strict=True)
        ]
        joined = functools.reduce(
            lambda one, two: keras.ops.append(one, two, axis=self.axis), masks
        )
        return keras.ops.all(joined, axis=-1)


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


def _as_wide(mask: tf.Tensor, inputs: tf.Tensor) -> tf.Tensor:
    """Returns a mask, (batch, timesteps) or wider, in the shape of the inputs."""
    if len(mask.shape) < len(inputs.shape):
        mask = keras.ops.expand_dims(mask, axis=-1)
    return keras.ops.logical_and(mask, keras.ops.ones_like(inputs, "bool"))
