"""What a layer or a model gives, for comparing it with itself after a change."""

import contextlib
import inspect
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

_BATCH, _TIMESTEPS = 4, 8

#: By dtype computed in: how far outputs may be apart, relative to the largest of them.
_TOLERANCE = {"float64": 1e-9, "float32": 1e-4, "float16": 2e-2, "bfloat16": 1e-1}


class UnknownInputsError(Exception):
    """A model that random inputs cannot be made for, and why."""


def layer_outputs(layer: keras.layers.RNN) -> list[np.ndarray]:
    """Returns what a built layer of one state gives for random sequences.

    Once from its own state and without a mask; once from a random state, with a mask
    that has rows of every kind: ended early, begun late, with a hole, masked wholly.
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
    return _arrays([plain, masked])


def model_outputs(
    model: keras.layers.Layer, layers: Iterable[keras.layers.Layer], inputs: Any
) -> list[np.ndarray]:
    """Returns what a model, that consists of these layers, gives in inference."""
    knows_training = "training" in inspect.signature(model.call).parameters
    with unchanged(layers):
        return _arrays(model(inputs, **({"training": False} if knows_training else {})))


def random_inputs(model: keras.layers.Layer, layers: Iterable[Any]) -> Any:
    """Returns inputs for a model that says what it takes.

    Floating-point inputs are normal, and zero at the end of the first row, for a
    `Masking`; integers are below the `input_dim` of every layer that has one, as an
    `Embedding` has.

    Args:
        model: The model.
        layers: The model and all layers in it.

    Raises:
        UnknownInputsError: The model does not say what it takes, or it takes strings.
    """
    if not getattr(model, "inputs", None):
        raise UnknownInputsError("it does not say which inputs it takes")
    rng = np.random.default_rng(0)
    sizes = [getattr(layer, "input_dim", None) for layer in layers]
    limit = min((size for size in sizes if isinstance(size, int)), default=2)

    def array(spec):
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


def _arrays(outputs: Any) -> list[np.ndarray]:
    arrays = [np.asarray(output) for output in tf.nest.flatten(outputs)]
    # NumPy itself knows no bfloat16.
    return [a.astype("float64") if a.dtype.kind in "fV" else a for a in arrays]


def difference(actual: list[np.ndarray], expected: list[np.ndarray]) -> float:
    """Returns how far outputs are apart, relative to the largest expected number."""
    if [a.shape for a in actual] != [e.shape for e in expected]:
        return np.inf
    return max(map(_difference, actual, expected), default=0.0)


def _difference(actual: np.ndarray, expected: np.ndarray) -> float:
    if expected.dtype.kind != "f":
        return 0.0 if np.array_equal(actual, expected) else np.inf
    finite = np.isfinite(expected)
    if not np.array_equal(actual[~finite], expected[~finite], equal_nan=True):
        return np.inf
    actual, expected = actual[finite], expected[finite]
    # Not by less, for then it would be rounding alone that differs.
    scale = max(1e-3, np.abs(expected).max(initial=0))
    error = np.abs(actual - expected).max(initial=0) / scale
    return float(error) if np.isfinite(error) else np.inf


def tolerance(layers: Iterable[keras.layers.Layer]) -> float:
    """Returns how large a `difference` rounding explains where these layers compute."""
    dtypes = {layer.compute_dtype for layer in layers}
    return max(_TOLERANCE.get(dtype, 0.0) for dtype in dtypes)


@contextlib.contextmanager
def unchanged(layers: Iterable[keras.layers.Layer]) -> Iterator[None]:
    """Gives the layers back the states and seeds that they had, when left."""
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
    """Has the cells of recurrent layers drop nothing, not even in training."""
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
