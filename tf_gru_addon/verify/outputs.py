"""The outputs of a layer or model, to compare it with itself after a change."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_gru_addon.verify.inputs import Arrays, arrays_of

_BATCH, _TIMESTEPS = 4, 8


class UnknownInputsError(Exception):
    """No random inputs can be made for a model. The message says why."""


def layer_outputs(layer: keras.layers.RNN) -> Arrays:
    """Returns the outputs of a built layer with one state, for random sequences.

    It runs twice: from its own state without a mask, and from a random state with a
    mask whose rows end early, begin late, have a hole or are fully masked.

    Args:
        layer: The layer.
    """
    rng = np.random.default_rng(0)
    batch = layer.states[0].shape[0] if layer.stateful else _BATCH
    shape = (batch, _TIMESTEPS)
    sequences = rng.normal(size=(*shape, layer.cell.kernel.shape[0]))
    state = rng.normal(size=(batch, layer.cell.units))
    mask = np.ones(shape, bool)
    mask[0::4, 5:] = mask[1::4, :3] = mask[2::4, 2:4] = mask[3::4] = False
    sequences, state = (
        tf.cast(array, layer.compute_dtype) for array in (sequences, state)
    )
    mask = tf.constant(mask)
    with unchanged([layer]):
        plain = layer(sequences, training=False)
        masked = layer(sequences, initial_state=state, mask=mask, training=False)
    return arrays_of([plain, masked])


def model_outputs(
    model: keras.layers.Layer, layers: Iterable[keras.layers.Layer], inputs: Any
) -> Arrays:
    """Returns the outputs of a model in inference.

    Args:
        model: The model.
        layers: The model and the layers in it.
        inputs: The argument that the model is called with.
    """
    knows_training = "training" in inspect.signature(model.call).parameters
    with unchanged(layers):
        outputs = model(inputs, **({"training": False} if knows_training else {}))
        return arrays_of(outputs)


def random_inputs(model: keras.layers.Layer, layers: Iterable[Any]) -> Any:
    """Returns random inputs for a model that declares its inputs.

    Floating-point inputs are normal, with zeros at the end of the first row for a
    `Masking`. Integers are below the smallest `input_dim` of the layers that have one,
    such as `Embedding`.

    Args:
        model: The model.
        layers: The model and the layers in it.

    Raises:
        UnknownInputsError: The model does not declare its inputs, or takes strings.
    """
    if not getattr(model, "inputs", None):
        raise UnknownInputsError("it does not say which inputs it takes")
    rng = np.random.default_rng(0)
    sizes = [getattr(layer, "input_dim", None) for layer in layers]
    limit = min((size for size in sizes if isinstance(size, int)), default=2)

    def array(spec: keras.KerasTensor) -> tf.Tensor:
        shape = [size or _TIMESTEPS for size in spec.shape]
        if spec.shape[0] is None:
            shape[0] = _BATCH
        dtype = tf.as_dtype(spec.dtype)
        if dtype == tf.string:
            raise UnknownInputsError("it takes strings")
        if not dtype.is_floating:
            return tf.cast(rng.integers(0, limit, shape), dtype)
        values = rng.normal(size=shape)
        if len(shape) > 1:
            values[0, -(shape[1] // 3) :] = 0
        return tf.cast(values, dtype)

    sequential = isinstance(model, keras.Sequential)
    return tf.nest.map_structure(array, model.inputs[0] if sequential else model.input)


@contextlib.contextmanager
def unchanged(layers: Iterable[keras.layers.Layer]) -> Iterator[None]:
    """Restores the layers' states and seeds after the block.

    Args:
        layers: The layers.
    """
    variables = {}
    for layer in layers:
        states = getattr(layer, "states", None) if _is_rnn(layer) else None
        for variable in (*layer.non_trainable_variables, *tf.nest.flatten(states)):
            if variable is not None:
                variables[id(variable)] = variable
    values = [(v, tf.identity(v.value)) for v in variables.values()]
    try:
        yield
    finally:
        for variable, value in values:
            variable.assign(value)


@contextlib.contextmanager
def without_dropout(layers: Iterable[keras.layers.Layer]) -> Iterator[None]:
    """Sets the dropout rates of recurrent layers to 0 within the block.

    Args:
        layers: The layers.
    """
    names = ("dropout", "recurrent_dropout")
    cells = [layer.cell for layer in layers if _is_rnn(layer)]
    cells = [cell for cell in cells if all(hasattr(cell, name) for name in names)]
    rates = [[getattr(cell, name) for name in names] for cell in cells]
    try:
        for cell in cells:
            cell.dropout = cell.recurrent_dropout = 0.0
        yield
    finally:
        for cell, (dropout, recurrent_dropout) in zip(cells, rates, strict=True):
            cell.dropout, cell.recurrent_dropout = dropout, recurrent_dropout


def _is_rnn(layer: Any) -> bool:
    return isinstance(layer, keras.layers.RNN)
