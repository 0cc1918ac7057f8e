"""The two ways in which a `Stream` runs a causal model, each with states of its own.

`NumpyRunner` calls the native engine and NumPy, layer by layer, and `TensorFlowRunner`
the step of a `StreamingModel`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tf_gru_addon import native
from tf_gru_addon.export.causal import CausalModel
from tf_gru_addon.export.causal_steps import FrameStep, GruStep
from tf_gru_addon.export.stream_parts import Arrays, Called, part
from tf_gru_addon.export.streaming import StreamingModel
from tf_gru_addon.ops.native import has_activation


def why_not_numpy(causal: CausalModel) -> str | None:
    """Returns why `NumpyRunner` cannot run a model, or None if it can.

    Args:
        causal: The model.
    """
    for step in causal.steps:
        layer = step.layer
        inner = layer.layer if isinstance(step, FrameStep) else layer
        dtype = getattr(inner, "compute_dtype", "float32")
        if dtype != "float32":
            return f"{layer.name} computes in {dtype}"
        if not isinstance(step, GruStep):
            continue
        if not native.status().available:
            return native.status().reason
        for gru in step.runs:
            for function in (gru.activation, gru.recurrent_activation):
                if not has_activation(function):
                    name = getattr(function, "__name__", type(function).__name__)
                    return f"{layer.name}: the native engine lacks {name}"
    return None


class TensorFlowRunner:
    """Runs a model by one call of a `tf.function` a chunk.

    Args:
        model: The model.
        batch: The number of rows.

    Attributes:
        states: The states, by name.
        called: The names of all layers that TensorFlow runs.
    """

    def __init__(self, model: StreamingModel, batch: int):
        self._model = model
        self.states: Arrays = {
            name: np.array(value) for name, value in model.initial_states(batch).items()
        }
        self.called = tuple(step.layer.name for step in model.causal.steps)

    def run(self, frames: np.ndarray, mask: np.ndarray | None) -> list[np.ndarray]:
        """Runs a chunk; returns the outputs."""
        outputs, states = self._model.step(frames, self.states, mask)
        self.states = {name: np.array(value) for name, value in states.items()}
        return [y.numpy() for y in tf.nest.flatten(outputs)]


class NumpyRunner:
    """Runs a model layer by layer, on arrays.

    Args:
        causal: The model; `why_not_numpy` has no reason against it.
        batch: The number of rows.

    Attributes:
        states: The states, by name. What is written into the arrays holds.
        called: The names of the layers that TensorFlow runs, called as they are.
    """

    def __init__(self, causal: CausalModel, batch: int):
        self._slots = causal.slots
        self._outputs = [slot.index for slot in causal.outputs]
        self._parts = [part(step, batch) for step in causal.steps]
        self._stateful = [each for each in self._parts if each.states]
        self._silent = all(each.silent for each in self._parts)
        self.states: Arrays = {}
        for each in self._stateful:
            self.states.update(each.states)
        self.called = tuple(
            each.layer_name for each in self._parts if type(each) is Called
        )

    def run(self, frames: np.ndarray, mask: np.ndarray | None) -> list[np.ndarray]:
        """Runs a chunk; returns the outputs, which the next call may write over."""
        values: list[Any] = [None] * self._slots
        masks: list[Any] = [None] * self._slots
        values[0], masks[0] = frames, mask
        if self._silent:
            for each in self._parts:
                each.run(values, masks)
        else:
            with np.errstate(all="ignore"):  # a microsecond
                for each in self._parts:
                    each.run(values, masks)
        # All went well: a chunk that fails leaves every state as it was.
        for each in self._stateful:
            each.commit()
        return [values[index] for index in self._outputs]
