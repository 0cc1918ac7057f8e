"""A causal model as a step with explicit states, in TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_gru_addon import arguments
from tf_gru_addon.ops.engines import use_engine
from tf_gru_addon.streaming import causal
from tf_gru_addon.streaming.steps import States


class StreamingModel:
    """A model that runs on chunks of its sequences; the caller keeps its states.

    Use it for sequences that never end or whose next frame has not arrived. However x
    is cut into chunks, with `s0 = initial_states(batch)`,

        y1, s1 = step(x1, s0);  y2, s2 = step(x2, s1);  ...

    and y1, y2, ... concatenated along time is `model(x)`. If the model returns one
    output per sequence (its last GRU is without `return_sequences`), a step returns the
    output for the frames so far. A step reads the model's variables when it runs, so
    further training takes effect. `tf_gru_addon.Stream` does the same within one
    process with lower latency; `export_streaming` writes the step to a file.

    The layers must be causal: `GRU` and `RNN` with GRU cells, of this package and of
    Keras; causal `Conv1D`; `TimeDistributed` with any layer; `Dense`, `Embedding`,
    `Masking`, activations, dropout (inactive here), normalization over features,
    merging layers, and models of these. Any layer may follow a GRU without
    `return_sequences`.

    Args:
        model: A built Sequential or functional model with one input, (batch, time,
            ...). The model and its layers are not modified.

    Attributes:
        model: The model.
        states: The shape, without the batch axis, and dtype of each state, by name.
        frames: The model's input: its shape, (batch, time, ...), and dtype.
        causal: The model as steps.

    Raises:
        ExportError: A layer is not causal (`Bidirectional`, `go_backwards`, pooling
            over time, attention, ...); the message names the layer and the reason.

    Example:
        >>> import keras
        >>> import numpy as np
        >>> from tf_gru_addon import GRU
        >>> from tf_gru_addon.streaming import StreamingModel
        >>> model = keras.Sequential()
        >>> model.add(keras.Input((None, 3)))
        >>> model.add(GRU(4, return_sequences=True, name="gru"))
        >>> streaming = StreamingModel(model)
        >>> streaming.states
        {'gru_state': State(name='gru_state', shape=(4,), dtype='float32')}
        >>> x = np.ones([2, 10, 3], "float32")
        >>> first, states = streaming.step(x[:, :6], streaming.initial_states(2))
        >>> rest, states = streaming.step(x[:, 6:], states)
        >>> y = np.concatenate([first, rest], axis=1)
        >>> bool(np.allclose(y, model(x), atol=1e-6))
        True
    """

    def __init__(self, model: keras.Model):
        self.causal = causal.read(model)
        self.model = model
        self.states = self.causal.states
        self.frames = self.causal.frames
        self._functions: dict[bool, Callable[..., tuple[Any, States]]] = {
            masked: tf.function(self._run, input_signature=self.signature(masked))
            for masked in (False, True)
        }

    def initial_states(self, batch_size: int | tf.Tensor) -> States:
        """Returns the states at the start of a sequence: zeros, (batch, ...) each.

        Args:
            batch_size: The number of rows, that is, of independent sequences.
        """
        if not tf.is_tensor(batch_size):
            batch_size = arguments.integer("batch_size", batch_size, 0)
        return {
            name: tf.zeros([batch_size, *state.shape], state.dtype)
            for name, state in self.states.items()
        }

    def step(
        self, frames: Any, states: Mapping[str, Any], mask: Any = None
    ) -> tuple[Any, States]:
        """Runs the next frames of each row.

        Args:
            frames: (batch, n, ...), with any number n of frames, including 0.
            states: What `initial_states` or the previous step returned.
            mask: None, or booleans (batch, n), False where a row has no frame: its
                states stay, and its output repeats, or is 0 with
                `zero_output_for_mask`.

        Returns:
            The output, (batch, n, ...), or (batch, ...) without a time axis; a list if
            the model has several. And the new states.

        Raises:
            ValueError: The shape, dtype or name of an argument or state is wrong.
        """
        name = self.model.name
        frames = _tensor("frames", frames, self.frames.dtype)
        expected = [None, None, *self.frames.shape[2:]]
        if not frames.shape.is_compatible_with(expected):
            raise ValueError(
                f"frames of {name} must have the shape (batch, n, features), here "
                f"{tuple(expected)}; received {tuple(frames.shape)}."
            )
        states = self._checked(states, frames.shape[0])
        if mask is None:
            return self._functions[False](frames, states)
        mask = _tensor("mask", mask, "bool")
        if not mask.shape.is_compatible_with(frames.shape[:2]):
            raise ValueError(
                f"mask of {name} must have the shape (batch, n), here "
                f"{tuple(frames.shape[:2])}; received {tuple(mask.shape)}."
            )
        return self._functions[True](frames, states, mask)

    def reset(self, states: Mapping[str, Any], rows: Any) -> States:
        """Returns the states with those of some rows set to zeros.

        Args:
            states: The states.
            rows: Booleans (batch,), True for the rows where a new sequence starts.
        """
        rows = _tensor("rows", rows, "bool")

        def reset(value: Any) -> tf.Tensor:
            value = tf.convert_to_tensor(value)
            where = tf.reshape(rows, [-1] + [1] * (value.shape.rank - 1))
            return tf.where(where, tf.zeros_like(value), value)

        return {name: reset(value) for name, value in states.items()}

    def signature(
        self,
        masked: bool = False,
        batch_size: int | None = None,
        frames: int | None = None,
    ) -> list[Any]:
        """Returns the `tf.TensorSpec`s of a step's arguments: frames, states, mask.

        Args:
            masked: Whether there is a mask.
            batch_size: The number of rows; None for any number.
            frames: The number of frames; None for any number.
        """
        x = self.frames
        specs = [
            tf.TensorSpec([batch_size, frames, *x.shape[2:]], x.dtype, "frames"),
            {
                name: tf.TensorSpec([batch_size, *state.shape], state.dtype, name)
                for name, state in self.states.items()
            },
        ]
        if masked:
            specs.append(tf.TensorSpec([batch_size, frames], tf.bool, "mask"))
        return specs

    def _checked(self, states: Mapping[str, Any], batch: int | None) -> States:
        name = self.model.name
        if not isinstance(states, Mapping) or set(states) != set(self.states):
            received = sorted(states) if isinstance(states, Mapping) else states
            raise ValueError(
                f"states of {name} must be a dict of {sorted(self.states)}; received "
                f"{received!r}. Get the first one from initial_states(batch_size)."
            )
        checked = {}
        for key, (_, shape, dtype) in self.states.items():
            checked[key] = _tensor(f"the state {key!r}", states[key], dtype)
            if not checked[key].shape.is_compatible_with([batch, *shape]):
                raise ValueError(
                    f"the state {key!r} of {name} must have the shape "
                    f"{(batch, *shape)}, with as many rows as frames; received "
                    f"{tuple(checked[key].shape)}."
                )
        return checked

    def _run(
        self, frames: tf.Tensor, states: States, mask: tf.Tensor | None = None
    ) -> tuple[Any, States]:
        # Standard ops only: the caller may export a function that calls this one.
        with use_engine("portable"):
            outputs, states = self.causal.run(frames, states, mask)
        return (outputs[0] if len(outputs) == 1 else outputs), states


def _tensor(name: str, value: Any, dtype: str) -> tf.Tensor:
    """Returns a tensor of a dtype, or raises ValueError if numbers would be lost."""
    if not tf.is_tensor(value):
        return tf.constant(arguments.array(name, value, dtype))
    arguments.array(name, np.zeros(0, value.dtype.as_numpy_dtype), dtype)
    return tf.cast(value, dtype)
