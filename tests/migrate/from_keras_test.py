"""Weights of Keras layers and models, and the layers that are refused."""

import keras
import numpy as np
import pytest
from support.harness import assert_close
from support.random_weights import inputs_for, outputs_of

import tf_gru_addon
from tf_gru_addon.migrate import from_keras
from tf_gru_addon.weights import WeightsError

F, U = 3, 4


def built(*layers):
    """Returns a model of the layers, with random weights and biases."""
    model = keras.Sequential([keras.Input((None, F)), *layers])
    rng = np.random.default_rng(3)
    model.set_weights([rng.normal(0, 0.7, w.shape) for w in model.get_weights()])
    return model


def gru(units=U, kind=keras.layers.GRU, **options):
    return kind(units, return_sequences=True, **options)


def stacked(*cells):
    return keras.layers.RNN(cells, return_sequences=True)


def cell(units=U, **options):
    return keras.layers.GRUCell(units, **options)


@pytest.mark.parametrize(
    ("layers", "directions"),
    [
        (lambda: [gru()], ["forward"]),
        (lambda: [gru(kind=tf_gru_addon.GRU, reset_after=False)], ["forward"]),
        (lambda: [gru(), gru(2, use_bias=False)], ["forward", "forward"]),
        (lambda: [keras.layers.Bidirectional(gru()), gru(2)], ["bidirectional", "f"]),
        (
            lambda: [keras.layers.Bidirectional(gru(kind=tf_gru_addon.GRU))],
            ["bidirectional"],
        ),
        (lambda: [keras.layers.RNN(cell(), return_sequences=True)], ["forward"]),
        (
            lambda: [
                keras.layers.RNN(tf_gru_addon.GRUCell(U), return_sequences=True),
            ],
            ["forward"],
        ),
        (lambda: [stacked(cell(), cell(2))], ["forward", "forward"]),
        (
            lambda: [
                keras.layers.Masking(),
                gru(activation="relu"),
                keras.layers.Dropout(0.5),
                gru(activation="sigmoid"),
            ],
            ["forward", "forward"],
        ),
    ],
)
def test_against_the_model(layers, directions):
    model = built(*layers())
    stack = from_keras(model)
    assert len(stack) == len(directions)
    for layer, direction in zip(stack, directions, strict=True):
        assert layer.direction.startswith(direction)
    x = inputs_for(stack)
    assert_close(outputs_of(stack, x), model(x))


def test_backwards():
    for layer in (gru(go_backwards=True), stacked(cell(), cell(2))):
        layer.go_backwards = True
        model = built(layer)
        stack = from_keras(layer)
        assert {layer.direction for layer in stack} == {"reverse"}
        x = inputs_for(stack)
        assert_close(outputs_of(stack, x)[:, ::-1], model(x))


def test_other_layers_are_left_out():
    dense = [keras.layers.Dense(F), keras.layers.Dense(2)]
    model = built(dense[0], gru(name="the_only"), dense[1])
    (layer,) = from_keras(model)
    np.testing.assert_array_equal(layer.forward.kernel, model.layers[1].cell.kernel)
    assert from_keras(model.get_layer("the_only")) == (layer,)
    assert from_keras([model.get_layer("the_only")]) == (layer,)
    assert from_keras(model.layers[1].cell) == (layer,)


def test_the_weights_equal_the_layers_bit_for_bit():
    layer = built(gru(reset_after=False)).layers[0]
    weights = from_keras(layer)[0].forward
    assert weights.reset_after is False
    for array, expected in zip(weights.arrays(), layer.get_weights(), strict=True):
        assert array.tobytes() == expected.tobytes()


def test_bfloat16_becomes_float32():
    layer = gru(dtype="bfloat16", recurrent_initializer="glorot_uniform")
    layer.build((None, None, F))
    weights = from_keras(layer)[0].forward
    assert weights.dtype == "float32"
    np.testing.assert_array_equal(
        weights.kernel, layer.cell.kernel.numpy().astype("float32")
    )


def test_hard_sigmoids_get_this_packages_names():
    ours = built(gru(kind=tf_gru_addon.GRU, recurrent_activation="hard_sigmoid"))
    assert from_keras(ours)[0].recurrent_activation == "hard_sigmoid"
    theirs = built(gru(recurrent_activation="hard_sigmoid"))
    assert from_keras(theirs)[0].recurrent_activation == "keras_hard_sigmoid"


class OwnCell(keras.layers.SimpleRNNCell):
    pass


def _two_activations():
    return keras.layers.Bidirectional(
        gru(), backward_layer=gru(activation="relu", go_backwards=True)
    )


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (lambda: [keras.layers.Dense(2)], "Expected a GRU among .* received Dense"),
        (lambda: [keras.layers.LSTM(2)], "Expected a GRU among .* received LSTM"),
        (
            lambda: [gru(), keras.layers.Dense(F, name="top"), gru()],
            "top, a Dense, stands between GRUs",
        ),
        (
            lambda: [gru(go_backwards=True, name="a"), gru(name="b")],
            "a has go_backwards=True .* in reverse order to b, .*ReverseTimesteps",
        ),
        (
            lambda: [keras.layers.Bidirectional(gru(), merge_mode="sum")],
            "has merge_mode='sum'",
        ),
        (
            lambda: [
                keras.layers.Bidirectional(gru(go_backwards=True), backward_layer=gru())
            ],
            "must run one GRU forward and then one backward; received reverse, forward",
        ),
        (
            lambda: [keras.layers.Bidirectional(stacked(cell(), cell()))],
            "must run one GRU .* received forward, forward, reverse, reverse",
        ),
        (
            lambda: [_two_activations()],
            "must have the same activation; received tanh and relu",
        ),
        (
            lambda: [gru(activation=lambda x: x)],
            "The activation of .*, <lambda>, is not one that a stack can name",
        ),
        (
            lambda: [stacked(cell(), OwnCell(2))],
            "has a OwnCell; expected only GRU",
        ),
    ],
)
def test_models_that_are_not_a_stack_are_refused(layers, message):
    with pytest.raises(WeightsError, match=message):
        from_keras(built(*layers()))


def test_a_layer_without_weights():
    layer = gru(name="unbuilt")
    with pytest.raises(WeightsError, match="unbuilt has no weights yet: it is not"):
        from_keras(layer)


def test_layers_whose_sizes_do_not_match():
    layers = [built(gru()).layers[0] for _ in range(2)]
    with pytest.raises(WeightsError, match="Layer 1 takes 3 features, but layer 0"):
        from_keras(layers)


def test_other_values_are_not_layers():
    for it in (None, [], "model.keras", [np.ones(3)]):
        with pytest.raises(TypeError, match="layers must be a Keras 3 layer, a list"):
            from_keras(it)
    inputs = keras.Input((None, F))
    model = keras.Model(inputs, gru()(inputs), name="graph")
    with pytest.raises(TypeError, match=r"graph is another model, .*Pass its GRU lay"):
        from_keras(model)
    assert len(from_keras(model.layers)) == 1
