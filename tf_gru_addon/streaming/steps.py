"""A causal model as a list of steps with explicit states, in TensorFlow.

The tensors of a model stand in *slots*, the rows of a list. A step reads the frames of
a chunk from slots and writes its outputs to others. A mask travels as an attribute of
its tensor, as it does between Keras layers.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    """A state that a step carries from one chunk to the next; it starts as zeros.

    Attributes:
        name: Its name, unique within the model.
        shape: Its shape, without the batch axis.
        dtype: The name of its dtype.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Slot:
    """The place of one of the model's tensors.

    Attributes:
        index: Its row in the list of tensors.
        sequence: True if the tensor has a time axis, (batch, frames, ...). False if it
            summarises the frames so far, (batch, ...).
        rank: The number of axes.
    """

    index: int
    sequence: bool
    rank: int


@dataclass(frozen=True, kw_only=True)
class Step:
    """A layer of a causal model, run on chunks.

    Attributes:
        layer: The layer.
        inputs: The slots of its inputs.
        outputs: The slots of its outputs.
        states: The states that it carries from chunk to chunk.
    """

    layer: Any
    inputs: tuple[Slot, ...]
    outputs: tuple[Slot, ...]
    states: tuple[State, ...] = ()

    def run(self, values: Values, states: Mapping[str, tf.Tensor]) -> States:
        """Runs a chunk, and returns the new states of this step.

        Args:
            values: The tensors in all slots; the step writes its outputs there.
            states: The states of all steps, by name.
        """
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class LayerStep(Step):
    """A layer or an operation of `keras.ops`, called unchanged on each chunk.

    Attributes:
        args: Its positional arguments, with a slot in place of each tensor.
        kwargs: Its keyword arguments, likewise.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def run(self, values: Values, states: Mapping[str, tf.Tensor]) -> States:
        """Runs a chunk."""
        args, kwargs = keras.tree.map_structure(
            lambda each: values[each.index] if isinstance(each, Slot) else each,
            (self.args, self.kwargs),
        )
        if isinstance(self.layer, keras.Layer):  # an operation takes no `training`
            kwargs["training"] = False
        results = keras.tree.flatten(self.layer(*args, **kwargs))
        for slot, result in zip(self.outputs, results, strict=True):
            values[slot.index] = result
        return {}


class FrameStep(Step):
    """A `TimeDistributed` layer: the wrapped layer sees all frames as one batch."""

    def run(self, values: Values, states: Mapping[str, tf.Tensor]) -> States:
        """Runs a chunk."""
        x = values[self.inputs[0].index]
        sizes = tf.shape(x)
        leading = [x.shape[i] or sizes[i] for i in range(2)]
        frames = tf.reshape(x, [leading[0] * leading[1], *x.shape[2:]])
        y = self.layer.layer(frames, training=False)
        y = tf.reshape(y, [*leading, *y.shape[1:]])
        set_mask(y, mask_of(x))
        values[self.outputs[0].index] = y
        return {}


class ConvStep(Step):
    """A causal `Conv1D`; its state is the past frames that its kernel still reaches.

    The state has the shape (batch, dilation * (kernel size - 1), features). A kernel of
    size 1 has none.
    """

    def run(self, values: Values, states: Mapping[str, tf.Tensor]) -> States:
        """Runs a chunk."""
        layer, dtype = self.layer, self.layer.compute_dtype
        x = tf.cast(values[self.inputs[0].index], dtype)
        frames = tf.concat([*(states[s.name] for s in self.states), x], axis=1)
        (dilation,) = layer.dilation_rate
        n = tf.shape(x)[1]
        # A matrix product per group: TensorFlow's convolution fails on zero frames.
        taps = [
            tf.split(frames[:, k * dilation :][:, :n], layer.groups, axis=-1)
            for k in range(layer.kernel_size[0])
        ]
        kernels = tf.split(keras.ops.cast(layer.kernel, dtype), layer.groups, axis=-1)
        groups = [
            affine(tf.concat(group, axis=-1), tf.reshape(w, [-1, w.shape[-1]]))
            for group, w in zip(zip(*taps, strict=True), kernels, strict=True)
        ]
        y = tf.concat(groups, axis=-1)
        if layer.use_bias:
            y += keras.ops.cast(layer.bias, dtype)
        if layer.activation is not None:
            y = layer.activation(y)
        values[self.outputs[0].index] = y
        return {s.name: frames[:, -s.shape[0] :] for s in self.states}


@dataclass(frozen=True, kw_only=True)
class GruStep(Step):
    """A GRU layer of this package or of Keras, with one cell or a stack of cells.

    With `return_state`, the last states follow the output in `outputs`. `states` holds
    the state of each cell, (batch, units). With `zero_output_for_mask` and without
    `return_sequences` it also holds the output so far, which then differs from the last
    cell's state.

    Attributes:
        runs: For each cell a `GRU` with the cell's variables. It returns all outputs
            and the last state.
    """

    runs: tuple[GRU, ...]

    def run(self, values: Values, states: Mapping[str, tf.Tensor]) -> States:
        """Runs a chunk."""
        x = values[self.inputs[0].index]
        mask = mask_of(x)
        new: States = {}
        for gru, state in zip(self.runs, self.states, strict=False):
            h = states[state.name]
            x, new[state.name] = gru(x, initial_state=h, mask=mask)
            if mask is not None and not gru.zero_output_for_mask:
                # Masked frames at the start of a chunk repeat the output before it.
                seen = tf.cumsum(tf.cast(mask, tf.int32), axis=1) > 0
                x = tf.where(seen[..., tf.newaxis], x, h[:, tf.newaxis])
        output = x
        if len(self.states) > len(self.runs):
            name = self.states[-1].name
            # A chunk without frames leaves the output so far as it is.
            so_far = tf.concat([states[name][:, tf.newaxis], x], axis=1)
            output = new[name] = so_far[:, -1]
        elif not self.layer.return_sequences:
            output = new[state.name]
        set_mask(output, mask if self.layer.return_sequences else None)
        values[self.outputs[0].index] = output
        for slot, state in zip(self.outputs[1:], self.states, strict=False):
            values[slot.index] = new[state.name]
        return new


@dataclass(frozen=True)
class CausalModel:
    """A model as steps, as `causal.read` returns it.

    Attributes:
        name: The model's name.
        steps: The steps, in the order to run them.
        frames: The model's input: its shape, (batch, frames, ...), and dtype.
        outputs: The slots of the outputs, in the order of `model.outputs`.
        slots: The number of slots; the first is the input's.
    """

    name: str
    steps: tuple[Step, ...]
    frames: keras.KerasTensor
    outputs: tuple[Slot, ...]
    slots: int

    @property
    def states(self) -> dict[str, State]:
        """The states of all steps, by name."""
        return {state.name: state for step in self.steps for state in step.states}

    def run(
        self, frames: Any, states: Mapping[str, tf.Tensor], mask: Any = None
    ) -> tuple[list[Any], States]:
        """Returns the outputs for a chunk of frames, and the states after it.

        Args:
            frames: A tensor (batch, frames, ...).
            states: A tensor for each of `states`.
            mask: None, or booleans (batch, frames).
        """
        values: Values = [None] * self.slots
        values[0] = tf.identity(frames)  # the caller's tensor receives no mask
        set_mask(values[0], mask)
        new: States = {}
        for step in self.steps:
            new.update(step.run(values, states))
        return [values[slot.index] for slot in self.outputs], new
