"""cuDNN's buffer, against a reader written from NVIDIA's documentation.

These tests need no GPU. `tests/ops/cudnn_test.py` tests one layer and direction.
"""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from support.harness import assert_close
from support.random_weights import (
    assert_identical,
    few,
    gru_stacks,
    inputs_for,
    outputs_of,
    random_stack,
    random_weights,
)

from tf_gru_addon.ops.cudnn import cudnn_parameters
from tf_gru_addon.weights import (
    GRULayer,
    WeightsError,
    from_cudnn_buffer,
    to_cudnn_buffer,
)


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def cudnn_gru(buffer, x, units, layers, ways):
    """cuDNN's equations, on the buffer as its documentation splits it."""
    rest = list(buffer.astype(np.float64))

    def take(*shape):
        count = int(np.prod(shape))
        array = np.array(rest[:count]).reshape(shape)
        del rest[:count]
        return array

    sides = []
    for layer in range(layers):
        features = ways * units if layer else x.shape[2]
        for _ in range(ways):
            W = {gate: take(units, features) for gate in "rih"}
            R = {gate: take(units, units) for gate in "rih"}
            sides.append((W, R))
    biases = [[{gate: take(units) for gate in "rih"} for _ in range(2)] for _ in sides]
    assert not rest
    y = x.astype(np.float64)
    for layer in range(layers):
        outputs = []
        for way in range(ways):
            W, R = sides[layer * ways + way]
            bW, bR = biases[layer * ways + way]
            h = np.zeros((len(x), units))
            steps = {}
            order = range(x.shape[1])
            for t in order if way == 0 else reversed(order):
                r, i = (
                    sigmoid(y[:, t] @ W[g].T + bW[g] + h @ R[g].T + bR[g]) for g in "ri"
                )
                new = y[:, t] @ W["h"].T + bW["h"] + r * (h @ R["h"].T + bR["h"])
                h = (1 - i) * np.tanh(new) + i * h
                steps[t] = h
            outputs.append(np.stack([steps[t] for t in order], axis=1))
        y = np.concatenate(outputs, axis=-1)
    return y


@given(gru_stacks(reset_after=True, bias=True))
@few
def test_layers_and_directions(stack):
    buffer = to_cudnn_buffer(stack)
    units, ways = stack[0].units, len(stack[0].directions)
    sizes = {
        "features": stack[0].features,
        "units": units,
        "layers": len(stack),
        "bidirectional": ways == 2,
    }
    x = inputs_for(stack)
    assert_close(cudnn_gru(buffer, x, units, len(stack), ways), outputs_of(stack, x))
    assert from_cudnn_buffer(buffer, **sizes) == stack
    assert_identical([to_cudnn_buffer(from_cudnn_buffer(buffer, **sizes))], [buffer])


def test_the_cudnn_engine_makes_the_same_buffer():
    weights = random_weights()
    expected = cudnn_parameters(*map(tf.constant, weights.arrays()))
    assert_identical([to_cudnn_buffer(weights)], [expected])


def test_no_bias_becomes_zeros():
    buffer = to_cudnn_buffer(random_weights(bias=False))
    (layer,) = from_cudnn_buffer(buffer, features=3, units=4)
    assert layer.forward == random_weights(bias=False).with_bias()


@pytest.mark.parametrize(
    ("buffer", "sizes", "error", "message"),
    [
        (np.ones(41), {}, WeightsError, r"shape \(42,\): 1 layer.*received \(41,\)"),
        (np.ones((2, 21)), {}, WeightsError, r"received \(2, 21\)"),
        (np.ones(42), {"layers": 2}, WeightsError, r"\(78,\): 2 layer"),
        (np.ones(42), {"bidirectional": True}, WeightsError, r"\(84,\).*2 direction"),
        (np.full(42, np.nan), {}, WeightsError, r"buffer\[0\] is nan"),
        (np.ones(42, int), {}, WeightsError, "buffer must be float16"),
        (
            np.ones(42),
            {"units": 0},
            ValueError,
            "units must be an integer .*: 0",
        ),
        (np.ones(42), {"layers": 1.0}, ValueError, "layers must be an integer"),
    ],
)
def test_wrong_buffers_are_refused(buffer, sizes, error, message):
    with pytest.raises(error, match=message):
        from_cudnn_buffer(buffer, **{"features": 3, "units": 2, **sizes})


@pytest.mark.parametrize(
    ("stack", "message"),
    [
        (random_weights(reset_after=False), "cuDNN's GRU applies the reset gate after"),
        (
            GRULayer(random_weights(), activation="relu"),
            "tanh, but this layer has relu",
        ),
        (random_stack(units=(4, 2)), "the same units"),
        (GRULayer(None, random_weights()), "only runs backward"),
    ],
)
def test_weights_that_cudnn_cannot_hold(stack, message):
    with pytest.raises(WeightsError, match=message):
        to_cudnn_buffer(stack)
