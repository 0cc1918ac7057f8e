"""Keras' arrays, against Keras 3 and Keras 2."""

import keras
import numpy as np
import pytest
from hypothesis import given
from support.harness import assert_close
from support.random_weights import (
    assert_identical,
    few,
    gru_weights,
    inputs_for,
    outputs_of,
)

from tf_gru_addon.weights import WeightsError, from_keras_arrays, to_keras_arrays


@given(gru_weights(dtype="float32"))
@few
def test_against_keras_3(weights):
    _check(keras, weights)


@given(gru_weights(dtype="float32"))
@few
def test_against_keras_2(tf_keras, weights):
    _check(tf_keras, weights)


def _check(keras, weights):
    layer = keras.layers.GRU(
        weights.units,
        reset_after=weights.reset_after,
        use_bias=weights.bias is not None,
        recurrent_activation="sigmoid",
        return_sequences=True,
    )
    x = inputs_for(weights)
    layer.build(x.shape)
    layer.set_weights(to_keras_arrays(weights))
    assert_close(layer(x), outputs_of(weights, x))
    arrays = layer.get_weights()
    again = from_keras_arrays(arrays, weights.reset_after)
    assert again == weights
    assert_identical(to_keras_arrays(again), arrays)
    if weights.bias is not None:
        assert from_keras_arrays(arrays) == weights


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([(3, 6), (2, 6)], "Without a bias, nothing .* Give reset_after"),
        ([(3, 6), (2, 6), (12,)], r"\(12,\), \(6 \* units,\): .*from_cudnn_gru"),
        ([(3, 2)] * 9, "a GRU of Keras 1. .*from_keras1_arrays"),
        ([(3, 6), (2, 6), (6,)] * 2, "received 6. A Bidirectional"),
        ([(3, 6)], "received 1"),
        ([(3, 6), (2, 6), (5,)], r"bias must .*received \(5,\)"),
        ([(3, 8), (2, 8), (8,)], "recurrent_kernel must have the shape"),
    ],
)
def test_arrays_that_are_not_of_a_gru(shapes, message):
    with pytest.raises(WeightsError, match=message):
        from_keras_arrays([np.ones(shape) for shape in shapes])
