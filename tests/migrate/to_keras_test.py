"""Keras layers made from weights, against the oracle and PyTorch."""

import keras
import pytest
import tensorflow as tf
from hypothesis import given
from support.harness import assert_close
from support.random_weights import (
    few,
    gru_stacks,
    inputs_for,
    outputs_of,
    random_stack,
    random_weights,
)

from tf_gru_addon import GRU
from tf_gru_addon.layers import ReverseTimesteps
from tf_gru_addon.migrate import from_keras, to_keras
from tf_gru_addon.weights import GRULayer, WeightsError, from_torch


def run(layers, x, **arguments):
    for layer in layers:
        x = layer(x, **arguments)
    return x


@given(gru_stacks())
@few
def test_against_the_oracle(stack):
    layers = to_keras(stack)
    x = inputs_for(stack)
    assert_close(run(layers, x), outputs_of(stack, x))
    assert from_keras(layers) == stack


@pytest.mark.parametrize("recurrent_activation", ["sigmoid", "hard_sigmoid"])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_activations(activation, recurrent_activation):
    layer = GRULayer(random_weights(), None, activation, recurrent_activation)
    x = inputs_for(layer)
    layers = to_keras(layer)
    assert_close(run(layers, x), outputs_of(layer, x))
    assert from_keras(layers) == (layer,)


def _reverse(units=(4, 2)):
    stack, features = [], 3
    for size in units:
        stack.append(GRULayer(None, random_weights(features, size)))
        features = size
    return tuple(stack)


def test_layers_that_only_run_backward():
    stack = _reverse()
    layers = to_keras(stack)
    kinds = [GRU, ReverseTimesteps, GRU, ReverseTimesteps]
    assert [type(layer) for layer in layers] == kinds
    x = inputs_for(stack)
    expected = outputs_of(stack, x)
    assert_close(run(layers, x), expected)
    assert from_keras(layers) == stack
    last = to_keras(stack, return_sequences=False)
    assert [type(layer) for layer in last] == kinds[:3]
    # A layer that runs backward ends at the first timestep.
    assert_close(run(last, x), expected[:, 0])


@pytest.mark.parametrize("stack", [random_stack(bidirectional=True), _reverse()])
def test_masks(stack):
    """Padding has no effect: the short row's outputs equal those of the row alone."""
    x = inputs_for(stack, timesteps=5)
    model = keras.Sequential(
        [keras.Input((None, 3)), keras.layers.Masking(), *to_keras(stack)]
    )
    padded = x.copy()
    padded[1, 3:] = 0
    outputs = model(padded)
    assert_close(outputs[0], outputs_of(stack, x)[0])
    assert_close(outputs[1, :3], outputs_of(stack, x[1:, :3])[0])


def test_a_model_of_the_layers_can_be_saved_and_loaded(tmp_path):
    stack = (*random_stack(bidirectional=True), GRULayer(None, random_weights(8, 2)))
    inputs = keras.Input((None, 3))
    model = keras.Sequential([inputs, *to_keras(stack)])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert from_keras(loaded) == stack
    x = inputs_for(stack)
    assert_close(loaded(x), outputs_of(stack, x))


def test_return_sequences_applies_to_the_last_layer():
    stack = random_stack(units=(4, 2))
    x = inputs_for(stack)
    layers = to_keras(stack, return_sequences=False)
    assert_close(run(layers, x), outputs_of(stack, x)[:, -1])


def test_options_apply_to_every_layer():
    stack = random_stack(units=(4, 2), bidirectional=True)
    layers = to_keras(stack, dropout=0.25, seed=1, engine="portable")
    for layer in layers:
        for direction in (layer.forward_layer, layer.backward_layer):
            assert direction.dropout == 0.25
            assert direction.engine == "portable"
    output, state = to_keras(random_weights(), return_state=True)[0](tf.ones([2, 4, 3]))
    assert (output.shape, state.shape) == ((2, 4, 4), (2, 4))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_dtype_defaults_to_the_weights(dtype):
    stack = random_stack(bidirectional=True, dtype=dtype)
    layers = to_keras(stack)
    assert layers[0].compute_dtype == dtype
    assert from_keras(layers) == stack
    x = inputs_for(stack, dtype=dtype)
    assert_close(run(layers, x), outputs_of(stack, x), dtype)


def test_another_dtype_rounds_the_weights():
    weights = random_weights(dtype="float64")
    (layer,) = to_keras(weights, dtype="float32")
    assert from_keras(layer)[0].forward == weights.astype("float32")
    (layer,) = to_keras(weights, dtype="mixed_bfloat16")
    assert layer.dtype_policy.name == "mixed_bfloat16"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"units": 4},
            "units is determined by the weights; do not pass it",
        ),
        ({"reset_after": True}, "reset_after is determined by the weights"),
        ({"stateful": True}, "a stateful layer needs a batch size"),
    ],
)
def test_unknown_options_are_refused(options, message):
    with pytest.raises(TypeError, match=message):
        to_keras(random_weights(), **options)


def test_a_stack_that_does_not_fit():
    with pytest.raises(WeightsError, match="Layer 1 takes 3 features, but layer 0"):
        to_keras([GRULayer(random_weights()), GRULayer(random_weights())])


@pytest.mark.peer
@given(gru_stacks(reset_after=True))
@few
def test_against_torch(stack):
    import torch

    gru = torch.nn.GRU(
        stack[0].features,
        stack[0].units,
        num_layers=len(stack),
        bias=stack[0].use_bias,
        bidirectional=stack[0].backward is not None,
        batch_first=True,
    )
    x = inputs_for(stack)
    with torch.no_grad():
        expected = gru(torch.from_numpy(x))[0]
    assert_close(run(to_keras(from_torch(gru.state_dict())), x), expected)
