"""One causal model for each kind of step, and sequences split into chunks."""

import functools
import itertools
import warnings

import keras
import numpy as np
from hypothesis import strategies as st
from support.harness import assert_close

from tf_gru_addon import GRU, GRUCell

FEATURES, TIMESTEPS = 3, 11


def sequential(*layers, features=(FEATURES,), dtype="float32"):
    return keras.Sequential([keras.Input((None, *features), dtype=dtype), *layers])


def _residual():
    x = keras.Input((None, FEATURES))
    wide = keras.layers.Dense(4, activation="relu")(x)
    y = GRU(4, return_sequences=True)(wide)
    y = keras.layers.Add()([y, wide])
    y = keras.layers.Multiply()([y, keras.layers.Activation("sigmoid")(y)]) * 2.0
    y = keras.layers.Concatenate()([y, x])
    outputs, state = keras.layers.GRU(5, return_sequences=True, return_state=True)(y)
    return keras.Model(x, [keras.layers.Dense(2)(outputs), state])


def _nested():
    shared = sequential(GRU(FEATURES, return_sequences=True), keras.layers.Dense(3))
    return sequential(shared, shared, GRU(2))


def _after_the_last():
    return sequential(
        GRU(4),
        keras.layers.RepeatVector(5),
        keras.layers.Bidirectional(GRU(2, return_sequences=True)),
        keras.layers.GlobalMaxPooling1D(),
    )


def _images():
    return sequential(
        keras.layers.TimeDistributed(keras.layers.Conv2D(2, 3)),
        keras.layers.TimeDistributed(keras.layers.Flatten()),
        GRU(3, return_sequences=True),
        features=(5, 5, 1),
    )


def _stacked_cells(**options):
    cells = [GRUCell(4), keras.layers.GRUCell(3), GRUCell(2, reset_after=True)]
    return sequential(
        keras.layers.Masking(),
        keras.layers.RNN(cells, return_sequences=True, name="rnn", **options),
    )


CASES = {
    "gru": lambda: sequential(GRU(5, return_sequences=True, name="gru")),
    "gru_no_bias": lambda: sequential(
        GRU(16, use_bias=False, reset_after=False, return_sequences=True)
    ),
    "gru_hard_sigmoids": lambda: sequential(
        GRU(5, recurrent_activation="hard_sigmoid", return_sequences=True),
        keras.layers.GRU(5, recurrent_activation="hard_sigmoid", activation="relu"),
    ),
    "keras_gru": lambda: sequential(
        keras.layers.Masking(), keras.layers.GRU(4, reset_after=False)
    ),
    "last_of_zero_outputs": lambda: sequential(
        keras.layers.Masking(),
        GRU(4, zero_output_for_mask=True),
        keras.layers.Dense(2, activation="softmax"),
    ),
    "zero_outputs": lambda: sequential(
        GRU(4, zero_output_for_mask=True, return_sequences=True)
    ),
    "cells": _stacked_cells,
    "cells_zero_outputs": functools.partial(_stacked_cells, zero_output_for_mask=True),
    "dense": lambda: sequential(
        keras.layers.Dense(4, activation="tanh", use_bias=False),
        keras.layers.Dropout(0.5),
        GRU(4, return_sequences=True, dropout=0.5, recurrent_dropout=0.5),
        keras.layers.Dense(2, activation="softmax"),
    ),
    "convolutions": lambda: sequential(
        keras.layers.Conv1D(4, 3, padding="causal", dilation_rate=2, activation="relu"),
        keras.layers.Conv1D(6, 2, padding="causal", groups=2, use_bias=False),
        keras.layers.Conv1D(4, 1),
        GRU(3, return_sequences=True),
    ),
    "normalizations": lambda: sequential(
        keras.layers.BatchNormalization(),
        keras.layers.Dense(4),
        keras.layers.LayerNormalization(),
        GRU(4, return_sequences=True),
        keras.layers.BatchNormalization(scale=False),
        keras.layers.LayerNormalization(center=False),
        keras.layers.UnitNormalization(),
    ),
    "embedding": lambda: sequential(
        keras.layers.Embedding(7, 4, mask_zero=True), GRU(3), features=(), dtype="int32"
    ),
    "time_distributed": lambda: sequential(
        keras.layers.Masking(),
        keras.layers.TimeDistributed(keras.layers.Dense(4, activation="elu")),
        GRU(3, return_sequences=True),
    ),
    "images": _images,
    "residual": _residual,
    "nested": _nested,
    "after_the_last": _after_the_last,
    "selu": lambda: sequential(GRU(3, activation="selu", return_sequences=True)),
    "bfloat16": lambda: sequential(
        GRU(3, return_sequences=True, dtype="mixed_bfloat16", name="half")
    ),
}
#: Cases whose GRUs use the mask passed with the frames.
MASKED = ["gru", "zero_outputs", "gru_hard_sigmoids", "dense", "selu", "normalizations"]


@functools.cache
def model(name):
    """Returns the case's model, with random weights, biases included."""
    keras.utils.set_random_seed(len(name))
    result = CASES[name]()
    rng = np.random.default_rng(len(name))
    result.set_weights(
        [
            rng.uniform(0.1, 0.9, w.shape) - 0.4 * ("variance" not in w.path)
            for w in result.weights
        ]
    )
    return result


def frames(name, batch=3, timesteps=TIMESTEPS):
    """Returns sequences for a case; some timesteps are all zeros."""
    (x,) = model(name).inputs
    rng = np.random.default_rng(batch)
    shape = (batch, timesteps, *x.shape[2:])
    if x.dtype == "int32":
        return rng.integers(0, 7, shape).astype("int32")
    result = rng.normal(size=shape).astype("float32")
    result[rng.random(shape[:2]) < 0.2] = 0
    return result


def outputs(name, x, mask=None):
    """Returns the list of a case's outputs for whole sequences."""
    with warnings.catch_warnings():
        # Keras warns that no layer uses the mask of the model's output.
        warnings.filterwarnings("ignore", ".*does not support masking")
        results = keras.tree.flatten(model(name)(x, mask=mask, training=False))
    return [np.array(keras.ops.cast(y, "float32")) for y in results]


def joined(name, chunks):
    """Returns a case's outputs from its chunks': concatenated, or the last."""
    columns = zip(*chunks, strict=True)
    sequences = [len(y.shape) > 2 for y in model(name).outputs]
    return [
        np.concatenate([np.asarray(y, "float32") for y in column], axis=1)
        if sequence
        else np.asarray(column[-1], "float32")
        for column, sequence in zip(columns, sequences, strict=True)
    ]


def assert_same(actual, expected, name):
    """Fails unless two lists of a case's outputs are close."""
    dtype = "bfloat16" if name == "bfloat16" else "float32"
    for a, e in zip(actual, expected, strict=True):
        assert_close(a, e, dtype, name)


@st.composite
def cuts(draw, timesteps=TIMESTEPS):
    """Draws the chunks of a sequence: pairs of start and end, some of them empty."""
    inner = draw(st.lists(st.integers(0, timesteps), max_size=5))
    ends = [0, *sorted(inner), timesteps]
    return list(itertools.pairwise(ends))
