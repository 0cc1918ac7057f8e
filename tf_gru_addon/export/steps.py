"""The step of a causal model as a function and as a model, for the targets."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tf_gru_addon.export.target import StepOptions
from tf_gru_addon.ops.engines import use_engine
from tf_gru_addon.streaming.steps import GruStep
from tf_gru_addon.streaming.streaming_model import StreamingModel

#: Begins the name of a new state in a `step_model`.
NEXT = "next_"
_OUTPUT = "output"


def output_names(streaming: StreamingModel) -> list[str]:
    """Returns the names of a step's outputs, without the states."""
    count = len(streaming.causal.outputs)
    return [_OUTPUT] if count == 1 else [f"{_OUTPUT}_{i}" for i in range(count)]


def step_function(streaming: StreamingModel, options: StepOptions) -> Any:
    """Returns a step as a concrete function of named tensors."""
    frames, states, *mask = streaming.signature(
        options.masked, options.batch_size, options.frames
    )
    names = output_names(streaming)

    @tf.function(autograph=False)
    def step(frames, mask=None, **states):
        with use_engine("portable"):
            outputs, new = streaming.causal.run(tf.identity(frames), states, mask)
        named = dict(zip(names, outputs, strict=True)) | new
        return {name: tf.identity(y) for name, y in named.items()}

    arguments = {"mask": mask[0]} if mask else {}
    return step.get_concrete_function(frames=frames, **arguments, **states)


class _StepLayer(keras.layers.Layer):
    """A step as a layer, in which an export finds the GRUs."""

    def __init__(self, streaming: StreamingModel, masked: bool):
        super().__init__(name="step", dtype="float32", autocast=False)
        self._causal, self._masked = streaming.causal, masked
        self.layers = []
        for step in self._causal.steps:
            self.layers += step.runs if isinstance(step, GruStep) else [step.layer]

    def call(self, tensors):
        """Runs the frames, the mask if there is one, and the states."""
        frames, *states = tensors
        mask = states.pop(0) if self._masked else None
        states = dict(zip(self._causal.states, states, strict=True))
        outputs, new = self._causal.run(tf.identity(frames), states, mask)
        return [*outputs, *(new[name] for name in states)]


def step_model(streaming: StreamingModel, options: StepOptions) -> keras.Model:
    """Returns a step as a model of the frames, the mask and the states.

    ONNX allows no output to have the name of an input, so the name of a new state
    begins with `NEXT`.
    """
    frames, states, *mask = streaming.signature(
        options.masked, options.batch_size, options.frames
    )
    inputs = [
        keras.Input(batch_shape=spec.shape, dtype=spec.dtype.name, name=spec.name)
        for spec in (frames, *mask, *states.values())
    ]
    names = [*output_names(streaming), *(NEXT + name for name in states)]
    results = _StepLayer(streaming, options.masked)(inputs)
    outputs = [
        keras.layers.Identity(name=name, dtype=y.dtype)(y)
        for name, y in zip(names, results, strict=True)
    ]
    return keras.Model(inputs, outputs, name=streaming.model.name)
