"""A causal model run on frames as they arrive, with low latency."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from tf_gru_addon import arguments, native
from tf_gru_addon.ops.native import has_activation
from tf_gru_addon.streaming.stages import Arrays, stage_of
from tf_gru_addon.streaming.steps import CausalModel, FrameStep, GruStep
from tf_gru_addon.streaming.streaming_model import StreamingModel

_streams: weakref.WeakSet[Stream] = weakref.WeakSet()


def _renew_locks() -> None:
    for stream in _streams:
        stream._lock = threading.Lock()


# The thread that holds a lock at a fork does not exist in the child.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)


class Stream:
    """A model that receives its sequences frame by frame, or in chunks of any length.

    If x is cut into chunks x1, x2, ... along time, the outputs of `push(x1)`,
    `push(x2)`, ... concatenated along time are `model(x)`. A model that returns one
    output per sequence (its last GRU is without `return_sequences`) returns at every
    push the output for the frames so far.

    GRUs run on the native engine and the usual other layers in NumPy, without a call
    into TensorFlow: a frame through a GRU of 128 units and a Dense layer takes some 10
    microseconds, while a `tf.function` takes 300. `called` names the layers that
    TensorFlow still runs. If it runs all of them, `why_called` says why: a dtype other
    than float32, an activation that the native engine lacks, or no native engine.

    A stream copies the weights when it is made; `refresh()` copies them again. The
    model and its layers are not modified. Threads may share a stream: a push waits for
    the previous one. Rows are independent: to serve several sessions as a batch, give
    each its own row.

    A push that is interrupted (Ctrl-C) or fails leaves the states unchanged. A forked
    child has copies of the streams. If another thread may have been inside `push` at
    the fork, call `reset` in the child, or set `state`: some of the states may be from
    before that push, and others from after it.

    Args:
        model: A built Sequential or functional model with one input and causal layers,
            as for `tf_gru_addon.streaming.StreamingModel`.
        batch_size: The number of rows.

    Attributes:
        batch_size: The number of rows.
        called: The names of the layers that TensorFlow runs.
        why_called: Why TensorFlow runs the whole model, or None.

    Raises:
        ExportError: A layer is not causal; the message names the layer and the reason.
        ValueError: `batch_size` is not a positive integer.

    Example:
        >>> import keras
        >>> import numpy as np
        >>> import tf_gru_addon
        >>> model = keras.Sequential()
        >>> model.add(keras.Input((None, 3)))
        >>> model.add(tf_gru_addon.GRU(4, return_sequences=True))
        >>> model.add(keras.layers.Dense(2, activation="softmax"))
        >>> stream = tf_gru_addon.Stream(model)
        >>> x = np.ones([1, 10, 3], "float32")
        >>> outputs = [stream.push(x[:, t : t + 1]) for t in range(10)]
        >>> outputs[0].shape
        (1, 1, 2)
        >>> bool(np.allclose(np.concatenate(outputs, axis=1), model(x), atol=1e-6))
        True
    """

    def __init__(self, model: keras.Model, batch_size: int = 1):
        expected = "a positive integer"
        self.batch_size = arguments.integer("batch_size", batch_size, 1, expected)
        self._model = StreamingModel(model)
        frames = self._model.frames
        self._dtype = np.dtype(keras.backend.standardize_dtype(frames.dtype))
        self._frame_shape = tuple(frames.shape[2:])
        self._rank = len(frames.shape)
        self._lock = threading.Lock()
        _streams.add(self)
        self._build()

    def __repr__(self) -> str:
        layers = [step.layer.name for step in self._model.causal.steps]
        runs = "native engine and NumPy"
        if self.why_called is not None:
            runs = f"TensorFlow: {self.why_called}"
        elif self.called:
            runs += f", TensorFlow for {', '.join(self.called)}"
        return (
            f"Stream(model={self._model.model.name!r}, batch_size={self.batch_size}, "
            f"layers={layers}, runs={runs!r})"
        )

    def push(self, frames: Any, mask: Any = None) -> np.ndarray | list[np.ndarray]:
        """Runs the next frames of each row.

        Args:
            frames: Numbers, (batch, n, features), or in the shape of the model's input;
                any number n of frames, including 0.
            mask: None, or booleans (batch, n), as for `model(x, mask=mask)`: False
                where a row has no frame; its state stays and its output repeats.

        Returns:
            The output, (batch, n, ...), or (batch, ...) without a time axis; a list if
            the model has several.

        Raises:
            ValueError: A shape or dtype is wrong. The states are unchanged.
        """
        if type(frames) is not np.ndarray or frames.dtype != self._dtype:
            frames = arguments.array("frames", frames, self._dtype)
        if (
            frames.ndim != self._rank
            or frames.shape[0] != self.batch_size
            or frames.shape[2:] != self._frame_shape
        ):
            expected = ", ".join(map(str, (self.batch_size, "n", *self._frame_shape)))
            raise ValueError(
                f"frames must have the shape ({expected}), with n frames for each of "
                f"{self.batch_size} rows; received {frames.shape}."
            )
        if mask is not None:
            mask = arguments.array("mask", mask, bool)
            if mask.shape != frames.shape[:2]:
                raise ValueError(
                    f"mask must have the shape (batch, n), here {frames.shape[:2]}; "
                    f"received {mask.shape}."
                )
            if mask.all():
                mask = None
        with self._lock:
            outputs = [y.copy() for y in self._runner.run(frames, mask)]
        return outputs[0] if len(outputs) == 1 else outputs

    def reset(self, rows: Any = None) -> None:
        """Starts new sequences.

        Args:
            rows: None for all rows, or booleans (batch,), or the indices of rows.

        Raises:
            ValueError: There is no such row.
        """
        every = np.arange(self.batch_size)
        try:
            indices = every if rows is None else np.atleast_1d(np.asarray(rows))
        except ValueError:  # lists of different lengths
            indices = np.array([None])
        if indices.dtype == bool and indices.shape == every.shape:
            indices = np.flatnonzero(indices)
        if indices.size == 0:
            return
        if indices.dtype.kind not in "iu" or not np.isin(indices, every).all():
            raise ValueError(
                f"rows must be {self.batch_size} booleans, or indices from 0 to "
                f"{self.batch_size - 1}; received: {rows!r}."
            )
        with self._lock:
            for state in self._runner.states.values():
                state[indices] = 0

    @property
    def state(self) -> Arrays:
        """A copy of the states by name, (batch, ...) each; zeros before any frame.

        Set it to continue from saved states, also on another machine. A state that is
        set counts as the result of earlier frames.
        """
        with self._lock:
            return {name: s.copy() for name, s in self._runner.states.items()}

    @state.setter
    def state(self, state: Mapping[str, Any]) -> None:
        """Continues from saved states."""
        with self._lock:
            ours = self._runner.states
            if not isinstance(state, Mapping) or set(state) != set(ours):
                names = sorted(state) if isinstance(state, Mapping) else state
                raise ValueError(
                    f"state must be a dict of {sorted(ours)}, as the property returns "
                    f"it; received: {names!r}."
                )
            new = {}
            for name, array in ours.items():
                new[name] = arguments.array(f"state {name!r}", state[name], array.dtype)
                if new[name].shape != array.shape:
                    raise ValueError(
                        f"the state {name!r} must have the shape {array.shape}; "
                        f"received {new[name].shape}."
                    )
            for name, array in ours.items():
                array[...] = new[name]

    def refresh(self) -> None:
        """Copies the model's weights again; the states are kept."""
        state = self.state
        with self._lock:
            self._build()
        self.state = state

    def _build(self) -> None:
        self.why_called = _why_not_numpy(self._model.causal)
        self._runner: NumpyRunner | _TensorFlowRunner
        if self.why_called is None:
            self._runner = NumpyRunner(self._model.causal, self.batch_size)
        else:
            self._runner = _TensorFlowRunner(self._model, self.batch_size)
        self.called = self._runner.called


class NumpyRunner:
    """Runs a model stage by stage, on arrays.

    Args:
        causal: A model that computes in float32 and whose GRUs the native engine runs.
        batch: The number of rows.
        piece: The timesteps of a piece of a long chunk; None chooses by the sizes.

    Attributes:
        stages: What runs the steps.
        states: The states by name. Write into these arrays to change them.
        called: The names of the layers that TensorFlow runs.
    """

    def __init__(self, causal: CausalModel, batch: int, piece: int | None = None):
        self.stages = [stage_of(step, batch, piece) for step in causal.steps]
        self.states: Arrays = {}
        for stage in self.stages:
            self.states.update(stage.states)
        self.called = tuple(
            stage.step.layer.name for stage in self.stages if stage.in_tensorflow
        )
        self._slots = causal.slots
        self._outputs = [slot.index for slot in causal.outputs]
        self._stateful = [stage for stage in self.stages if stage.states]
        self._silent = all(stage.silent for stage in self.stages)

    def run(self, frames: np.ndarray, mask: np.ndarray | None) -> list[np.ndarray]:
        """Runs a chunk, and returns the outputs, which the next call may overwrite."""
        values: list[Any] = [None] * self._slots
        masks: list[Any] = [None] * self._slots
        values[0], masks[0] = frames, mask
        if self._silent:
            for stage in self.stages:
                stage.run(values, masks)
        else:
            with np.errstate(all="ignore"):  # takes a microsecond
                for stage in self.stages:
                    stage.run(values, masks)
        # No stage failed. A chunk that fails leaves all states unchanged.
        for stage in self._stateful:
            stage.commit()
        return [values[index] for index in self._outputs]


class _TensorFlowRunner:
    """Runs a model with one call of a `tf.function` per chunk."""

    def __init__(self, model: StreamingModel, batch: int):
        self._model = model
        self.states: Arrays = {
            name: np.array(value) for name, value in model.initial_states(batch).items()
        }
        self.called = tuple(step.layer.name for step in model.causal.steps)

    def run(self, frames: np.ndarray, mask: np.ndarray | None) -> list[np.ndarray]:
        outputs, states = self._model.step(frames, self.states, mask)
        self.states = {name: np.array(value) for name, value in states.items()}
        return [y.numpy() for y in keras.tree.flatten(outputs)]


def _why_not_numpy(causal: CausalModel) -> str | None:
    """Returns why `NumpyRunner` cannot run a model, or None if it can."""
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
