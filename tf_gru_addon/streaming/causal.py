"""Reading a model as steps that look at no later frame, or saying which layer does.

A layer is *causal* where its output at a frame depends on that frame and those before
it. What the frames so far have led to, the output of a GRU without `return_sequences`,
has no time axis any more: there every layer is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from tf_gru_addon._compat import LayerCall, layer_calls, set_mask
from tf_gru_addon.errors import ExportError
from tf_gru_addon.flat_model import flat_model
from tf_gru_addon.layers import keras2_masks
from tf_gru_addon.layers.gru import GRU
from tf_gru_addon.layers.gru_cell import GRUCell
from tf_gru_addon.streaming.causal_layers import (
    FRAMEWISE,
    check_axes,
    check_operation,
    reason_against,
    refusal,
)
from tf_gru_addon.streaming.steps import (
    ConvStep,
    FrameStep,
    GruStep,
    LayerStep,
    Slot,
    State,
    States,
    Step,
)


@dataclass(frozen=True)
class CausalModel:
    """A model as steps.

    Attributes:
        name: The model's.
        steps: The steps, in the order to run them.
        frames: The model's input: its shape, (batch, frames, ...), and dtype.
        outputs: Where the outputs stand, in the order of `model.outputs`.
        slots: How many slots there are; the first is the input's.
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

    def run(self, frames: Any, states: States, mask: Any = None) -> tuple[list, States]:
        """Returns the outputs for a chunk of frames, and the states after it.

        Args:
            frames: A tensor (batch, frames, ...).
            states: A tensor for each of `states`.
            mask: None, or booleans (batch, frames).
        """
        values = [None] * self.slots
        values[0] = frames
        if mask is not None:
            set_mask(frames, mask)
        new = {}
        for step in self.steps:
            new.update(step.run(values, states))
        return [values[slot.index] for slot in self.outputs], new


def read(model: keras.Model) -> CausalModel:
    """Returns a model as steps.

    Args:
        model: A built Sequential or functional model of one input.

    Raises:
        ExportError: It is no such model, or a layer of it is not causal; the message
            names the layer, and says why.
    """
    flat = flat_model(model)
    if len(flat.inputs) != 1:
        raise ExportError(
            f"{model.name}: frames stream in through one input, and the model has "
            f"{len(flat.inputs)}: {', '.join(x.name for x in flat.inputs)}. "
            "Concatenate them outside of the model."
        )
    (frames,) = flat.inputs
    if len(frames.shape) < 2 or None in frames.shape[2:]:
        raise ExportError(
            f"{model.name}: frames must have the shape (batch, frames, features), the "
            f"features known; the model's input has {tuple(frames.shape)}."
        )
    reader = _Reader()
    outputs = reader.model(flat, [reader.slot(True, len(frames.shape))])
    return CausalModel(
        model.name, tuple(reader.steps), frames, tuple(outputs), reader.count
    )


class _Reader:
    """Turns the calls of a model, and of the models inside it, into steps."""

    def __init__(self):
        self.steps: list[Step] = []
        self.count = 0
        self._names: set[str] = set()

    def slot(self, sequence: bool, rank: int) -> Slot:
        self.count += 1
        return Slot(self.count - 1, sequence, rank)

    def model(self, model: keras.Model, inputs: list[Slot]) -> list[Slot]:
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
            raise refusal(layer, "it is called with training=True")
        if not any(slot.sequence for slot in inputs):
            return self._as_it_is(call, args, kwargs, sequence=False)
        kind, is_layer = type(layer), isinstance(layer, keras.Layer)
        rest = keras.tree.flatten((args[1:], kwargs))
        if is_layer and any(each is not None for each in rest):
            raise refusal(layer, "it is called with an initial state or a mask")
        if not all(slot.sequence for slot in inputs):
            raise refusal(
                layer,
                "it puts what all timesteps have led to beside single timesteps",
            )
        if not is_layer:
            check_operation(layer, args, kwargs)
            return self._as_it_is(call, args, kwargs, sequence=True)
        if isinstance(layer, keras.Model) and hasattr(layer, "inputs"):
            return self.model(layer, inputs)
        if kind in FRAMEWISE:
            check_axes(layer, inputs)
            return self._as_it_is(call, args, {}, sequence=True)
        if builder := _BUILDERS.get(kind):
            return builder(self, layer, inputs[0], call)
        raise refusal(layer, reason_against(kind))

    def _as_it_is(self, call, args, kwargs, sequence) -> list[Slot]:
        outputs = [self.slot(sequence, len(x.shape)) for x in call.outputs]
        self.steps.append(LayerStep(call.layer, args, kwargs, tuple(outputs)))
        return outputs

    def time_distributed(self, layer, x: Slot, call: LayerCall) -> list[Slot]:
        output = self.slot(True, len(call.outputs[0].shape))
        self.steps.append(FrameStep(layer, (x,), (output,)))
        return [output]

    def conv(self, layer, x: Slot, call: LayerCall) -> list[Slot]:
        (size,), (dilation,), (stride,) = (
            layer.kernel_size,
            layer.dilation_rate,
            layer.strides,
        )
        if stride != 1:
            raise refusal(layer, f"strides={stride} changes the number of timesteps")
        if size > 1 and layer.padding != "causal":
            raise refusal(
                layer,
                f'padding="{layer.padding}" looks at later timesteps or drops some; '
                'padding="causal" does not',
            )
        if layer.data_format != "channels_last":
            raise refusal(layer, 'data_format="channels_first" moves the time axis')
        output = self.slot(True, 3)
        states = ()
        if size > 1:
            shape = (dilation * (size - 1), call.args[0].shape[-1])
            states = (self._state(layer, "frames", shape, layer.compute_dtype),)
        self.steps.append(ConvStep(layer, (x,), (output,), states))
        return [output]

    def gru(self, layer, x: Slot, call: LayerCall) -> list[Slot]:
        cell = layer.cell
        cells = getattr(cell, "cells", [cell])
        unknown = [c for c in cells if type(c) not in (GRUCell, keras.layers.GRUCell)]
        if unknown:
            raise refusal(
                layer, f"its cell is no GRUCell, but a {type(unknown[0]).__name__}"
            )
        if layer.go_backwards:
            raise refusal(layer, "go_backwards=True starts at the end of the sequence")
        output = self.slot(layer.return_sequences, len(call.outputs[0].shape))
        lasts = [self.slot(False, 2) for _ in call.outputs[1:]]
        dtype = layer.compute_dtype
        states = [self._state(layer, "state", (c.units,), dtype) for c in cells]
        if layer.zero_output_for_mask and not layer.return_sequences:
            states.append(self._state(layer, "output", (cells[-1].units,), dtype))
        outputs = (output, *lasts)
        runs = tuple(_whole(cell, layer) for cell in cells)
        self.steps.append(GruStep(layer, runs, (x,), outputs, tuple(states)))
        return list(outputs)

    def _state(self, layer, what: str, shape: tuple[int, ...], dtype: str) -> State:
        """A state with a name that no other has."""
        stem = re.sub(r"\W", "_", layer.name)
        name, number = f"{stem}_{what}", 1
        while name in self._names:
            name, number = f"{stem}_{number}_{what}", number + 1
        self._names.add(name)
        return State(name, shape, dtype)


def _whole(cell: Any, layer: keras.layers.RNN) -> GRU:
    """Returns a `GRU` with a cell's weights that gives outputs and state.

    It has none of the objects that matter in training alone, and takes the activations
    as they are: a config would lose what is not registered.
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
    for name in ("kernel", "recurrent_kernel", "bias"):
        setattr(gru.cell, name, getattr(cell, name))
    gru.cell.built = True
    return gru


_BUILDERS: dict[type, Callable] = {
    GRU: _Reader.gru,
    keras.layers.GRU: _Reader.gru,
    keras.layers.RNN: _Reader.gru,
    keras.layers.Conv1D: _Reader.conv,
    keras.layers.TimeDistributed: _Reader.time_distributed,
    keras2_masks.TimeDistributed: _Reader.time_distributed,
}
