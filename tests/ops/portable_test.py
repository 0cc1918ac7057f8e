"""The portable engine: users' activations, its graph, and conversion by tf2onnx."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from support import calls, oracles
from support.harness import assert_close

from tf_gru_addon import GRU
from tf_gru_addon.ops.portable import ENGINE


def test_a_users_activation_is_differentiated(monkeypatch):
    """Softmax couples the units, so an elementwise derivative would be wrong."""
    softmax = lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True)  # noqa: E731
    steep = lambda x: 1 / (1 + np.exp(-2 * x))  # noqa: E731
    monkeypatch.setitem(oracles.ACTIVATIONS, "softmax", softmax)
    monkeypatch.setitem(oracles.ACTIVATIONS, "steep", steep)
    arrays, options = calls.numbers()
    call = dataclasses.replace(
        calls.make_call(arrays, options, "float64"),
        activation=tf.nn.softmax,
        recurrent_activation=lambda x: tf.sigmoid(2 * x),
    )
    own = {"activation": "softmax", "recurrent_activation": "steep"}
    expected = calls.oracle(arrays, options | own)
    for unroll in (True, False):
        actual = calls.results(ENGINE, dataclasses.replace(call, unroll=unroll))
        calls.check(actual, expected, "float64")


def test_weight_gradients_are_summed_outside_of_the_loop():
    """The backward loop has three recurrent products and none for the weights."""
    call = calls.make_call(*calls.numbers(training=True), "float32")
    function = tf.function(lambda: calls.results(ENGINE, call)).get_concrete_function()
    library = function.graph.as_graph_def().library.function
    bodies = [g for g in library if "_body_" in g.signature.name]
    products = [sum(n.op == "MatMul" for n in body.node_def) for body in bodies]
    assert products == [3, 3]


@pytest.mark.peer
# Warnings of protobuf, onnx and tf2onnx themselves.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize(
    ("timesteps", "options"),
    [
        (4, [{}]),
        (4, [{"return_sequences": True, "activation": "selu"}]),
        (4, [{"return_sequences": True}, {"go_backwards": True, "reset_after": False}]),
        (None, [{}]),
    ],
    ids=["last", "sequences", "two", "unknown"],
)
def test_keras_writes_a_valid_onnx_file(timesteps, options, tmp_path):
    """tf2onnx converts the engine's loop with known and unknown timesteps."""
    onnxruntime = pytest.importorskip(
        "onnxruntime", reason="onnxruntime is not installed ([peers])"
    )
    layers = [GRU(3, **each) for each in options]
    masking = keras.layers.Masking()
    model = keras.Sequential([keras.Input((timesteps, 2)), masking, *layers])
    x = np.random.default_rng(0).normal(size=(5, 4, 2)).astype("float32")
    x[1, 2:] = 0
    expected = model(x)
    model.export(tmp_path / "model.onnx", format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    (actual,) = session.run(None, {session.get_inputs()[0].name: x})
    assert_close(actual, expected)
