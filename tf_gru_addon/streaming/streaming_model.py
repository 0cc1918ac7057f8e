"""A causal model as a step with explicit states, in TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_gru_addon import arguments
from tf_gru_addon.ops.engines import use_engine
from tf_gru_addon.streaming import causal

States = dict[str, tf.Tensor]


class StreamingModel:
    """A model that takes its sequences in chunks, and hands its states out and in.

    For sequences that never end, or of which the next frame is not there yet: for any
    cut of x into chunks, with `s0 = initial_states(batch)`,

        y1, s1 = step(x1, s0);  y2, s2 = step(x2, s1);  ...

    and y1, y2, ... joined along time is `model(x)`. Where the model gives one output a
    sequence (its last GRU is without `return_sequences`), a step's output is that for
    the frames so far. It reads the model's variables when it runs, so that training on
    goes on under it. `tf_gru_addon.Stream` runs the same in one process with less
    delay; `export_streaming` writes it to a file.

    The layers must be causal: `GRU` and `RNN` of GRU cells, of this package and of
    Keras; causal `Conv1D`; `TimeDistributed` of any layer; `Dense`, `Embedding`,
    `Masking`, activations, dropout (which does nothing here), normalisation over
    features, merging layers, and models of them. Behind a GRU without
    `return_sequences` any layer may stand.

    Args:
        model: A built Sequential or functional model of one input, (batch, time, ...).

    Attributes:
        model: The model.
        states: The shape, without the batch, and dtype of each state, by name.
        frames: The model's input: its shape, (batch, time, ...), and dtype.
        causal: The model as steps.

    Raises:
        ExportError: A layer is not causal (`Bidirectional`, `go_backwards`, pooling
            over time, attention, ...); the message names it and says why.

    Example:
        >>> import keras
        >>> import numpy as np
        >>> from tf_gru_addon import GRU
        >>> from tf_gru_addon.export import StreamingModel
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
        self._functions = {
            masked: tf.function(self._run, input_signature=self.signature(masked))
            for masked in (False, True)
        }

    def initial_states(self, batch_size: int | tf.Tensor) -> States:
        """Returns the states that every sequence begins with: zeros.

        Args:
            batch_size: The number of rows, sequences that are run side by side.
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
            frames: (batch, n, ...), with any number n of frames, 1 or 0 too.
            states: What `initial_states` or the step before gave.
            mask: None, or booleans (batch, n), False where a row has no frame: its
                states are carried on, and its output repeats, or is 0 with
                `zero_output_for_mask`.

        Returns:
            The output, (batch, n, ...), or (batch, ...) without a time axis; a list
            where the model has several. And the new states.

        Raises:
            ValueError: A shape or a name of a state does not fit.
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
        """Returns the states with those of some rows set back to zeros.

        Args:
            states: The states.
            rows: Booleans (batch,), True for the rows in which a new sequence begins.
        """
        rows = _tensor("rows", rows, "bool")

        def reset(value):
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
            batch_size: The number of rows, or None for any.
            frames: The number of frames, or None for any.
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
                f"{received!r}. initial_states(batch_size) gives one."
            )
        checked = {}
        for key, (_, shape, dtype) in self.states.items():
            checked[key] = _tensor(f"the state {key!r}", states[key], dtype)
            if not checked[key].shape.is_compatible_with([batch, *shape]):
                raise ValueError(
                    f"the state {key!r} of {name} must have the shape "
                    f"{(batch, *shape)}, as many rows as frames has; received "
                    f"{tuple(checked[key].shape)}."
                )
        return checked

    def _run(self, frames, states, mask=None):
        # Standard ops only, whatever becomes of the trace.
        with use_engine("portable"):
            outputs, states = self.causal.run(tf.identity(frames), states, mask)
        return (outputs[0] if len(outputs) == 1 else outputs), states


def _tensor(name: str, value: Any, dtype: str) -> tf.Tensor:
    """Returns a tensor of a dtype that holds the numbers given."""
    if not tf.is_tensor(value):
        return tf.constant(arguments.array(name, value, dtype))
    arguments.array(name, np.zeros(0, value.dtype.as_numpy_dtype), dtype)
    return tf.cast(value, dtype)
