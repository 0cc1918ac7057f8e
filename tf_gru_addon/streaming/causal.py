"""Reads a model as steps that need no later frame, or names the layer that does.

A layer is *causal* if its output at a frame depends on that frame and earlier ones
only. The output of a GRU without `return_sequences` summarises the frames so far and
has no time axis: any layer may follow it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from tf_gru_addon._compat import LayerCall, layer_calls
from tf_gru_addon.errors import ExportError
from tf_gru_addon.flat_model import flat_model
from tf_gru_addon.layers import keras2_masks
from tf_gru_addon.layers.gru import GRU
from tf_gru_addon.layers.gru_cell import GRUCell
from tf_gru_addon.streaming.steps import (
    CausalModel,
    ConvStep,
    FrameStep,
    GruStep,
    LayerStep,
    Slot,
    State,
    Step,
)

_FRAMEWISE_NAMES = """
Activation ActivityRegularization Add AlphaDropout Average BatchNormalization
Concatenate Dense Dropout ELU Embedding GaussianDropout GaussianNoise Identity
LayerNormalization LeakyReLU Masking Maximum Minimum Multiply Normalization PReLU
RMSNormalization ReLU Rescaling Softmax SpatialDropout1D Subtract UnitNormalization
"""
#: Layers that treat each frame alone, unless `_check_axes` refuses their axes. Names
#: that this Keras lacks are skipped. Models converted from Keras 2 hold subclasses.
_FRAMEWISE = {
    getattr(module, name)
    for module in (keras.layers, keras2_masks)
    for name in _FRAMEWISE_NAMES.split()
    if hasattr(module, name)
}

#: Operations of `keras.ops` that work on single numbers.
_ELEMENTWISE = """
Abs Absolute Add Clip Divide Elu Exp Gelu Log Maximum Minimum Multiply Negative Relu
Sigmoid Silu Sqrt Square Subtract Tanh TrueDivide
"""

_POOLS = "it reduces all timesteps to one"
_RESAMPLES = "it changes the number of timesteps"
_MOVES = "it moves the time axis"
_ATTENDS = "every timestep looks at all others"
_STATE = "its state is not supported; GRU is the only recurrent layer that is"

#: Why a layer cannot be streamed, by the name of its class.
_REASONS = {
    "Bidirectional": "it reads the sequence from its end too",
    "GlobalAveragePooling1D": _POOLS,
    "GlobalMaxPooling1D": _POOLS,
    "AveragePooling1D": _RESAMPLES,
    "MaxPooling1D": _RESAMPLES,
    "UpSampling1D": _RESAMPLES,
    "Cropping1D": _RESAMPLES,
    "ZeroPadding1D": _RESAMPLES,
    "Conv1DTranspose": _RESAMPLES,
    "Flatten": _MOVES,
    "Permute": _MOVES,
    "Reshape": _MOVES,
    "Attention": _ATTENDS,
    "AdditiveAttention": _ATTENDS,
    "MultiHeadAttention": _ATTENDS,
    "GroupQueryAttention": _ATTENDS,
    "GroupNormalization": "it computes statistics over time",
    "Dot": "it multiplies timesteps with each other",
    "LSTM": _STATE,
    "SimpleRNN": _STATE,
    "ConvLSTM1D": _STATE,
    "ConvLSTM2D": _STATE,
}


def read(model: keras.Model) -> CausalModel:
    """Returns a model as steps of its shadow; the model itself is only read.

    Args:
        model: A built Sequential or functional model with one input.

    Raises:
        ExportError: The model is of another kind, or one of its layers is not causal;
            the message names the layer and the reason.
    """
    flat = flat_model(model)
    if len(flat.inputs) != 1:
        raise ExportError(
            f"{model.name}: a model to stream must have one input, and this one has "
            f"{len(flat.inputs)}: {', '.join(x.name for x in flat.inputs)}. "
            "Concatenate them outside the model."
        )
    (frames,) = flat.inputs
    if len(frames.shape) < 2 or None in frames.shape[2:]:
        raise ExportError(
            f"{model.name}: frames must have the shape (batch, frames, features), with "
            f"a fixed number of features; the model's input has {tuple(frames.shape)}."
        )
    reader = _Reader()
    outputs = reader.model(flat, [reader.slot(True, len(frames.shape))])
    return CausalModel(
        model.name, tuple(reader.steps), frames, tuple(outputs), reader.slots
    )


class _Reader:
    """Turns the calls of a model, and of the models inside it, into steps."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.slots = 0
        self._state_names: set[str] = set()

    def slot(self, sequence: bool, rank: int) -> Slot:
        """Returns a new slot."""
        self.slots += 1
        return Slot(self.slots - 1, sequence, rank)

    def model(self, model: keras.Model, inputs: list[Slot]) -> list[Slot]:
        """Adds the steps of a model, and returns the slots of its outputs."""
        known = {id(x): slot for x, slot in zip(model.inputs, inputs, strict=True)}
        for call in layer_calls(model):
            slots = self._call(call, known)
            known.update(zip(map(id, call.outputs), slots, strict=True))
        return [known[id(x)] for x in model.outputs]

    def _call(self, call: LayerCall, known: dict[int, Slot]) -> list[Slot]:
        layer = call.layer
        args, kwargs = keras.tree.map_structure(
            lambda x: known[id(x)] if isinstance(x, keras.KerasTensor) else x,
            (tuple(call.args), dict(call.kwargs)),
        )
        flat = keras.tree.flatten((args, kwargs))
        inputs = [each for each in flat if isinstance(each, Slot)]
        if kwargs.pop("training", False):
            raise _refusal(layer, "it is called with training=True")
        if not any(slot.sequence for slot in inputs):
            return self._unchanged(call, args, kwargs)
        is_layer = isinstance(layer, keras.Layer)
        rest = keras.tree.flatten((args[1:], kwargs))
        if is_layer and any(each is not None for each in rest):
            raise _refusal(layer, "it is called with an initial state or a mask")
        if not all(slot.sequence for slot in inputs):
            raise _refusal(
                layer, "it combines single timesteps with a summary of all timesteps"
            )
        if not is_layer:
            _check_operation(layer, args, kwargs)
            return self._unchanged(call, args, kwargs)
        if isinstance(layer, keras.Model) and hasattr(layer, "inputs"):
            return self.model(layer, inputs)
        if type(layer) in _FRAMEWISE:
            _check_axes(layer, inputs)
            return self._unchanged(call, args, {})
        if builder := _BUILDERS.get(type(layer)):
            return builder(self, layer, inputs[0], call)
        kind = type(layer).__name__
        unknown = f"it is not known whether a {kind} looks at later timesteps"
        raise _refusal(layer, _REASONS.get(kind, unknown))

    def _unchanged(
        self, call: LayerCall, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> list[Slot]:
        flat = keras.tree.flatten((args, kwargs))
        inputs = tuple(each for each in flat if isinstance(each, Slot))
        sequence = any(slot.sequence for slot in inputs)
        outputs = [self.slot(sequence, len(x.shape)) for x in call.outputs]
        self.steps.append(
            LayerStep(
                layer=call.layer,
                inputs=inputs,
                outputs=tuple(outputs),
                args=args,
                kwargs=kwargs,
            )
        )
        return outputs

    def time_distributed(
        self, layer: keras.layers.TimeDistributed, x: Slot, call: LayerCall
    ) -> list[Slot]:
        """Adds the step of a `TimeDistributed` layer."""
        output = self.slot(True, len(call.outputs[0].shape))
        self.steps.append(FrameStep(layer=layer, inputs=(x,), outputs=(output,)))
        return [output]

    def conv(self, layer: keras.layers.Conv1D, x: Slot, call: LayerCall) -> list[Slot]:
        """Adds the step of a causal convolution."""
        (size,), (dilation,), (stride,) = (
            layer.kernel_size,
            layer.dilation_rate,
            layer.strides,
        )
        if stride != 1:
            raise _refusal(layer, f"strides={stride} changes the number of timesteps")
        if size > 1 and layer.padding != "causal":
            raise _refusal(
                layer,
                f'padding="{layer.padding}" looks at later timesteps or drops some; '
                'padding="causal" does not',
            )
        if layer.data_format != "channels_last":
            raise _refusal(layer, 'data_format="channels_first" moves the time axis')
        output = self.slot(True, 3)
        states: tuple[State, ...] = ()
        if size > 1:
            shape = (dilation * (size - 1), call.args[0].shape[-1])
            states = (self._state(layer, "frames", shape),)
        self.steps.append(
            ConvStep(layer=layer, inputs=(x,), outputs=(output,), states=states)
        )
        return [output]

    def gru(self, layer: keras.layers.RNN, x: Slot, call: LayerCall) -> list[Slot]:
        """Adds the step of a GRU layer."""
        cells = getattr(layer.cell, "cells", [layer.cell])
        for cell in cells:
            if type(cell) not in (GRUCell, keras.layers.GRUCell):
                raise _refusal(
                    layer, f"its cell is a {type(cell).__name__}, not a GRUCell"
                )
        if layer.go_backwards:
            raise _refusal(layer, "go_backwards=True starts at the end of the sequence")
        output = self.slot(layer.return_sequences, len(call.outputs[0].shape))
        outputs = [output, *(self.slot(False, 2) for _ in call.outputs[1:])]
        states = [self._state(layer, "state", (cell.units,)) for cell in cells]
        if layer.zero_output_for_mask and not layer.return_sequences:
            states.append(self._state(layer, "output", (cells[-1].units,)))
        self.steps.append(
            GruStep(
                layer=layer,
                inputs=(x,),
                outputs=tuple(outputs),
                states=tuple(states),
                runs=tuple(_sequence_gru(cell, layer) for cell in cells),
            )
        )
        return outputs

    def _state(self, layer: keras.Layer, what: str, shape: tuple[int, ...]) -> State:
        """Returns a state whose name no other state has."""
        stem = re.sub(r"\W", "_", layer.name)
        name, number = f"{stem}_{what}", 1
        while name in self._state_names:
            name, number = f"{stem}_{number}_{what}", number + 1
        self._state_names.add(name)
        return State(name, shape, layer.compute_dtype)


_BUILDERS: dict[type, Callable[[_Reader, Any, Slot, LayerCall], list[Slot]]] = {
    GRU: _Reader.gru,
    keras.layers.GRU: _Reader.gru,
    keras.layers.RNN: _Reader.gru,
    keras.layers.Conv1D: _Reader.conv,
    keras.layers.TimeDistributed: _Reader.time_distributed,
    keras2_masks.TimeDistributed: _Reader.time_distributed,
}


def _sequence_gru(cell: Any, layer: keras.layers.RNN) -> GRU:
    """Returns a new `GRU` that shares a cell's variables and returns its last state.

    It gets no dropout, regularizers or constraints, which matter in training only. The
    activations are passed as objects: a config would lose unregistered ones.
    """
    gru = GRU(
        cell.units,
        activation=cell.activation,
        recurrent_activation=cell.recurrent_activation,
        use_bias=cell.use_bias,
        reset_after=cell.reset_after,
        return_sequences=True,
        return_state=True,
        zero_output_for_mask=layer.zero_output_for_mask,
        dtype=cell.dtype_policy,
        name=layer.name,
    )
    ours = gru.cell
    ours.kernel, ours.recurrent_kernel = cell.kernel, cell.recurrent_kernel
    ours.bias = cell.bias
    ours.built = True
    return gru


def _check_operation(
    operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """Raises ExportError for an operation of `keras.ops` that is not elementwise.

    Args:
        operation: The operation; `x + y` is one.
        args: Its positional arguments, with a slot in place of each tensor.
        kwargs: Its keyword arguments, likewise.
    """
    rest = keras.tree.flatten((args, kwargs))
    numbers = all(isinstance(x, Slot) or np.ndim(x) == 0 for x in rest)
    if type(operation).__name__ not in _ELEMENTWISE.split() or not numbers:
        raise _refusal(
            operation,
            "only elementwise operations on tensors of the model and scalars can be",
        )


def _check_axes(layer: keras.Layer, inputs: list[Slot]) -> None:
    """Raises ExportError for a framewise layer whose axes mix timesteps.

    Args:
        layer: A layer of `_FRAMEWISE`.
        inputs: The slots of its inputs.
    """
    rank = max(slot.rank for slot in inputs)
    if min(slot.rank for slot in inputs) != rank:
        raise _refusal(layer, "its inputs have different numbers of axes")
    if rank < 3 and not isinstance(layer, keras.layers.Embedding):
        raise _refusal(
            layer,
            "its input is (batch, frames) without features; only an Embedding takes "
            "that",
        )
    if isinstance(layer, keras.layers.PReLU):
        if 1 not in (layer.shared_axes or ()):
            raise _refusal(layer, "it has a weight for each timestep (shared_axes)")
        return
    axes = getattr(layer, "axis", None)
    axes = axes if isinstance(axes, list | tuple) else [axes]
    if any(axis is not None and axis % rank < 2 for axis in axes):
        raise _refusal(layer, f"axis={layer.axis} combines timesteps")


def _refusal(layer: Any, reason: str) -> ExportError:
    """Returns the error that names a layer and says why it cannot be streamed."""
    return ExportError(
        f"{layer.name}: this {type(layer).__name__} cannot be streamed: {reason}. "
        "Remove it from the model; if it treats each timestep alone, wrap it in "
        "keras.layers.TimeDistributed."
    )
