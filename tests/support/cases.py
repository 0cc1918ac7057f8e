"""One model for each way of using a GRU, to run and save in every way."""

import functools

import keras
import numpy as np
import tensorflow as tf

import tf_gru_addon

BATCH, TIMESTEPS, FEATURES, UNITS = 2, 4, 3, 3


def _sequential(*layers, timesteps=None, batch_size=None):
    inputs = keras.Input((timesteps, FEATURES), batch_size=batch_size)
    return keras.Sequential([inputs, *layers])


def _cell(**options):
    cell = tf_gru_addon.GRUCell(UNITS, **options)
    return _sequential(keras.layers.RNN(cell, return_sequences=True))


def _stacked_cells():
    cells = [tf_gru_addon.GRUCell(UNITS), tf_gru_addon.GRUCell(2, dropout=0.5)]
    return _sequential(keras.layers.RNN(keras.layers.StackedRNNCells(cells)))


def _layer(timesteps=None, batch_size=None, **options):
    layer = tf_gru_addon.GRU(UNITS, **options)
    return _sequential(layer, timesteps=timesteps, batch_size=batch_size)


def _masked():
    return _sequential(
        keras.layers.Masking(),
        tf_gru_addon.GRU(UNITS, return_sequences=True),
        tf_gru_addon.GRU(2, zero_output_for_mask=True),
    )


def _masked_cell():
    return _sequential(
        keras.layers.Masking(), keras.layers.RNN(tf_gru_addon.GRUCell(UNITS))
    )


def _bidirectional(**options):
    layer = tf_gru_addon.GRU(UNITS, return_sequences=True, **options)
    return _sequential(keras.layers.Masking(), keras.layers.Bidirectional(layer))


def _return_state():
    inputs = keras.Input((None, FEATURES), name="sequences")
    layer = tf_gru_addon.GRU(UNITS, return_sequences=True, return_state=True)
    return keras.Model(inputs, layer(inputs))


def _encoder_decoder():
    inputs = keras.Input((None, FEATURES), name="sequences")
    _, state = tf_gru_addon.GRU(UNITS, return_state=True)(inputs)
    decoder = tf_gru_addon.GRU(UNITS, return_sequences=True)
    return keras.Model(inputs, decoder(inputs, initial_state=state))


def _time_distributed():
    # Two parts: with an unknown number, Keras' wrapper fails in a graph for any layer.
    return _sequential(
        keras.layers.Reshape((2, -1, FEATURES)),
        keras.layers.TimeDistributed(tf_gru_addon.GRU(UNITS)),
    )


def _nested():
    inner = _layer(return_sequences=True)
    return _sequential(inner, tf_gru_addon.GRU(2))


EVERY_PART = {
    "kernel_initializer": keras.initializers.HeNormal(seed=1),
    "recurrent_initializer": keras.initializers.RandomUniform(-1, 1, seed=2),
    "bias_initializer": "ones",
    "kernel_regularizer": keras.regularizers.L1L2(0.1, 0.2),
    "recurrent_regularizer": "l2",
    "bias_regularizer": keras.regularizers.L1(0.3),
    "kernel_constraint": keras.constraints.MaxNorm(1.5),
    "recurrent_constraint": "non_neg",
    "bias_constraint": keras.constraints.UnitNorm(),
}

CASES = {
    "cell": _cell,
    "cell_reset_after": functools.partial(_cell, reset_after=True),
    "cell_implementation_2": functools.partial(_cell, implementation=2),
    "cell_dropout": functools.partial(
        _cell, dropout=0.3, recurrent_dropout=0.4, seed=5
    ),
    "cell_hard_sigmoid": functools.partial(_cell, activation="hard_sigmoid"),
    "cell_keras_hard_sigmoid": functools.partial(
        _cell, activation=keras.activations.hard_sigmoid
    ),
    "cell_no_bias": functools.partial(_cell, use_bias=False),
    "cell_every_part": functools.partial(_cell, **EVERY_PART),
    "cell_masked": _masked_cell,
    "cells_stacked": _stacked_cells,
    "layer": _layer,
    "layer_reset_before": functools.partial(_layer, reset_after=False),
    "layer_sequences": functools.partial(_layer, return_sequences=True),
    "layer_return_state": _return_state,
    "layer_initial_state": _encoder_decoder,
    "layer_backwards": functools.partial(
        _layer, return_sequences=True, go_backwards=True
    ),
    "layer_stateful": functools.partial(_layer, batch_size=BATCH, stateful=True),
    "layer_unroll": functools.partial(_layer, timesteps=TIMESTEPS, unroll=True),
    "layer_masked": _masked,
    "layer_dropout": functools.partial(
        _layer, dropout=0.3, recurrent_dropout=0.4, seed=5, implementation=2
    ),
    "layer_hard_sigmoid": functools.partial(
        _layer, recurrent_activation="hard_sigmoid"
    ),
    "layer_keras_hard_sigmoid": functools.partial(
        _layer, recurrent_activation=keras.activations.hard_sigmoid
    ),
    "layer_every_part": functools.partial(
        _layer, activity_regularizer="l1", activation=None, **EVERY_PART
    ),
    "layer_bfloat16": functools.partial(_layer, dtype="mixed_bfloat16"),
    "bidirectional": _bidirectional,
    "bidirectional_dropout": functools.partial(
        _bidirectional, dropout=0.3, recurrent_dropout=0.4
    ),
    "time_distributed": _time_distributed,
    "nested": _nested,
}

#: Cases whose graph has a fixed batch size, or a fixed number of timesteps.
FIXED_BATCH = {"layer_stateful"}
FIXED_TIMESTEPS = {"layer_unroll"}


@functools.cache
def model(name):
    """Returns the case's model, with random weights and biases."""
    result = CASES[name]()
    rng = np.random.default_rng(len(name))
    result.set_weights([rng.normal(0, 0.7, w.shape) for w in result.weights])
    return result


def example(batch=BATCH, timesteps=TIMESTEPS):
    """Returns sequences (batch, timesteps, FEATURES), whose last timestep is masked."""
    x = np.random.default_rng(batch).normal(0, 2, (batch, timesteps, FEATURES))
    x[0, -1] = 0
    return x.astype("float32")


def reset_states(model):
    """Sets the states of the stateful layers to zero."""
    for layer in model.layers:
        if getattr(layer, "stateful", False):
            layer.reset_state()


def outputs(model, x, call=None):
    """Returns the model's outputs for `x` twice in a row, starting from zero states."""
    reset_states(model)
    call = call or model
    return [np.asarray(y) for y in tf.nest.flatten([call(x), call(x)])]


@functools.cache
def expected(name, batch=BATCH, timesteps=TIMESTEPS):
    """Returns the case's eager `outputs` for `example(batch, timesteps)`."""
    return outputs(model(name), example(batch, timesteps))
