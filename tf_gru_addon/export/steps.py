"""One step of a causal model, as a function and as a Keras model."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tf_gru_addon.export.target import StepOptions
from tf_gru_addon.ops.engines import use_engine
from tf_gru_addon.streaming.steps import GruStep
from tf_gru_addon.streaming.streaming_model import StreamingModel

#: The prefix of the names of the new states in a `step_model`.
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
    def step(
        frames: tf.Tensor, mask: tf.Tensor | None = None, **states: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        with use_engine("portable"):
            outputs, new = streaming.causal.run(tf.identity(frames), states, mask)
        named = dict(zip(names, outputs, strict=True)) | new
        return {name: tf.identity(y) for name, y in named.items()}

    arguments = {"mask": mask[0]} if mask else {}
    return step.get_concrete_function(frames=frames, **arguments, **states)


class _StepLayer(keras.layers.Layer):
    """A step as a layer whose GRUs an export can find."""

    def __init__(self, streaming: StreamingModel, masked: bool) -> None:
        super().__init__(name="step", dtype="float32", autocast=False)
        self._causal, self._masked = streaming.causal, masked
        self.layers: list[keras.layers.Layer] = []
        for step in self._causal.steps:
            self.layers += step.runs if isinstance(step, GruStep) else [step.layer]

    def call(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        """Runs a step on the frames, the mask if there is one, and the states."""
        frames, *rest = tensors
        mask = rest.pop(0) if self._masked else None
        states = dict(zip(self._causal.states, rest, strict=True))
        outputs, new = self._causal.run(tf.identity(frames), states, mask)
        return [*outputs, *(new[name] for name in states)]


def step_model(streaming: StreamingModel, options: StepOptions) -> keras.Model:
    """Returns a step as a model of the frames, the mask and the states.

    In ONNX an output cannot have the name of an input, so the names of the new states
    have the prefix `NEXT`.
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
