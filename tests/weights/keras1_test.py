"""Keras 1's nine arrays, against Keras 2's converter."""

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
    random_weights,
)

from tf_gru_addon.weights import WeightsError, from_keras1_arrays, to_keras1_arrays


@given(gru_weights(bias=True, reset_after=False, dtype="float32"))
@few
def test_against_keras_2_reading_them(tf_keras, weights):
    from tf_keras.src.saving.legacy.hdf5_format import preprocess_weights_for_loading

    arrays = to_keras1_arrays(weights)
    x = inputs_for(weights)
    layer = tf_keras.layers.GRU(
        weights.units,
        reset_after=False,
        recurrent_activation="sigmoid",
        return_sequences=True,
    )
    layer.build(x.shape)
    layer.set_weights(preprocess_weights_for_loading(layer, arrays, "1"))
    assert_close(layer(x), outputs_of(weights, x))
    assert from_keras1_arrays(layer_arrays(layer)) == weights


def layer_arrays(layer):
    """Returns a layer's weights, split by hand into Keras 1's nine arrays."""
    units = layer.units
    return [
        array[..., gate * units : (gate + 1) * units]
        for gate in range(3)
        for array in layer.get_weights()
    ]


@given(gru_weights(bias=True, reset_after=False))
@few
def test_both_ways_to_the_bit(weights):
    arrays = to_keras1_arrays(weights)
    assert from_keras1_arrays(arrays) == weights
    assert_identical(to_keras1_arrays(from_keras1_arrays(arrays)), arrays)


def test_no_bias_becomes_zeros():
    weights = random_weights(bias=False, reset_after=False)
    x = inputs_for(weights)
    again = from_keras1_arrays(to_keras1_arrays(weights))
    assert not again.bias.any()
    assert_close(outputs_of(again, x), outputs_of(weights, x), "float64")


def test_reset_after_is_refused():
    with pytest.raises(WeightsError, match=r"before the recurrent product.*True"):
        to_keras1_arrays(random_weights())


def test_arrays_that_are_not_of_keras_1():
    arrays = to_keras1_arrays(random_weights(reset_after=False))
    with pytest.raises(WeightsError, match=r"W_z, U_z, b_z, W_r.*received 8"):
        from_keras1_arrays(arrays[:-1])
    by_kind = [arrays[i] for kind in range(3) for i in range(kind, 9, 3)]
    with pytest.raises(WeightsError, match=r"U_z must .*here \(4, 4\); .*\(3, 4\)"):
        from_keras1_arrays(by_kind)
    arrays[5] = np.full(4, np.nan, "float32")
    with pytest.raises(WeightsError, match=r"finite; b_r\[0\] is nan"):
        from_keras1_arrays(arrays)
