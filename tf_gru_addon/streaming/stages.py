"""The steps of a causal model on NumPy arrays, without a call into TensorFlow.

The native engine runs GRUs and small Dense layers, and NumPy the other layers that
`numpy_layers` has. TensorFlow runs what is left.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_gru_addon import native
from tf_gru_addon._compat import mask_of, set_mask
from tf_gru_addon.native.direct import Dense, Forward, Weights
from tf_gru_addon.ops.native import activation_name, has_activation
from tf_gru_addon.streaming import numpy_layers
from tf_gru_addon.streaming.steps import ConvStep, FrameStep, GruStep, Step

Arrays = dict[str, np.ndarray]
Values = list[Any]
Masks = list[Any]

#: A stage keeps the buffers of this many chunk sizes, the most recently used ones.
_recent = functools.lru_cache(4)
#: A GRU runs a longer chunk in pieces of about this many numbers, some milliseconds
#: each: its buffers stay small, and Ctrl-C takes effect before the end of the chunk.
_PIECE = 2**20
#: A piece has at least this many rows of the products, which amortises packing.
_PIECE_ROWS = 256
#: Up to this many multiplications, the native kernel beats NumPy's call overhead.
_FEW_PRODUCTS = 65536
_MASKING = (keras.layers.Masking, keras.layers.Embedding)


def stage_of(step: Step, batch: int, piece: int | None = None) -> Stage:
    """Returns what runs a step.

    Args:
        step: A step with the compute dtype float32. The native engine is available and
            has the activations if it is a `GruStep`.
        batch: The number of rows.
        piece: The timesteps of a piece of a long chunk; None chooses by the sizes.
    """
    if isinstance(step, GruStep):
        return _GruStage(step, batch, piece)
    if isinstance(step, ConvStep):
        return _ConvStage(step, batch)
    if _fits_native_dense(step.layer):
        return _DenseStage(step)
    function = None
    if isinstance(step, FrameStep):
        # The wrapped layer sees rows and frames as one axis.
        function = numpy_layers.function_of(step.layer.layer, step.inputs[0].rank - 1)
    elif not step.kwargs and len({slot.rank for slot in step.inputs}) == 1:
        function = numpy_layers.function_of(step.layer, step.inputs[0].rank)
    if function is None:
        return _TensorFlowStage(step)
    if len(step.inputs) == 1:
        return _FunctionStage(step, function)
    return _MergeStage(step, function)


class Stage:
    """Runs one step of a causal model.

    Args:
        step: The step.

    Attributes:
        states: The states by name, (batch, ...) each; `run` reads these arrays.
        step: The step.
        inputs: The slots of the inputs.
        outputs: The slots of the outputs.
        silent: Whether it runs no NumPy code that warns of NaN and infinity.
        in_tensorflow: Whether TensorFlow runs the layer.
    """

    silent = False
    in_tensorflow = False

    def __init__(self, step: Step):
        self.step = step
        self.states: Arrays = {}
        self.inputs = [slot.index for slot in step.inputs]
        self.outputs = [slot.index for slot in step.outputs]

    def run(self, values: Values, masks: Masks) -> None:
        """Reads and writes slots; the states change no earlier than at `commit`.

        Args:
            values: The arrays in all slots.
            masks: Their masks, booleans (batch, frames) or None.
        """
        raise NotImplementedError

    def commit(self) -> None:
        """Writes the states after the last `run` into the arrays of `states`."""


class _TensorFlowStage(Stage):
    """A layer that is called unchanged."""

    in_tensorflow = True

    def run(self, values: Values, masks: Masks) -> None:
        tensors: list[Any] = [None] * len(values)
        # Some of TensorFlow's ops fail on zero frames: pass one, and drop its output.
        empty = self.step.inputs[0].sequence and not values[self.inputs[0]].shape[1]
        for i in self.inputs:
            x = values[i]
            x = np.zeros((len(x), 1, *x.shape[2:]), x.dtype) if empty else x
            tensors[i] = tf.constant(x)
            if masks[i] is not None:
                set_mask(tensors[i], tf.constant(masks[i]))
        self.step.run(tensors, {})
        for i in self.outputs:
            y, mask = tensors[i].numpy(), mask_of(tensors[i])
            values[i] = y[:, :0] if empty else y
            masks[i] = None if mask is None or empty else mask.numpy()


class _MergeStage(_TensorFlowStage):
    """A layer with several inputs; TensorFlow runs it only if an input has a mask."""

    in_tensorflow = False

    def __init__(self, step: Step, function: numpy_layers.Function):
        super().__init__(step)
        self._function = function

    def run(self, values: Values, masks: Masks) -> None:
        if any(masks[i] is not None for i in self.inputs):
            super().run(values, masks)
            return
        (output,) = self.outputs
        values[output] = self._function(*[values[i] for i in self.inputs])


class _FunctionStage(Stage):
    """A function of one array."""

    def __init__(self, step: Step, function: numpy_layers.Function):
        super().__init__(step)
        (self._input,), (self._output,) = self.inputs, self.outputs
        self._function = function
        self.silent = function is numpy_layers.identity
        self._makes_mask = isinstance(step.layer, _MASKING)
        self._keeps_mask = step.layer.supports_masking

    def run(self, values: Values, masks: Masks) -> None:
        x = values[self._input]
        values[self._output] = self._function(x)
        if self._makes_mask:
            masks[self._output] = self._mask(x)
        elif self._keeps_mask:
            masks[self._output] = masks[self._input]

    def _mask(self, x: np.ndarray) -> np.ndarray | None:
        if isinstance(self.step.layer, keras.layers.Masking):
            mask = (x != np.float32(self.step.layer.mask_value)).any(axis=-1)
        elif self.step.layer.mask_zero:
            mask = x != 0
        else:
            return None
        return None if mask.all() else mask


class _DenseStage(Stage):
    """A Dense layer: the native engine runs few rows, and NumPy many."""

    silent = True

    def __init__(self, step: Step):
        super().__init__(step)
        (self._input,), (self._output,) = self.inputs, self.outputs
        layer = step.layer
        weights = (
            np.array(layer.kernel),
            np.array(layer.bias) if layer.use_bias else None,
            _dense_activation(layer),
        )
        self._call = _recent(lambda shape: Dense(*weights, shape))
        self._largest = _FEW_PRODUCTS // layer.units
        self._function = numpy_layers.function_of(layer, step.inputs[0].rank)

    def run(self, values: Values, masks: Masks) -> None:
        x = values[self._input]
        masks[self._output] = masks[self._input]
        if x.size > self._largest:
            with np.errstate(all="ignore"):
                values[self._output] = self._function(x)
            return
        call = self._call(x.shape[:-1])
        np.copyto(call.inputs, x)
        call()
        values[self._output] = call.outputs


def _fits_native_dense(layer: Any) -> bool:
    if type(layer) is not keras.layers.Dense or not native.status().available:
        return False
    quantized = getattr(layer, "quantization_mode", None)
    known = _dense_activation(layer) is not None
    few = math.prod(layer.kernel.shape) <= _FEW_PRODUCTS
    return known and not quantized and few


def _dense_activation(layer: keras.layers.Dense) -> str | None:
    """Returns the native engine's name of a layer's activation, or None."""
    if layer.activation is keras.activations.softmax:
        return "softmax"
    function = layer.activation or keras.activations.linear
    return activation_name(function) if has_activation(function) else None


class _ConvStage(Stage):
    """A causal convolution: a matrix product for each group."""

    def __init__(self, step: ConvStep, batch: int):
        super().__init__(step)
        (self._input,), (self._output,) = self.inputs, self.outputs
        for name, shape, _ in step.states:
            self.states[name] = np.zeros((batch, *shape), np.float32)
        layer = step.layer
        (self._size,), (self._dilation,) = layer.kernel_size, layer.dilation_rate
        kernel, groups = np.asarray(layer.kernel), layer.groups
        biases = np.asarray(layer.bias) if layer.use_bias else np.zeros(layer.filters)
        self._products = [
            numpy_layers.affine(w.reshape(-1, w.shape[-1]), b)
            for w, b in zip(
                np.split(kernel, groups, axis=-1), np.split(biases, groups), strict=True
            )
        ]
        self._activation = numpy_layers.activation(layer.activation)

    def run(self, values: Values, masks: Masks) -> None:
        x = values[self._input]
        frames = np.concatenate([*self.states.values(), x], axis=1)
        n, groups = x.shape[1], len(self._products)
        taps = [
            np.split(frames[:, k * self._dilation :][:, :n], groups, axis=-1)
            for k in range(self._size)
        ]
        outputs = [
            product(np.concatenate(group, axis=-1))
            for product, group in zip(
                self._products, zip(*taps, strict=True), strict=True
            )
        ]
        values[self._output] = self._activation(np.concatenate(outputs, axis=-1))
        self._new = frames[:, n:]

    def commit(self) -> None:
        for state in self.states.values():
            np.copyto(state, self._new)


class _GruStage(Stage):
    """A GRU layer on the native engine, with one cell or a stack of cells."""

    silent = True

    def __init__(self, step: GruStep, batch: int, piece: int | None):
        super().__init__(step)
        (self._input,), (self._output, *self._state_outputs) = self.inputs, self.outputs
        self._keeps_mask = step.layer.return_sequences
        keeps_last = len(step.states) > len(step.runs)  # the output so far
        last = len(step.runs) - 1
        self._cells = [
            _Cell(
                gru.cell,
                batch,
                sequences=i < last or keeps_last or step.layer.return_sequences,
                zero_output=gru.zero_output_for_mask,
                piece=piece,
            )
            for i, gru in enumerate(step.runs)
        ]
        for state, cell in zip(step.states, self._cells, strict=False):
            self.states[state.name] = cell.state
        self._last = self._new_last = None
        if keeps_last:
            name, shape, _ = step.states[-1]
            self._last = self.states[name] = np.zeros((batch, *shape), np.float32)

    def run(self, values: Values, masks: Masks) -> None:
        x, mask = values[self._input], masks[self._input]
        for cell in self._cells:
            x = cell.run(x, mask)
        if self._last is not None:
            self._new_last = x = x[:, -1] if x.shape[1] else self._last
        values[self._output] = x
        if self._keeps_mask:
            masks[self._output] = mask
        for index, cell in zip(self._state_outputs, self._cells, strict=False):
            values[index] = cell.new_state

    def commit(self) -> None:
        for cell in self._cells:
            np.copyto(cell.state, cell.new_state)
        if self._last is not None:
            np.copyto(self._last, self._new_last)


class _Cell:
    """A GRU cell: its weights, its state, and the buffers of recent chunk sizes."""

    def __init__(
        self,
        cell: Any,
        batch: int,
        *,
        sequences: bool,
        zero_output: bool,
        piece: int | None,
    ):
        weights = Weights(
            np.asarray(cell.kernel),
            np.asarray(cell.recurrent_kernel),
            None if cell.bias is None else np.asarray(cell.bias),
            reset_after=cell.reset_after,
            activation=activation_name(cell.activation),
            recurrent_activation=activation_name(cell.recurrent_activation),
            zero_output_for_mask=zero_output,
            threads=tf.config.threading.get_intra_op_parallelism_threads(),
        )
        self._units = weights.units
        self._sequences = sequences
        self._repeats = sequences and not zero_output
        numbers = batch * (weights.features + weights.units)
        self._piece = piece or max(_PIECE // numbers, _PIECE_ROWS // batch, 1)
        # From an array with the initial state to what returns a chunk size's buffers.
        self._forwards = lambda state: _recent(
            lambda timesteps, masked: Forward(
                weights, state, timesteps, masked, sequences
            )
        )
        self.state = self.new_state = np.zeros((batch, weights.units), np.float32)
        self._forward = self._forwards(self.state)

    def run(self, x: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
        if x.shape[1] > self._piece:
            return self._run_in_pieces(x, mask)
        return self._run(self._forward, x, mask, self.state)

    def _run(
        self,
        forward: Callable[[int, bool], Forward],
        x: np.ndarray,
        mask: np.ndarray | None,
        before: np.ndarray,
    ) -> np.ndarray:
        call = forward(x.shape[1], mask is not None)
        np.copyto(call.inputs, x)
        if mask is not None:
            np.copyto(call.mask, mask)
        call()
        if mask is not None and self._repeats:
            # Masked frames at the start of a chunk repeat the output before it.
            unseen = ~np.logical_or.accumulate(mask, axis=1)
            rows, frames = unseen.nonzero()
            call.outputs[rows, frames] = before[rows]
        self.new_state = call.state
        return call.outputs

    def _run_in_pieces(self, x: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
        """Gives the same bits as a single call, with buffers that are not kept."""
        state = self.state.copy()
        forward = self._forwards(state)
        outputs = state
        if self._sequences:
            outputs = np.empty((*x.shape[:2], self._units), np.float32)
        for start in range(0, x.shape[1], self._piece):
            piece = np.s_[:, start : start + self._piece]
            y = self._run(
                forward, x[piece], mask if mask is None else mask[piece], state
            )
            if self._sequences:
                outputs[piece] = y
            np.copyto(state, self.new_state)
        self.new_state = state
        return outputs
