"""The steps of a model on NumPy arrays: natively, in NumPy, or called as they are.

A part reads and writes the slots of its step in a list of arrays, and in another those
of the masks. One with states leaves them as they are until `commit`. It is *silent*
where NumPy, which warns of NaN and infinity, computes nothing.
"""

from __future__ import annotations

import functools
import math
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf

from tf_gru_addon import native
from tf_gru_addon._compat import mask_of, set_mask
from tf_gru_addon.export import stream_layers
from tf_gru_addon.export.causal_steps import ConvStep, FrameStep, GruStep, LayerStep
from tf_gru_addon.native.direct import Dense, Forward, Weights
from tf_gru_addon.ops.native import activation_name, has_activation

Arrays = dict[str, np.ndarray]

#: A part keeps the arrays of its calls for so many sizes of a chunk, those used last.
_KEPT_SIZES = 4
_kept = functools.lru_cache(_KEPT_SIZES)
#: A GRU runs longer chunks in pieces of about so many numbers, some milliseconds each:
#: its arrays then stay small, and Ctrl-C need not wait for the end of the chunk.
_PIECE = 2**20
#: A piece has at least so many rows of the products, which makes up for packing.
_PIECE_ROWS = 256
#: So many products the native engine makes faster than NumPy, which has a longer start.
_FEW_PRODUCTS = 65536
_MASKING = (keras.layers.Masking, keras.layers.Embedding)


def part(step: Any, batch: int) -> Any:
    """Returns what runs a step.

    Args:
        step: A step of a model for which `NumpyRunner` is chosen.
        batch: The number of rows.
    """
    if isinstance(step, GruStep):
        return _Gru(step, batch)
    if isinstance(step, ConvStep):
        return _Conv(step, batch)
    if _fits_dense(step.layer):
        return _Dense(step)
    function = None
    if isinstance(step, FrameStep):
        # The axes of rows and frames are folded into one.
        function = stream_layers.function_of(step.layer.layer, step.inputs[0].rank - 1)
    elif not step.kwargs and len({slot.rank for slot in step.inputs}) == 1:
        function = stream_layers.function_of(step.layer, step.inputs[0].rank)
    if function is None:
        return Called(step)
    return (_Function if len(step.inputs) == 1 else _Merge)(step, function)


def _fits_dense(layer: Any) -> bool:
    if type(layer) is not keras.layers.Dense or not native.status().available:
        return False
    quantized = getattr(layer, "quantization_mode", None)
    known = _dense_activation(layer) is not None
    few = math.prod(layer.kernel.shape) <= _FEW_PRODUCTS
    return known and not quantized and few


def _dense_activation(layer: keras.layers.Dense) -> str | None:
    if layer.activation is keras.activations.softmax:
        return "softmax"
    function = layer.activation or keras.activations.linear
    return activation_name(function) if has_activation(function) else None


class Called:
    """A layer called as it is."""

    states: ClassVar[Arrays] = {}
    silent = False

    def __init__(self, step: LayerStep | FrameStep):
        self.step = step
        self.layer_name = step.layer.name
        self.inputs = [slot.index for slot in step.inputs]
        self.outputs = [slot.index for slot in step.outputs]

    def run(self, values: list, masks: list) -> None:
        """Runs the layer on the slots `values`, with the masks in `masks`."""
        tensors: list[Any] = [None] * len(values)
        # Not all of TensorFlow's ops take no frames: it gets one that is taken out.
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


class _Merge(Called):
    """A layer of several inputs, called as it is where they have masks."""

    def __init__(self, step: LayerStep, function: stream_layers.Function):
        super().__init__(step)
        self._function = function

    def run(self, values: list, masks: list) -> None:
        if any(masks[i] is not None for i in self.inputs):
            super().run(values, masks)
            return
        (output,) = self.outputs
        values[output] = self._function(*[values[i] for i in self.inputs])


class _Function:
    """A function of one array."""

    states: ClassVar[Arrays] = {}

    def __init__(self, step: LayerStep | FrameStep, function: stream_layers.Function):
        self._input = step.inputs[0].index
        self._output = step.outputs[0].index
        self._function = function
        self.silent = function is stream_layers.identity
        self._layer = step.layer
        self._masks = isinstance(step.layer, _MASKING)
        self._keeps_mask = step.layer.supports_masking

    def run(self, values: list, masks: list) -> None:
        x = values[self._input]
        values[self._output] = self._function(x)
        if self._masks:
            masks[self._output] = self._mask(x)
        elif self._keeps_mask:
            masks[self._output] = masks[self._input]

    def _mask(self, x: np.ndarray) -> np.ndarray | None:
        if isinstance(self._layer, keras.layers.Masking):
            mask = (x != np.float32(self._layer.mask_value)).any(axis=-1)
        elif self._layer.mask_zero:
            mask = x != 0
        else:
            return None
        return None if mask.all() else mask


class _Dense:
    """A Dense layer: in the native engine for few rows, else in NumPy."""

    states: ClassVar[Arrays] = {}
    silent = True

    def __init__(self, step: LayerStep):
        layer = step.layer
        self._input = step.inputs[0].index
        self._output = step.outputs[0].index
        weights = (
            np.array(layer.kernel),
            np.array(layer.bias) if layer.use_bias else None,
            _dense_activation(layer),
        )
        self._call = _kept(lambda shape: Dense(*weights, shape))
        self._largest = _FEW_PRODUCTS // layer.units
        self._function = stream_layers.function_of(layer, step.inputs[0].rank)

    def run(self, values: list, masks: list) -> None:
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


class _Conv:
    """A causal convolution."""

    silent = False

    def __init__(self, step: ConvStep, batch: int):
        self.states: Arrays = {
            state.name: np.zeros((batch, *state.shape), np.float32)
            for state in step.states
        }
        self._input = step.inputs[0].index
        self._output = step.outputs[0].index
        layer = step.layer
        (self._size,), (self._dilation,) = layer.kernel_size, layer.dilation_rate
        kernel, groups = np.asarray(layer.kernel), layer.groups
        biases = np.asarray(layer.bias) if layer.use_bias else np.zeros(layer.filters)
        self._products = [
            stream_layers.affine(w.reshape(-1, w.shape[-1]), b)
            for w, b in zip(
                np.split(kernel, groups, axis=-1), np.split(biases, groups), strict=True
            )
        ]
        self._activation = stream_layers.activation(layer.activation)

    def run(self, values: list, masks: list) -> None:
        x = values[self._input]
        frames = np.concatenate([*self.states.values(), x], axis=1)
        n, groups = x.shape[1], len(self._products)
        taps = [
            np.split(frames[:, k * self._dilation :][:, :n], groups, axis=-1)
            for k in range(self._size)
        ]
        parts = [
            product(np.concatenate(parts, axis=-1))
            for product, parts in zip(
                self._products, zip(*taps, strict=True), strict=True
            )
        ]
        values[self._output] = self._activation(np.concatenate(parts, axis=-1))
        self._new = frames[:, n:]

    def commit(self) -> None:
        for state in self.states.values():
            np.copyto(state, self._new)


class _Gru:
    """A GRU layer on the native engine, a cell or several."""

    silent = True

    def __init__(self, step: GruStep, batch: int):
        layer = step.layer
        self._input = step.inputs[0].index
        self._output, *self._state_outputs = (slot.index for slot in step.outputs)
        self._keeps_mask = layer.return_sequences
        keeps_last = len(step.states) > len(step.runs)  # the output so far
        last = len(step.runs) - 1
        self._cells = [
            _Cell(
                gru.cell,
                batch,
                sequences=i < last or keeps_last or layer.return_sequences,
                zero_output=gru.zero_output_for_mask,
            )
            for i, gru in enumerate(step.runs)
        ]
        self.states = {
            state.name: cell.state
            for state, cell in zip(step.states, self._cells, strict=False)
        }
        self._last = self._new_last = None
        if keeps_last:
            name, shape, _ = step.states[-1]
            self._last = self.states[name] = np.zeros((batch, *shape), np.float32)

    def run(self, values: list, masks: list) -> None:
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
    """A GRU cell: weights, a state, and the calls of the sizes that came of late."""

    def __init__(self, cell: Any, batch: int, sequences: bool, zero_output: bool):
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
        state = np.zeros((batch, weights.units), np.float32)
        self.state = self.new_state = state
        self._weights = weights
        self._sequences = sequences
        self._repeats = sequences and not zero_output
        numbers = batch * (weights.features + weights.units)
        self._most = max(_PIECE // numbers, _PIECE_ROWS // batch, 1)
        self._call = _kept(
            lambda timesteps, masked: Forward(
                weights, state, timesteps, masked, sequences
            )
        )

    def run(self, x: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
        if x.shape[1] > self._most:
            return self._run_in_pieces(x, mask)
        call = self._call(x.shape[1], mask is not None)
        self.new_state = call.state
        return self._run(call, x, mask, self.state)

    def _run(
        self, call: Forward, x: np.ndarray, mask: np.ndarray | None, before: np.ndarray
    ) -> np.ndarray:
        np.copyto(call.inputs, x)
        if mask is not None:
            np.copyto(call.mask, mask)
        call()
        if mask is not None and self._repeats:
            # A chunk's first frames may be masked: they repeat the output before it.
            unseen = ~np.logical_or.accumulate(mask, axis=1)
            rows, frames = unseen.nonzero()
            call.outputs[rows, frames] = before[rows]
        return call.outputs

    def _run_in_pieces(self, x: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
        """Gives the numbers of a single call; these arrays are not kept."""
        batch, timesteps, _ = x.shape
        masked = mask is not None
        state = self.state.copy()
        call = Forward(self._weights, state, self._most, masked, self._sequences)
        outputs = state
        if self._sequences:
            outputs = np.empty((batch, timesteps, self._weights.units), np.float32)
        for start in range(0, timesteps, self._most):
            piece = np.s_[:, start : start + self._most]
            left = timesteps - start
            if left < self._most:
                call = Forward(self._weights, state, left, masked, self._sequences)
            y = self._run(call, x[piece], mask[piece] if masked else None, state)
            if self._sequences:
                outputs[piece] = y
            np.copyto(state, call.state)
        self.new_state = state
        return outputs
