"""GRU against keras.layers.GRU, which it replaces, and against the oracle."""

import inspect

import hypothesis
import hypothesis.strategies as st
import keras
import numpy as np
import pytest
import tensorflow as tf
from support import oracles
from support.harness import assert_close

from tf_gru_addon import GRU, GRUCell

B, T, F, U = 3, 5, 4, 2


def normal(*shape):
    return np.random.default_rng(sum(shape)).normal(size=shape).astype("float32")


MASK = np.array([[1, 1, 1, 0, 0], [0, 0, 1, 1, 1], [1, 0, 1, 0, 1]], bool)


def pair(features=F, **options):
    """Returns keras.layers.GRU and this GRU with the same random weights."""
    keras_layer, ours = keras.layers.GRU(U, **options), GRU(U, **options)
    rng = np.random.default_rng(5)
    for layer in (keras_layer, ours):
        layer.build((B, None, features))
    weights = [rng.normal(size=w.shape) for w in ours.get_weights()]
    keras_layer.set_weights(weights)
    ours.set_weights(weights)
    return keras_layer, ours


def run(layer, x, **arguments):
    """Returns the outputs and the gradients of a call."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = tf.nest.flatten(layer(x, **arguments))
        loss = tf.add_n([tf.reduce_sum(tf.sin(output)) for output in outputs])
    return outputs + tape.gradient(loss, [x, *(w.value for w in layer.weights)])


def agree(keras_layer, ours, x, **arguments):
    expected = run(keras_layer, x, **arguments)
    actual = run(ours, x, **arguments)
    assert len(actual) == len(expected)
    for a, e in zip(actual, expected, strict=True):
        assert_close(a, e)


def test_signature_equals_keras():
    theirs = list(inspect.signature(keras.layers.GRU).parameters.values())
    ours = list(inspect.signature(GRU).parameters.values())
    names = [p.name for p in ours]
    assert names[-3:] == ["implementation", "engine", "kwargs"]
    assert [(p.name, p.default, p.kind) for p in ours[:-3]] == [
        (p.name, p.default, p.kind) for p in theirs[:-1]
    ]


@hypothesis.settings(max_examples=40, deadline=None)
@hypothesis.given(data=st.data())
def test_same_numbers_as_keras(data):
    options = {
        name: data.draw(st.booleans(), name)
        for name in (
            "return_sequences",
            "return_state",
            "go_backwards",
            "unroll",
            "reset_after",
            "use_bias",
            "zero_output_for_mask",
        )
    }
    options["activation"] = data.draw(
        st.sampled_from(["tanh", "relu", None, "selu"]), "activation"
    )
    options["recurrent_activation"] = data.draw(
        st.sampled_from(["sigmoid", keras.activations.hard_sigmoid]), "recurrent"
    )
    arguments = {}
    if data.draw(st.booleans(), "masked"):
        arguments["mask"] = tf.constant(MASK)
    if data.draw(st.booleans(), "initial_state"):
        arguments["initial_state"] = tf.constant(normal(B, U))
    keras_layer, ours = pair(**options)
    # Unrolled and backwards, Keras 3.15 zeroes outputs by an unreversed mask; its loop
    # is right, and is the reference for both.
    keras_layer.unroll = False
    agree(keras_layer, ours, tf.constant(normal(B, T, F)), **arguments)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_same_numbers_in_functions_of_unknown_batch_and_time(jit_compile, masked):
    for layer_options in ({"return_sequences": True}, {"reset_after": False}):
        functions = []
        for layer in pair(**layer_options):

            @tf.function(
                input_signature=[
                    tf.TensorSpec([None, None, F]),
                    tf.TensorSpec([None, None], tf.bool),
                ],
                jit_compile=jit_compile,
            )
            def f(x, mask, layer=layer):
                return run(layer, x, mask=mask if masked else None)

            functions.append(f)
        for timesteps in (1, 5):
            x, mask = normal(B, timesteps, F), MASK[:, :timesteps]
            for e, a in zip(*(f(x, mask) for f in functions), strict=True):
                assert_close(a, e)


@pytest.mark.parametrize("kind", ["masking", "embedding"])
def test_masks_of_other_layers(kind):
    models = []
    for cls in (keras.layers.GRU, GRU):
        keras.utils.set_random_seed(1)
        if kind == "masking":
            inputs = keras.Input((None, F))
            x = keras.layers.Masking()(inputs)
        else:
            inputs = keras.Input((None,), dtype="int32")
            x = keras.layers.Embedding(10, F, mask_zero=True)(inputs)
        x = cls(3, return_sequences=True, bias_initializer="normal")(x)
        models.append(keras.Model(inputs, [x, cls(U, go_backwards=True)(x)]))
    models[1].set_weights(models[0].get_weights())
    data = normal(B, T, F) * MASK[..., None]
    if kind == "embedding":
        data = np.arange(1, T + 1) * MASK
    for e, a in zip(*(m.predict(data, verbose=0) for m in models), strict=True):
        assert_close(a, e)


@pytest.mark.parametrize("return_sequences", [True, False])
@pytest.mark.parametrize("merge_mode", ["concat", "sum", None])
def test_bidirectional_with_a_mask(return_sequences, merge_mode):
    """Bidirectional sets `zero_output_for_mask` after the layer's construction."""
    layers = [
        keras.layers.Bidirectional(layer, merge_mode=merge_mode)
        for layer in pair(return_sequences=return_sequences, return_state=True)
    ]
    x = tf.constant(normal(B, T, F))
    layers[0](x)
    layers[1](x)
    layers[1].set_weights(layers[0].get_weights())
    agree(*layers, x, mask=tf.constant(MASK))
    agree(*layers, x)
    state = tf.constant(normal(B, U))
    agree(*layers, x, initial_state=[state, state])


def test_time_distributed():
    layers = [keras.layers.TimeDistributed(layer) for layer in pair()]
    x = tf.constant(normal(2, 3, T, F))
    for layer in layers:
        layer(x)
    agree(*layers, x)


def test_stateful():
    layers = pair(stateful=True, return_sequences=True)
    for x in (normal(B, 2, F), normal(B, T, F)):
        outputs = [layer(x) for layer in layers]
        assert_close(outputs[1], outputs[0])
        assert_close(layers[1].states[0], layers[0].states[0])
    for layer in layers:
        layer.reset_state()
    assert not layers[1].states[0].numpy().any()
    agree(*layers, tf.constant(normal(B, T, F)))
    state = normal(B, U)
    agree(*layers, tf.constant(normal(B, T, F)), initial_state=tf.constant(state))


def test_stateful_needs_its_batch_size():
    layer = GRU(U, stateful=True)
    layer(normal(B, T, F))
    with pytest.raises(ValueError, match=r"here \(4, 2\); received \(3, 2\).*stateful"):
        layer(normal(B + 1, T, F))
    with pytest.raises(ValueError, match="batch size must be static"):
        GRU(U, stateful=True).build((None, T, F))


def test_initial_state_as_a_keras_tensor_and_as_a_list():
    inputs = [keras.Input((None, F)), keras.Input((U,))]
    keras_layer, ours = pair()
    models = [
        keras.Model(inputs, layer(inputs[0], initial_state=state))
        for layer, state in ((keras_layer, inputs[1]), (ours, [inputs[1]]))
    ]
    data = [normal(B, T, F), normal(B, U)]
    expected, actual = (m(data) for m in models)
    assert_close(actual, expected)


def test_activity_regularizer():
    layers = pair(activity_regularizer=keras.regularizers.L2(0.1))
    x = normal(B, T, F)
    losses = [layer(x) is not None and layer.losses for layer in layers]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)
    assert losses[1][0] > 0


@pytest.mark.parametrize("return_sequences", [True, False])
@pytest.mark.parametrize("unroll", [True, False])
def test_no_timesteps(return_sequences, unroll):
    layer = GRU(U, return_sequences=return_sequences, return_state=True, unroll=unroll)
    state = tf.constant(normal(B, U))
    output, last = layer(tf.zeros([B, 0, F]), initial_state=state)
    assert output.shape == ((B, 0, U) if return_sequences else (B, U))
    assert not output.numpy().any()
    np.testing.assert_array_equal(last, state)


@pytest.mark.parametrize("implementation", [1, 2])
@pytest.mark.parametrize("reset_after", [True, False])
def test_dropout_agrees_with_the_oracle(implementation, reset_after, monkeypatch):
    """The equations use the masks that the layer draws."""
    drawn = []

    def spy(*arguments):
        drawn.append(dropout_masks(*arguments))
        return drawn[-1]

    from tf_gru_addon.layers import gru

    dropout_masks = gru.dropout_masks
    monkeypatch.setattr(gru, "dropout_masks", spy)
    _, layer = pair(dropout=0.4, reset_after=reset_after, return_sequences=True)
    layer.cell.recurrent_dropout = 0.4
    layer.cell.implementation = implementation
    x = normal(B, T, F)
    output = layer(x, training=True)
    inputs, recurrent = ([m.numpy() for m in masks] for masks in drawn)
    assert len(inputs) == len(recurrent) == (3 if implementation == 1 else 1)
    assert inputs[0].shape == (B, F)
    assert recurrent[0].shape == (B, U)
    expected = oracles.gru(
        x,
        np.zeros((B, U)),
        *layer.get_weights(),
        reset_after=reset_after,
        input_masks=inputs,
        recurrent_masks=recurrent,
    )[0]
    assert_close(output, expected)
    assert not np.array_equal(layer(x, training=True), output)
    assert_close(layer(x), layer(x, training=False))


def test_implementation_defaults_as_in_keras():
    assert GRU(U).implementation == 2
    assert GRU(U, dropout=0.5).implementation == 2
    assert GRU(U, recurrent_dropout=0.5).implementation == 1
    assert GRU(U, recurrent_dropout=0.5, implementation=2).implementation == 2


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("implementation", [1, 2])
def test_dropout_trains_where_keras_crashes(implementation, jit_compile):
    """keras.layers.GRU(implementation=1, dropout=...) fails in training."""
    model = keras.Sequential(
        [
            keras.Input((None, F)),
            GRU(
                8,
                implementation=implementation,
                dropout=0.1,
                recurrent_dropout=0.1,
                return_sequences=True,
            ),
            keras.layers.Bidirectional(GRU(4, dropout=0.1)),
            keras.layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.Adam(0.02), "mse", jit_compile=jit_compile)
    x = normal(32, T, F)
    y = x.mean((1, 2))[:, None]
    losses = model.fit(x, y, epochs=15, batch_size=16, verbose=0).history["loss"]
    assert losses[-1] < 0.6 * losses[0]


@pytest.mark.parametrize(
    ("policy", "compute"),
    [
        ("mixed_bfloat16", "bfloat16"),
        ("mixed_float16", "float16"),
        ("float64", "float64"),
    ],
)
@pytest.mark.parametrize("masked", [True, False])
def test_dtypes(policy, compute, masked):
    _, layer = pair(dtype=policy, return_sequences=True, return_state=True)
    x = normal(B, T, F)
    mask = MASK if masked else None
    output, state = layer(x, mask=mask)
    assert output.dtype == state.dtype == compute
    expected = oracles.gru(
        x,
        np.zeros((B, U)),
        *(w.astype("float64") for w in layer.get_weights()),
        reset_after=True,
        mask=mask,
    )
    assert_close(tf.cast(output, "float64"), expected[0], compute)
    assert_close(tf.cast(state, "float64"), expected[2], compute)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "float64"])
def test_fit_in_other_dtypes(policy):
    keras.config.set_dtype_policy(policy)
    model = keras.Sequential(
        [GRU(4, dropout=0.1, recurrent_dropout=0.1, stateful=True)]
    )
    model.compile("adam", "mse")
    loss = model.fit(
        normal(4, T, F), np.zeros((4, 4)), batch_size=4, epochs=2, verbose=0
    ).history["loss"]
    assert np.isfinite(loss).all()


@pytest.mark.parametrize("variable", [tf.Variable, keras.Variable])
@pytest.mark.parametrize("wrapper", [lambda f: f, tf.function])
def test_training_as_a_variable(variable, wrapper):
    flag = variable(False, dtype="bool")
    x = tf.constant(normal(B, T, F))
    for layer in (GRU(U, dropout=0.5), keras.layers.RNN(GRUCell(U, dropout=0.5))):
        call = wrapper(lambda layer=layer: layer(x, training=flag))
        flag.assign(False)
        np.testing.assert_array_equal(call(), layer(x))
        flag.assign(True)
        assert not np.array_equal(call(), layer(x))


def test_training_as_a_tensor():
    layer = GRU(U, dropout=0.5, recurrent_dropout=0.5)
    x = tf.constant(normal(B, T, F))
    f = tf.function(lambda training: layer(x, training=training))
    np.testing.assert_array_equal(f(tf.constant(False)), layer(x))
    assert not np.array_equal(f(tf.constant(True)), layer(x))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"units": 0}, "units must be a positive integer"),
        ({"dropout": 1.1}, "dropout must be a fraction"),
        ({"recurrent_dropout": -1}, "recurrent_dropout must be a fraction"),
        ({"implementation": 3}, "implementation must be 1"),
        ({"time_major": True}, "time_major=True is not supported.* transpose"),
        ({"retrun_sequences": True}, "retrun_sequences"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        GRU(**{"units": U, **arguments})


def test_time_major_false_is_accepted():
    GRU(U, time_major=False)


@pytest.mark.parametrize(
    ("x", "arguments", "message"),
    [
        ((B, F), {}, r"sequences of .*, timesteps, 4\); received \(3, 4\)"),
        ((B, T, F + 1), {}, r"sequences of .* timesteps, 4\); received \(3, 5, 5\)"),
        (
            (B, T, F),
            {"initial_state": np.zeros((B, U + 1), "float32")},
            r"initial_state of .* here \(3, 2\); received \(3, 3\)",
        ),
        (
            (B, T, F),
            {"initial_state": [np.zeros((B, U), "float32")] * 2},
            "must hold one tensor; received 2",
        ),
        (
            (B, T, F),
            {"mask": np.ones((B, T + 1), bool)},
            r"mask of .* here \(3, 5\); received \(3, 6\)",
        ),
        (
            (B, T, F),
            {"mask": np.ones((B, T, 2), bool)},
            r"mask of .* here \(3, 5\); received \(3, 5, 2\)",
        ),
    ],
)
def test_bad_shapes(x, arguments, message):
    layer = GRU(U)
    layer.build((None, None, F))
    with pytest.raises(ValueError, match=message):
        layer(np.zeros(x, "float32"), **arguments)


@pytest.mark.parametrize("shape", [(None, 6), (None, 5, None), (2, 3, 4, 5)])
def test_a_shape_that_cannot_be_built_leaves_the_layer_usable(shape):
    layer = GRU(U)
    with pytest.raises(ValueError, match=r"received \(.*needs return_sequences=True"):
        layer.build(shape)
    assert layer(np.zeros((B, T, F), "float32")).shape == (B, U)


def test_a_layer_after_one_that_returns_no_sequences():
    with pytest.raises(ValueError, match="needs return_sequences=True"):
        keras.Sequential([keras.Input((None, F)), GRU(U), GRU(U)])


def test_a_mask_with_three_axes():
    _, layer = pair()
    x = normal(B, T, F)
    np.testing.assert_array_equal(
        layer(x, mask=tf.constant(MASK)[..., None]), layer(x, mask=MASK)
    )


def test_unknown_timesteps_cannot_be_unrolled():
    layer = GRU(U, unroll=True)
    layer.build((None, None, F))
    with pytest.raises(ValueError, match="cannot unroll an unknown number"):
        tf.function(layer).get_concrete_function(tf.TensorSpec([None, None, F]))


@pytest.mark.parametrize("built", [False, True])
@pytest.mark.parametrize("options", [{}, {"reset_after": True, "implementation": 2}])
def test_from_cell(built, options):
    cell = GRUCell(U, kernel_regularizer="l2", dropout=0.3, seed=4, **options)
    x = tf.constant(normal(B, T, F))
    rnn = keras.layers.RNN(cell, return_sequences=True, go_backwards=True)
    if built:
        rnn(x)
    layer = GRU.from_cell(cell, return_sequences=True, go_backwards=True)
    actual = layer(x, mask=tf.constant(MASK))
    assert_close(actual, rnn(x, mask=tf.constant(MASK)))
    assert layer.cell is cell
    assert [id(w) for w in layer.weights] == [id(w) for w in cell.weights]
    assert len(layer.losses) == 1
    copy = GRU.from_config(layer.get_config())
    copy(x)
    copy.set_weights(layer.get_weights())
    assert_close(copy(x), layer(x))


def test_from_cell_takes_only_this_packages_cell():
    with pytest.raises(TypeError, match=r"cell must be .* keras.*GRUCell"):
        GRU.from_cell(keras.layers.GRUCell(U))
    with pytest.raises(TypeError, match="dropout is an argument of the cell"):
        GRU.from_cell(GRUCell(U), dropout=0.5)


@pytest.mark.peer
@pytest.mark.parametrize("bidirectional", [False, True])
def test_against_torch(bidirectional):
    """PyTorch orders the gates r, z, n and has two biases; the rest is the same."""
    torch = pytest.importorskip("torch", reason="torch is not installed ([peers])")
    theirs = torch.nn.GRU(F, U, batch_first=True, bidirectional=bidirectional)
    ours = GRU(U, return_sequences=True)
    if bidirectional:
        ours = keras.layers.Bidirectional(ours)
    x = normal(B, T, F)
    ours(x)

    def from_torch(suffix):
        kernel, recurrent, b_in, b_rec = (
            getattr(theirs, f"{name}_l0{suffix}").detach().numpy()
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )

        def gates(array):
            r, z, n = np.split(array, 3)
            return np.concatenate([z, r, n]).T

        bias = np.stack([gates(b_in), gates(b_rec)])
        return [gates(kernel), gates(recurrent), bias]

    ours.set_weights(from_torch("") + (from_torch("_reverse") if bidirectional else []))
    x_torch = torch.tensor(x, requires_grad=True)
    expected = theirs(x_torch)[0]
    (expected**2).sum().backward()
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        actual = ours(x, training=True)
        loss = tf.reduce_sum(actual**2)
    assert_close(actual, expected.detach().numpy())
    assert_close(tape.gradient(loss, x), x_torch.grad.numpy())
