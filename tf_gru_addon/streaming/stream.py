"""A causal model run on frames as they come, with little delay."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from tf_gru_addon import arguments
from tf_gru_addon.streaming.runners import (
    NumpyRunner,
    TensorFlowRunner,
    why_not_numpy,
)
from tf_gru_addon.streaming.streaming_model import StreamingModel

_streams: weakref.WeakSet[Stream] = weakref.WeakSet()


def _renew_locks() -> None:
    for stream in _streams:
        stream._lock = threading.Lock()


# The thread that holds a lock at a fork does not exist in the child.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)


class Stream:
    """A model that is given its sequences frame by frame, or in chunks of any length.

    For x cut into chunks x1, x2, ... along time, the outputs of `push(x1)`,
    `push(x2)`, ... joined along time are `model(x)`. A model that gives one output a
    sequence (its last GRU is without `return_sequences`) gives that for the frames so
    far at every push.

    GRUs run on the native engine and the usual other layers in NumPy, without a call
    into TensorFlow: a frame through a GRU of 128 units and a Dense layer takes some 10
    microseconds, where a `tf.function` takes 300. Which layers TensorFlow runs all the
    same is in `called`, and `why_called` says why, if it runs them all: a dtype other
    than float32, an activation that the native engine lacks, or no native engine.

    Weights are copied when a stream is made; `refresh()` copies them anew. Threads may
    share a stream: a push waits for the one before it. Rows are independent of each
    other: a batch of sessions is a stream with a row for each.

    A push that is interrupted (Ctrl-C) or fails leaves the states as they were. A
    forked child has copies of the streams. Call `reset` there, or set `state`, if
    another thread may have been inside `push` when the process was forked: some of the
    states may be those before that push, and others those after it.

    Args:
        model: A built Sequential or functional model of one input whose layers are
            causal, as `tf_gru_addon.streaming.StreamingModel` has it.
        batch_size: The number of rows.

    Attributes:
        batch_size: The number of rows.
        called: The names of the layers that TensorFlow runs.
        why_called: Why it runs the whole model, or None.

    Raises:
        ExportError: A layer is not causal; the message names it and says why.
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
        causal = self._model.causal
        layers = [step.layer.name for step in causal.steps]
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
            frames: Numbers, (batch, n, features), or as the model's input has it; any
                number n of frames, 1 or 0 too.
            mask: None, or booleans (batch, n), as of `model(x, mask=mask)`: False where
                a row has no frame; GRUs carry its state on and repeat its output.

        Returns:
            The output, (batch, n, ...), or (batch, ...) without a time axis; a list
            where the model has several.

        Raises:
            ValueError: A shape or a dtype does not fit. The states are as they were.
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
                f"frames must have the shape ({expected}), n of them for each of "
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
        """Begins new sequences.

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
    def state(self) -> dict[str, np.ndarray]:
        """A copy of the states, by name: (batch, ...) each; zeros where none ran yet.

        Set it to go on from states kept before, also on another machine. A state is
        taken for one that frames have led to.
        """
        with self._lock:
            return {name: s.copy() for name, s in self._runner.states.items()}

    @state.setter
    def state(self, state: Mapping[str, Any]) -> None:
        """Goes on from states kept before."""
        with self._lock:
            ours = self._runner.states
            if not isinstance(state, Mapping) or set(state) != set(ours):
                names = sorted(state) if isinstance(state, Mapping) else state
                raise ValueError(
                    f"state must be a dict of {sorted(ours)}, as the property gives "
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
        """Takes the model's weights as they are now; the states stay."""
        state = self.state
        with self._lock:
            self._build()
        self.state = state

    def _build(self) -> None:
        causal = self._model.causal
        self.why_called = why_not_numpy(causal)
        if self.why_called is None:
            self._runner = NumpyRunner(causal, self.batch_size)
        else:
            self._runner = TensorFlowRunner(self._model, self.batch_size)
        self.called = self._runner.called
