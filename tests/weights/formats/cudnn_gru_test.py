"""CuDNNGRU's arrays, against Keras 2's own converter.

A CuDNNGRU only runs on GPUs; Keras 2's `GRU` loads its files on CPUs.
"""

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

from tf_gru_addon.weights import (
    GRULayer,
    WeightsError,
    from_cudnn_gru,
    read_weights,
    to_cudnn_gru,
    write_weights,
)


@given(gru_weights(bias=True, reset_after=True, dtype="float32"))
@few
def test_against_keras_2_reading_them(tf_keras, weights):
    from tf_keras.src.saving.legacy.hdf5_format import preprocess_weights_for_loading

    arrays = to_cudnn_gru(weights)
    x = inputs_for(weights)
    layer = tf_keras.layers.GRU(weights.units, return_sequences=True)
    layer.build(x.shape)
    layer.set_weights(preprocess_weights_for_loading(layer, arrays, "2"))
    assert_close(layer(x), outputs_of(weights, x))
    assert_identical(layer.get_weights(), weights.arrays())


@given(gru_weights(bias=True, reset_after=True, dtype="float32"))
@few
def test_against_keras_2_writing_them(tf_keras, weights):
    from tf_keras.src.layers.rnn.cudnn_gru import CuDNNGRU
    from tf_keras.src.saving.legacy.hdf5_format import preprocess_weights_for_loading

    layer = CuDNNGRU(weights.units)
    layer.build((None, None, weights.features))
    layer.set_weights(preprocess_weights_for_loading(layer, weights.arrays(), "2"))
    assert_identical(layer.get_weights(), to_cudnn_gru(weights))
    assert from_cudnn_gru(layer.get_weights()) == weights


@given(gru_weights(bias=True, reset_after=True))
@few
def test_both_ways_to_the_bit(weights):
    arrays = to_cudnn_gru(weights)
    assert from_cudnn_gru(arrays) == weights
    assert_identical(to_cudnn_gru(from_cudnn_gru(arrays)), arrays)


def test_no_bias_becomes_zeros():
    weights = random_weights(bias=False)
    again = from_cudnn_gru(to_cudnn_gru(weights))
    assert not again.bias.any()
    assert_identical(again.arrays()[:2], weights.arrays())


def test_reset_before_is_refused():
    with pytest.raises(WeightsError, match=r"after the recurrent product.*False"):
        to_cudnn_gru(random_weights(reset_after=False))


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([(3, 6), (2, 6)], "three arrays .* received 2"),
        ([(3, 6), (2, 6), (6,)], r"kernel must have .*here \(\?, 3\)"),
        ([(3, 6), (2, 6), (8,)], r"bias .*6 \* units.*\(8,\)"),
        ([(3, 6), (2, 6), (2, 6)], r"bias must .*here \(6,\); received \(2, 6\)"),
        ([(3, 6), (3, 6), (12,)], r"recurrent_kernel .*here \(2, 6\).*\(3, 6\)"),
    ],
)
def test_arrays_that_are_not_a_cudnn_gru(shapes, message):
    with pytest.raises(WeightsError, match=message):
        from_cudnn_gru([np.ones(shape) for shape in shapes])


def test_keras_2_loads_a_cudnn_grus_file(tf_keras, tmp_path):
    weights = random_weights()
    path = tmp_path / "gru.h5"
    write_weights(path, weights, "cudnn_gru")
    layer = tf_keras.layers.GRU(4, return_sequences=True)
    model = tf_keras.Sequential([tf_keras.Input((None, 3)), layer])
    model.load_weights(path)
    x = inputs_for(weights)
    assert_close(model(x), outputs_of(weights, x))
    assert read_weights(path) == (GRULayer(weights),)
