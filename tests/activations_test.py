"""The name "hard_sigmoid" and Keras 3's function `hard_sigmoid` differ."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_gru_addon import activations


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_name_hard_sigmoid_means_the_function_of_tf_2_0(dtype, tf_keras):
    x = tf.cast(tf.linspace(-5.0, 5.0, 101), dtype)
    y = activations.hard_sigmoid(x)
    assert y.dtype == dtype
    np.testing.assert_allclose(
        y,
        tf_keras.activations.hard_sigmoid(x),
        rtol=2e-3 if dtype == "float16" else 1e-6,
    )
    assert (y.numpy()[[0, -1]] == [0, 1]).all()


def test_the_name_and_the_function_stay_distinct():
    assert activations.get("hard_sigmoid") is activations.hard_sigmoid
    theirs = keras.activations.hard_sigmoid
    assert activations.get(theirs) is theirs
    for function in (activations.hard_sigmoid, theirs):
        assert activations.get(activations.serialize(function)) is function
    assert activations.serialize(activations.hard_sigmoid) == "hard_sigmoid"
    assert isinstance(activations.serialize(theirs), dict)


@pytest.mark.parametrize("copy", ["from_config", "keras_file"])
def test_keras_layers_keep_keras_3s_function(copy, tmp_path):
    function = activations.hard_sigmoid
    layers = [keras.layers.Dense(2, activation=function)]
    layers += [keras.layers.Activation(function)]
    model = keras.Sequential([keras.Input((3,)), *layers])
    if copy == "from_config":
        copied = keras.Sequential.from_config(model.get_config())
    else:
        model.save(tmp_path / "model.keras")
        copied = keras.saving.load_model(tmp_path / "model.keras")
    assert [layer.activation for layer in copied.layers] == [function] * 2


def test_other_activations_are_keras_activations():
    assert activations.get(None) is keras.activations.linear
    assert activations.get("tanh") is keras.activations.tanh
    assert activations.serialize(keras.activations.tanh) == "tanh"
    assert activations.get(tf.sin) is tf.sin
    with pytest.raises(ValueError, match="sigmoidd"):
        activations.get("sigmoidd")
