"""Layers in NumPy compute what Keras computes."""

import keras
import numpy as np
import pytest
from support.harness import assert_close

from tf_gru_addon import activations
from tf_gru_addon.streaming import numpy_layers

X = np.linspace(-30, 30, 61, dtype="float32").reshape(1, 1, 61)


@pytest.mark.parametrize(
    "function", numpy_layers.ACTIVATIONS, ids=lambda f: f.__module__ + f.__name__
)
def test_activations(function):
    y = numpy_layers.activation(function)(X)
    assert y.dtype == np.float32
    expected = np.asarray(function(keras.ops.convert_to_tensor(X)))
    assert_close(y, expected)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-30)


def test_an_unknown_activation_runs_in_tensorflow():
    gelu = numpy_layers.activation(keras.activations.gelu)
    assert_close(gelu(X), keras.activations.gelu(keras.ops.convert_to_tensor(X)))
    assert numpy_layers.activation(None)(X) is X
    assert activations.hard_sigmoid in numpy_layers.ACTIVATIONS


LAYERS = {
    "dense": keras.layers.Dense(3, activation="relu"),
    "gelu": keras.layers.Dense(3, activation="gelu"),
    "batch": keras.layers.BatchNormalization(),
    "batch_plain": keras.layers.BatchNormalization(center=False, scale=False),
    "layer": keras.layers.LayerNormalization(epsilon=0.1),
    "layer_plain": keras.layers.LayerNormalization(center=False, scale=False),
    "masking": keras.layers.Masking(0.5),
    "activation": keras.layers.Activation("softmax"),
    "dropout": keras.layers.SpatialDropout1D(0.5),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name):
    layer = type(LAYERS[name]).from_config(LAYERS[name].get_config())
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2, 4, 5)).astype("float32")
    x[0, 1] = 0.5
    layer.build(x.shape)
    layer.set_weights([rng.uniform(0.5, 2, w.shape) for w in layer.weights])
    y = numpy_layers.function_of(layer, 3)(x)
    assert y.dtype == np.float32
    assert_close(y, layer(x))


def test_unknown_layers_and_axes():
    def known(layer, rank=3):
        layer.build((2, 4, 5) if rank == 3 else (2, 4, 5, 6))
        return numpy_layers.function_of(layer, rank) is not None

    assert known(keras.layers.BatchNormalization(axis=2))
    assert not known(keras.layers.BatchNormalization(axis=2), 4)
    assert not known(keras.layers.LayerNormalization(axis=[1, 2]))
    assert not known(keras.layers.PReLU())
