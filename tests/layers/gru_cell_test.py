"""GRUCell: the reference's numbers, its arguments, and its use in layers and loops."""

import inspect
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from support import oracles
from support.harness import assert_close

import tf_gru_addon
from tf_gru_addon import GRUCell

B, T, F, U = 3, 5, 4, 2
ACTIVATIONS = [
    ("tanh", "hard_sigmoid"),
    ("tanh", "sigmoid"),
    ("relu", "hard_sigmoid"),
    (None, "sigmoid"),
]


def normal(*shape):
    return np.random.default_rng(sum(shape)).normal(size=shape).astype("float32")


def built(cell):
    """Builds the cell with random weights and biases."""
    cell.build((None, F))
    rng = np.random.default_rng(5)
    cell.set_weights([rng.normal(size=w.shape) for w in cell.weights])
    return cell


def test_signature_equals_tf_2_0s():
    """The names, order and defaults of TF 2.0's documentation."""
    parameters = inspect.signature(GRUCell).parameters
    assert {k: p.default for k, p in parameters.items() if k != "kwargs"} == {
        "units": inspect.Parameter.empty,
        "activation": "tanh",
        "recurrent_activation": "hard_sigmoid",
        "use_bias": True,
        "kernel_initializer": "glorot_uniform",
        "recurrent_initializer": "orthogonal",
        "bias_initializer": "zeros",
        "kernel_regularizer": None,
        "recurrent_regularizer": None,
        "bias_regularizer": None,
        "kernel_constraint": None,
        "recurrent_constraint": None,
        "bias_constraint": None,
        "dropout": 0.0,
        "recurrent_dropout": 0.0,
        "implementation": 1,
        "reset_after": False,
        "seed": None,
    }
    assert parameters["seed"].kind is inspect.Parameter.KEYWORD_ONLY
    assert parameters["reset_after"].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD


@pytest.mark.parametrize("implementation", [1, 2])
@pytest.mark.parametrize("reset_after", [True, False])
@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize(("activation", "recurrent_activation"), ACTIVATIONS)
@pytest.mark.parametrize("masked", [True, False])
def test_against_tf_keras(
    tf_keras,
    implementation,
    reset_after,
    use_bias,
    activation,
    recurrent_activation,
    masked,
):
    """Compares step, masked sequence and gradients with tf_keras (TF 2.0)."""
    options = {
        "activation": activation,
        "recurrent_activation": recurrent_activation,
        "use_bias": use_bias,
        "implementation": implementation,
        "reset_after": reset_after,
    }
    reference = tf_keras.layers.GRUCell(U, **options)
    reference.build((None, F))
    ours = built(GRUCell(U, **options))
    reference.set_weights(ours.get_weights())
    x, h = tf.constant(normal(B, F)), tf.constant(normal(B, U))
    assert_close(ours(x, h)[0], reference(x, h)[0])

    sequence = tf.constant(normal(B, T, F))
    mask = tf.constant(MASK) if masked else None
    theirs = tf_keras.layers.RNN(reference, return_sequences=True, return_state=True)
    mine = keras.layers.RNN(ours, return_sequences=True, return_state=True)

    def run(layer, weights):
        with tf.GradientTape() as tape:
            tape.watch(sequence)
            outputs, state = layer(sequence, mask=mask)
            loss = tf.reduce_sum(outputs**2) + tf.reduce_sum(state)
        return [outputs, state, *tape.gradient(loss, [sequence, *weights])]

    expected = run(theirs, reference.trainable_variables)
    actual = run(mine, [w.value for w in ours.trainable_variables])
    for a, e in zip(actual, expected, strict=True):
        assert_close(a, e)


MASK = np.array([[1, 1, 1, 0, 0], [0, 0, 1, 1, 1], [1, 0, 1, 0, 1]], bool)


@pytest.mark.parametrize("reset_after", [True, False])
@pytest.mark.parametrize("implementation", [1, 2])
@pytest.mark.parametrize("which", ["dropout", "recurrent_dropout"])
def test_where_dropout_masks_apply(reset_after, implementation, which):
    """A recurrent mask multiplies operands of products, not the carried state."""
    cell = built(
        GRUCell(
            U, implementation=implementation, reset_after=reset_after, **{which: 0.5}
        )
    )
    x, h = normal(B, F), normal(B, U)
    output, _ = cell(x, h, training=True)
    count = 3 if implementation == 1 else 1
    if which == "dropout":
        masks = {"input_masks": cell.get_dropout_mask_for_cell(x, True, count)}
    else:
        masks = {
            "recurrent_masks": cell.get_recurrent_dropout_mask_for_cell(h, True, count)
        }
    masks = {k: [np.asarray(m) for m in v] for k, v in masks.items()}
    assert all((m == 0).any() and (m == 2).any() for m in next(iter(masks.values())))
    expected = oracles.gru(
        x[:, None],
        h,
        *cell.get_weights(),
        reset_after=reset_after,
        recurrent_activation="hard_sigmoid",
        **masks,
    )[1]
    assert_close(output, expected)


@pytest.mark.parametrize("rate", ["dropout", "recurrent_dropout"])
def test_rate_one_drops_everything(rate):
    cell = built(GRUCell(U, **{rate: 1.0}))
    x, h = normal(B, F), normal(B, U)
    zero = {
        "input_masks" if rate == "dropout" else "recurrent_masks": [
            np.zeros((B, F if rate == "dropout" else U))
        ]
    }
    expected = oracles.gru(
        x[:, None],
        h,
        *cell.get_weights(),
        reset_after=False,
        recurrent_activation="hard_sigmoid",
        **zero,
    )[1]
    assert_close(cell(x, h, training=True)[0], expected)


def test_recurrent_dropout_does_not_blow_up():
    """tensorflow#32987: TF 2.0 masked the carried state, which grew without bound."""
    cell = GRUCell(16, recurrent_dropout=0.5, implementation=2)
    layer = keras.layers.RNN(cell)
    state = layer(normal(2, 400, F), training=True)
    assert np.abs(state).max() <= 1


def test_implementations_agree_without_dropout():
    one = built(GRUCell(U, implementation=1))
    two = built(GRUCell(U, implementation=2))
    x, h = normal(B, F), normal(B, U)
    np.testing.assert_array_equal(one(x, h)[0], two(x, h)[0])


@pytest.mark.parametrize("reset_after", [True, False])
def test_weights(reset_after):
    cell = built(GRUCell(U, reset_after=reset_after))
    assert [w.name for w in cell.weights] == ["kernel", "recurrent_kernel", "bias"]
    assert cell.kernel.shape == (F, 3 * U)
    assert cell.recurrent_kernel.shape == (U, 3 * U)
    assert cell.bias.shape == ((2, 3 * U) if reset_after else (3 * U,))
    assert built(GRUCell(U, use_bias=False)).bias is None


def test_initializers():
    cell = GRUCell(
        U,
        kernel_initializer="ones",
        recurrent_initializer="zeros",
        bias_initializer=keras.initializers.Constant(3.0),
    )
    cell.build((None, F))
    for weight, value in zip(cell.weights, (1, 0, 3), strict=True):
        assert (weight.numpy() == value).all()


def test_regularizers_are_in_the_losses():
    cell = built(
        GRUCell(
            U,
            kernel_regularizer=keras.regularizers.L1(0.1),
            recurrent_regularizer=keras.regularizers.L1(0.2),
            bias_regularizer=keras.regularizers.L1(0.3),
        )
    )
    expected = [
        rate * np.abs(w).sum()
        for rate, w in zip((0.1, 0.2, 0.3), cell.get_weights(), strict=True)
    ]
    for losses in (cell.losses, keras.layers.RNN(cell).losses):
        np.testing.assert_allclose(losses, expected, rtol=1e-5)


def test_constraints_hold_after_a_training_step():
    cell = GRUCell(
        U,
        kernel_constraint="non_neg",
        recurrent_constraint=keras.constraints.MaxNorm(0.5),
        bias_constraint="non_neg",
    )
    model = keras.Sequential([keras.layers.RNN(cell)])
    model.compile(keras.optimizers.SGD(5.0), "mse")
    model.fit(normal(B, T, F), -np.ones((B, U)), epochs=3, verbose=0)
    kernel, recurrent_kernel, bias = cell.get_weights()
    assert kernel.min() >= 0
    assert bias.min() >= 0
    assert np.linalg.norm(recurrent_kernel, axis=0).max() <= 0.5 + 1e-5
    assert kernel.max() > 0


def test_activations_by_name_object_and_none():
    x, h = normal(B, F), normal(B, U)

    def output(**options):
        return built(GRUCell(U, **options))(x, h)[0].numpy()

    np.testing.assert_array_equal(
        output(activation="tanh"), output(activation=keras.activations.tanh)
    )
    np.testing.assert_array_equal(output(activation=None), output(activation="linear"))
    old, new = (
        output(recurrent_activation="hard_sigmoid"),
        output(recurrent_activation=keras.activations.hard_sigmoid),
    )
    assert np.abs(old - new).max() > 1e-3
    for name, actual in [("hard_sigmoid", old), ("keras_hard_sigmoid", new)]:
        weights = built(GRUCell(U)).get_weights()
        expected = oracles.gru(
            x[:, None], h, *weights, reset_after=False, recurrent_activation=name
        )[1]
        assert_close(actual, expected)


@pytest.mark.parametrize("container", [lambda h: h, lambda h: [h], lambda h: (h,)])
def test_states_keep_their_container(container):
    cell = built(GRUCell(U))
    states = container(tf.constant(normal(B, U)))
    output, new = cell(normal(B, F), states)
    assert type(new) is type(container(output))
    assert output.shape == (B, U)
    np.testing.assert_array_equal(
        new[0] if isinstance(new, list | tuple) else new, output
    )


@pytest.mark.parametrize("mode", ["eager", "function", "function_argument"])
def test_training_as_none_bool_and_tensor(mode):
    cell = built(GRUCell(U, dropout=0.5, recurrent_dropout=0.5))
    x, h = tf.constant(normal(50, F)), tf.constant(normal(50, U))

    def output(training):
        def step(flag=training):
            cell.reset_dropout_mask()
            cell.reset_recurrent_dropout_mask()
            return cell(x, h, training=flag)[0]

        if mode == "eager":
            return step().numpy()
        if mode == "function":
            return tf.function(step)().numpy()
        return tf.function(step)(training).numpy()

    without = output(False)
    np.testing.assert_array_equal(output(None), without)
    np.testing.assert_array_equal(output(tf.constant(False)), without)
    for training in (True, tf.constant(True)):
        assert np.abs(output(training) - without).max() > 1e-3


def test_get_initial_state():
    cell = GRUCell(U)
    state = cell.get_initial_state(batch_size=3)
    assert (state.shape, state.dtype) == ((3, U), tf.float32)
    assert not state.numpy().any()
    state = cell.get_initial_state(inputs=tf.zeros([4, F], tf.float64))
    assert (state.shape, state.dtype) == ((4, U), tf.float64)
    assert cell.get_initial_state(batch_size=2, dtype="float16").dtype == tf.float16
    half = GRUCell(U, dtype="mixed_bfloat16")
    assert half.get_initial_state(batch_size=tf.constant(2)).dtype == tf.bfloat16
    with pytest.raises(ValueError, match="needs inputs or batch_size"):
        cell.get_initial_state()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"units": 0}, "units must be a positive integer; received: 0"),
        ({"units": -3}, "units must be a positive integer; received: -3"),
        ({"units": 2.5}, "units must be a positive integer; received: 2.5"),
        ({"units": "4"}, "units must be a positive integer; received: '4'"),
        ({"units": True}, "units must be a positive integer; received: True"),
        ({"dropout": -0.1}, "dropout must be a fraction between 0 and 1"),
        ({"dropout": 1.5}, "dropout must be a fraction between 0 and 1"),
        ({"dropout": "0.5"}, "dropout must be a fraction between 0 and 1"),
        ({"dropout": float("nan")}, "dropout must be a fraction between 0 and 1"),
        ({"recurrent_dropout": 2}, "recurrent_dropout must be a fraction"),
        ({"implementation": 0}, "implementation must be 1 .* received: 0"),
        ({"implementation": 3}, "implementation must be 1 .* received: 3"),
        ({"activation": "tahn"}, "tahn"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        GRUCell(**{"units": 2, **arguments})


@pytest.mark.parametrize(
    ("x", "h", "message"),
    [
        ((B, T, F), (B, U), r"inputs of .* here \(batch, 4\); received \(3, 5, 4\)"),
        ((B, F + 1), (B, U), r"inputs of .* here \(batch, 4\); received \(3, 5\)"),
        ((B, F), (B, U + 1), r"states of .* here \(3, 2\); received \(3, 3\)"),
        ((B, F), (B + 1, U), r"states of .* here \(3, 2\); received \(4, 2\)"),
        ((B, F), (U,), r"states of .* here \(3, 2\); received \(2,\)"),
    ],
)
def test_bad_shapes(x, h, message):
    cell = built(GRUCell(U))
    with pytest.raises(ValueError, match=message):
        cell(np.zeros(x, "float32"), np.zeros(h, "float32"))


def test_states_of_two_tensors_are_refused():
    cell = built(GRUCell(U))
    h = np.zeros((B, U), "float32")
    for states, received in ([h, h], 2), ([], 0), (None, None):
        with pytest.raises(ValueError, match=f"or hold one; received {received}. get"):
            cell(np.zeros((B, F), "float32"), states=states)


def test_unknown_features_are_refused():
    with pytest.raises(ValueError, match="the features, must be known"):
        GRUCell(U).build((None, None))


@pytest.mark.parametrize(
    ("return_sequences", "return_state", "go_backwards", "unroll", "masked"),
    list(itertools.product([True, False], repeat=5)),
)
def test_inside_rnn(return_sequences, return_state, go_backwards, unroll, masked):
    cell = built(GRUCell(U, reset_after=True, recurrent_activation="sigmoid"))
    layer = keras.layers.RNN(
        cell,
        return_sequences=return_sequences,
        return_state=return_state,
        go_backwards=go_backwards,
        unroll=unroll,
    )
    x = normal(B, T, F)
    mask = MASK if masked else None
    outputs, last, state = oracles.gru(
        x,
        np.zeros((B, U)),
        *cell.get_weights(),
        reset_after=True,
        mask=mask,
        go_backwards=go_backwards,
    )
    result = layer(x, mask=mask)
    output = result[0] if return_state else result
    assert_close(output, outputs if return_sequences else last)
    if return_state:
        assert_close(result[1], state)


def test_unknown_batch_and_time_inside_rnn():
    cell = GRUCell(U)
    inputs = keras.Input((None, F))
    model = keras.Model(inputs, keras.layers.RNN(cell, return_sequences=True)(inputs))
    for batch, timesteps in [(1, 1), (3, 5), (2, 9)]:
        x = normal(batch, timesteps, F)
        expected = oracles.gru(
            x,
            np.zeros((batch, U)),
            *cell.get_weights(),
            reset_after=False,
            recurrent_activation="hard_sigmoid",
        )[0]
        assert_close(model.predict(x, verbose=0), expected)


@pytest.mark.parametrize(
    ("policy", "compute", "variable"),
    [
        ("mixed_bfloat16", "bfloat16", "float32"),
        ("mixed_float16", "float16", "float32"),
        ("float64", "float64", "float64"),
        ("float16", "float16", "float16"),
    ],
)
def test_dtypes_inside_rnn(policy, compute, variable):
    cell = built(GRUCell(U, dtype=policy, dropout=0.3, recurrent_dropout=0.3))
    layer = keras.layers.RNN(cell, return_sequences=True, dtype=policy)
    x = normal(B, T, F)
    output = layer(x)
    assert output.dtype == compute
    assert cell.kernel.dtype == variable
    expected = oracles.gru(
        x,
        np.zeros((B, U)),
        *(w.astype("float64") for w in cell.get_weights()),
        reset_after=False,
        recurrent_activation="hard_sigmoid",
    )[0]
    assert_close(tf.cast(output, "float64"), expected, compute)
    assert layer(x, training=True).dtype == compute


def test_stateful_rnn_continues_from_the_last_state():
    cell = built(GRUCell(U))
    layer = keras.layers.RNN(cell, stateful=True, return_sequences=True)
    x = normal(B, 6, F)
    whole = keras.layers.RNN(cell, return_sequences=True)(x)
    parts = [layer(x[:, :2]), layer(x[:, 2:])]
    assert_close(tf.concat(parts, 1), whole)
    layer.reset_state()
    assert_close(layer(x), whole)


def test_stacked_and_bidirectional_and_fit():
    """Keras' wrappers around the cell train."""
    stacked = keras.layers.StackedRNNCells(
        [GRUCell(3, dropout=0.2, recurrent_dropout=0.2), GRUCell(U, dropout=0.2)]
    )
    model = keras.Sequential(
        [
            keras.Input((None, F)),
            keras.layers.Bidirectional(
                keras.layers.RNN(GRUCell(3, dropout=0.2), return_sequences=True)
            ),
            keras.layers.RNN(stacked),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "mse")
    history = model.fit(
        normal(16, T, F), np.zeros((16, U)), epochs=30, verbose=0, batch_size=8
    ).history["loss"]
    assert history[-1] < 0.5 * history[0]


def test_states_of_stacked_cells(tf_keras):
    """One tensor per cell, as in TF 2.0, in the structure of the given states.

    Keras' own cells return lists of one tensor, but tensors in a functional model.
    """
    layer = keras.layers.RNN([GRUCell(3), GRUCell(U)], return_state=True)
    reference = tf_keras.layers.RNN(
        [tf_keras.layers.GRUCell(3), tf_keras.layers.GRUCell(U)], return_state=True
    )
    x, states = tf.constant(normal(B, T, F)), [tf.zeros([B, 3]), tf.zeros([B, U])]
    symbolic = layer(keras.Input((T, F)))
    for results in (layer(x), reference(x), layer(x, initial_state=states)):
        assert len(results) == len(symbolic) == 3
        assert [y.shape for y in results] == [(B, U), (B, 3), (B, U)]
    _, *nested = layer(x, initial_state=[[state] for state in states])
    assert [type(state) for state in nested] == [list, list]
    for (actual,), expected in zip(nested, layer(x)[1:], strict=True):
        assert_close(actual, expected)


def test_a_cell_inside_a_cell_keeps_its_masks_until_they_are_reset():
    """`keras.layers.RNN` resets only its cell's masks; a function draws new ones."""

    class Outer(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.inner = GRUCell(U, dropout=0.5, seed=1)
            self.state_size = self.output_size = U

        def build(self, shape):
            self.inner.build(shape)

        def call(self, inputs, states, training=None):
            return self.inner(inputs, states, training=training)

    cell = Outer()
    layer = keras.layers.RNN(cell)
    x = tf.constant(normal(B, T, F))
    first = layer(x, training=True)
    np.testing.assert_array_equal(layer(x, training=True), first)
    cell.inner.reset_dropout_mask()
    assert not np.array_equal(layer(x, training=True), first)
    function = tf.function(lambda: layer(x, training=True))
    assert not np.array_equal(function(), function())


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_training_step_follows_the_oracles_gradient(jit_compile):
    """Checks that a step of SGD moves the weights by the oracle's gradient."""
    cell = built(GRUCell(U, reset_after=True, recurrent_activation="sigmoid"))
    model = keras.Sequential([keras.layers.RNN(cell)])
    model.compile(keras.optimizers.SGD(1.0), "mse", jit_compile=jit_compile)
    before = [w.astype("float64") for w in cell.get_weights()]
    x, y = normal(B, T, F), normal(B, U)
    model.fit(x, y, batch_size=B, epochs=1, verbose=0)

    def loss(*weights):
        last = oracles.gru(x, np.zeros((B, U)), *weights, reset_after=True)[1]
        return ((last - y) ** 2).mean()

    gradients = oracles.gradients(loss, before)
    for after, start, gradient in zip(
        cell.get_weights(), before, gradients, strict=True
    ):
        assert_close(after, start - gradient)


def test_public_name():
    assert tf_gru_addon.GRUCell is GRUCell
