"""The steps that a causal model consists of, in TensorFlow, their states explicit.

A step takes the frames of a chunk from *slots* and puts what comes of them into others.
A slot is a number, a row of a list of tensors. Masks ride on the tensors, as Keras'
layers hand them on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from tf_gru_addon._compat import mask_of, set_mask
from tf_gru_addon.layers.gru import GRU
from tf_gru_addon.ops.gru_step import affine

Values = list[Any]
States = dict[str, tf.Tensor]


class State(NamedTuple):
    """A state that a step carries from one chunk to the next; it begins with zeros.

    Attributes:
        name: Its name, unlike any other's of the model.
        shape: Its shape, without the batch.
        dtype: Name of its dtype.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Slot:
    """Where a tensor of the model stands while it is run.

    Attributes:
        index: Its number.
        sequence: Whether it has a time axis, (batch, frames, ...); else it is what the
            frames so far have led to, (batch, ...).
        rank: The number of its axes.
    """

    index: int
    sequence: bool
    rank: int


@dataclass(frozen=True)
class LayerStep:
    """A layer that treats each frame alone, called as it is.

    Attributes:
        layer: The layer.
        args: What it is called with, a slot in the place of each tensor.
        kwargs: Likewise, by name.
        outputs: Where its outputs go.
    """

    layer: Any
    args: tuple
    kwargs: dict[str, Any]
    outputs: tuple[Slot, ...]
    states: tuple[State, ...] = ()

    @property
    def inputs(self) -> tuple[Slot, ...]:
        """Where its inputs stand."""
        flat = keras.tree.flatten((self.args, self.kwargs))
        return tuple(each for each in flat if isinstance(each, Slot))

    def run(self, values: Values, states: States) -> States:
        """Runs the step on the slots `values`; returns its new states."""
        del states
        args, kwargs = keras.tree.map_structure(
            lambda each: values[each.index] if isinstance(each, Slot) else each,
            (self.args, self.kwargs),
        )
        if isinstance(self.layer, keras.Layer):  # operations of keras.ops take none
            kwargs["training"] = False
        results = keras.tree.flatten(self.layer(*args, **kwargs))
        for slot, result in zip(self.outputs, results, strict=True):
            values[slot.index] = result
        return {}


@dataclass(frozen=True)
class FrameStep:
    """A `TimeDistributed` layer: the layer inside sees frames, wherever they stand.

    Attributes:
        layer: The wrapper.
        inputs: Where its input stands.
        outputs: Where its output goes.
    """

    layer: keras.layers.TimeDistributed
    inputs: tuple[Slot]
    outputs: tuple[Slot, ...]
    states: tuple[State, ...] = ()

    def run(self, values: Values, states: States) -> States:
        """Runs the step on the slots `values`; returns its new states."""
        del states
        x = values[self.inputs[0].index]
        sizes = tf.shape(x)
        leading = [x.shape[i] or sizes[i] for i in range(2)]
        frames = tf.reshape(x, [leading[0] * leading[1], *x.shape[2:]])
        y = self.layer.layer(frames, training=False)
        y = tf.reshape(y, [*leading, *y.shape[1:]])
        set_mask(y, mask_of(x))
        values[self.outputs[0].index] = y
        return {}


@dataclass(frozen=True)
class ConvStep:
    """A causal `Conv1D`, whose state is the frames that it will look back at.

    Attributes:
        layer: The layer.
        inputs: Where its input stands.
        outputs: Where its output goes.
        states: The last frames, (batch, dilation * (kernel size - 1), features); none
            where the kernel has the size 1.
    """

    layer: keras.layers.Conv1D
    inputs: tuple[Slot]
    outputs: tuple[Slot, ...]
    states: tuple[State, ...]

    def run(self, values: Values, states: States) -> States:
        """Runs the step on the slots `values`; returns its new states."""
        layer, dtype = self.layer, self.layer.compute_dtype
        x = tf.cast(values[self.inputs[0].index], dtype)
        before = [states[state.name] for state in self.states]
        frames = tf.concat([*before, x], axis=1)
        (dilation,) = layer.dilation_rate
        n = tf.shape(x)[1]
        # The convolution of TensorFlow fails where there are no new frames.
        taps = [
            tf.split(frames[:, k * dilation :][:, :n], layer.groups, axis=-1)
            for k in range(layer.kernel_size[0])
        ]
        kernels = tf.split(keras.ops.cast(layer.kernel, dtype), layer.groups, axis=-1)
        groups = [
            affine(tf.concat(parts, axis=-1), tf.reshape(w, [-1, w.shape[-1]]))
            for parts, w in zip(zip(*taps, strict=True), kernels, strict=True)
        ]
        y = tf.concat(groups, axis=-1)
        if layer.use_bias:
            y += keras.ops.cast(layer.bias, dtype)
        values[self.outputs[0].index] = (
            y if layer.activation is None else layer.activation(y)
        )
        return {s.name: frames[:, -s.shape[0] :] for s in self.states}


@dataclass(frozen=True)
class GruStep:
    """A GRU layer, of this package or of Keras, with one cell or several in a stack.

    Attributes:
        layer: The layer.
        runs: A `GRU` with the weights of each cell, which gives all outputs and the
            last state.
        inputs: Where its input stands.
        outputs: Where its output goes, and with `return_state` its last states.
        states: The state of each cell, (batch, units); and the output so far, where
            that is not the last cell's state: with `zero_output_for_mask`.
    """

    layer: keras.layers.RNN
    runs: tuple[GRU, ...]
    inputs: tuple[Slot]
    outputs: tuple[Slot, ...]
    states: tuple[State, ...]

    def run(self, values: Values, states: States) -> States:
        """Runs the step on the slots `values`; returns its new states."""
        x = values[self.inputs[0].index]
        mask = mask_of(x)
        new = {}
        for gru, state in zip(self.runs, self.states, strict=False):
            h = states[state.name]
            x, new[state.name] = gru(x, initial_state=h, mask=mask)
            if mask is not None and not gru.zero_output_for_mask:
                # A chunk's first frames may be masked: they repeat the output before.
                seen = tf.cumsum(tf.cast(mask, tf.int32), axis=1) > 0
                x = tf.where(seen[..., tf.newaxis], x, h[:, tf.newaxis])
        output = x
        if len(self.states) > len(self.runs):
            name = self.states[-1].name
            output = new[name] = self._last_output(x, states[name])
        elif not self.layer.return_sequences:
            output = new[state.name]
        set_mask(output, mask if self.layer.return_sequences else None)
        values[self.outputs[0].index] = output
        for slot, state in zip(self.outputs[1:], self.states, strict=False):
            values[slot.index] = new[state.name]
        return new

    @staticmethod
    def _last_output(outputs, before):
        """The last of the outputs and of the one before them."""
        return tf.concat([before[:, tf.newaxis], outputs], axis=1)[:, -1]


Step = LayerStep | FrameStep | ConvStep | GruStep
