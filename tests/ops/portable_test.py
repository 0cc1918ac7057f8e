"""The portable engine against the oracle: values, gradients, second derivatives."""

import functools
import itertools

import hypothesis
import hypothesis.strategies as st
import keras
import numpy as np
import pytest
import tensorflow as tf
from support import calls, oracles
from support.harness import assert_close

from tf_gru_addon import GRU, activations
from tf_gru_addon.ops import portable

gru_portable = functools.partial(calls.run, portable.ENGINE)

FUNCTIONS = {
    "sigmoid": keras.activations.sigmoid,
    "tanh": keras.activations.tanh,
    "relu": keras.activations.relu,
    "linear": keras.activations.linear,
    "hard_sigmoid": activations.hard_sigmoid,
    "keras_hard_sigmoid": keras.activations.hard_sigmoid,
}


def make_arrays(rng, B=2, T=4, F=3, U=2, reset_after=True, use_bias=True):
    """Returns x, h0, kernel, recurrent kernel and bias (or None), in float64."""
    shapes = [(B, T, F), (B, U), (F, 3 * U), (U, 3 * U)]
    if use_bias:
        shapes.append((2, 3 * U) if reset_after else (3 * U,))
    return [rng.normal(size=shape) for shape in shapes] + [None] * (not use_bias)


def run(arrays, dtype="float64", **options):
    """Runs the engine; returns outputs, last state and a tape's gradients."""
    options = dict(options)
    for name in ("activation", "recurrent_activation"):
        options[name] = FUNCTIONS[options[name]]
    if options.get("mask") is not None:
        options["mask"] = tf.constant(options["mask"])
    for name in ("input_masks", "recurrent_masks"):
        if options.get(name):
            options[name] = [tf.constant(m, dtype) for m in options[name]]
    tensors = [a if a is None else tf.constant(a, dtype) for a in arrays]
    watched = [t for t in tensors if t is not None]
    with tf.GradientTape() as tape:
        tape.watch(watched)
        output, state = gru_portable(*tensors, **options)
        loss = tf.reduce_sum(tf.sin(output)) + tf.reduce_sum(state**2)
    return output, state, tape.gradient(loss, watched)


def oracle(arrays, return_sequences=True, unroll=False, training=False, **options):
    def forward(*arrays):
        x, h0, W, U, *bias = arrays
        outputs, last, state = oracles.gru(
            x, h0, W, U, bias[0] if bias else None, **options
        )
        return (outputs if return_sequences else last), state

    def loss(*arrays):
        output, state = forward(*arrays)
        return np.sin(output).sum() + (state**2).sum()

    arrays = [a for a in arrays if a is not None]
    return *forward(*arrays), oracles.gradients(loss, arrays)


def check(arrays, **options):
    output, state, gradients = run(arrays, **options)
    expected_output, expected_state, expected_gradients = oracle(arrays, **options)
    assert_close(output, expected_output, "float64", "output")
    assert_close(state, expected_state, "float64", "state")
    assert len(gradients) == len(expected_gradients)
    for i, (actual, expected) in enumerate(
        zip(gradients, expected_gradients, strict=True)
    ):
        assert_close(actual, expected, "float64", f"gradient of argument {i}")


@pytest.mark.parametrize("reset_after", [True, False])
@pytest.mark.parametrize("activation", ["tanh", "relu", "linear"])
@pytest.mark.parametrize(
    "recurrent_activation", ["sigmoid", "hard_sigmoid", "keras_hard_sigmoid"]
)
def test_activations(reset_after, activation, recurrent_activation):
    arrays = make_arrays(np.random.default_rng(0), reset_after=reset_after)
    check(
        arrays,
        reset_after=reset_after,
        activation=activation,
        recurrent_activation=recurrent_activation,
    )


@pytest.mark.parametrize("reset_after", [True, False])
@pytest.mark.parametrize(
    ("inputs", "recurrent"), [(1, 0), (3, 0), (0, 1), (0, 3), (1, 1), (3, 3)]
)
def test_dropout_masks(reset_after, inputs, recurrent):
    rng = np.random.default_rng(1)
    arrays = make_arrays(rng, reset_after=reset_after)
    check(
        arrays,
        reset_after=reset_after,
        activation="tanh",
        recurrent_activation="sigmoid",
        input_masks=[2.0 * rng.integers(0, 2, (2, 3)) for _ in range(inputs)] or None,
        recurrent_masks=[2.0 * rng.integers(0, 2, (2, 2)) for _ in range(recurrent)]
        or None,
        training=True,
    )


@hypothesis.settings(max_examples=40, deadline=None)
@hypothesis.given(data=st.data())
def test_any_shape_and_option(data):
    B = data.draw(st.integers(1, 3), "batch")
    T = data.draw(st.integers(1, 5), "timesteps")
    F = data.draw(st.integers(1, 3), "features")
    U = data.draw(st.integers(1, 3), "units")
    flags = {
        name: data.draw(st.booleans(), name)
        for name in (
            "reset_after",
            "zero_output_for_mask",
            "go_backwards",
            "return_sequences",
            "unroll",
            "training",
        )
    }
    rng = np.random.default_rng(data.draw(st.integers(0, 1000), "seed"))
    arrays = make_arrays(
        rng, B, T, F, U, flags["reset_after"], data.draw(st.booleans(), "use_bias")
    )
    mask = None
    if data.draw(st.booleans(), "masked"):
        mask = rng.integers(0, 2, (B, T)).astype(bool)
    check(arrays, activation="tanh", recurrent_activation="sigmoid", mask=mask, **flags)


MASKS = {
    "none": [[1, 1, 1], [1, 1, 1]],
    "right_padded": [[1, 1, 0], [1, 0, 0]],
    "left_padded": [[0, 1, 1], [0, 0, 1]],
    "holes": [[1, 0, 1], [0, 1, 0]],
    "wholly_masked_row": [[0, 0, 0], [1, 1, 1]],
}


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("zero_output_for_mask", [True, False])
@pytest.mark.parametrize("return_sequences", [True, False])
def test_masks(name, zero_output_for_mask, return_sequences):
    check(
        make_arrays(np.random.default_rng(2), T=3),
        reset_after=True,
        activation="tanh",
        recurrent_activation="sigmoid",
        mask=np.array(MASKS[name], bool),
        zero_output_for_mask=zero_output_for_mask,
        return_sequences=return_sequences,
    )


@pytest.mark.parametrize("training", [True, False])
def test_nan_in_padding_reaches_nothing(training):
    arrays = make_arrays(np.random.default_rng(3))
    mask = np.array([[1, 1, 0, 0], [0, 1, 0, 1]], bool)
    arrays[0][~mask] = np.nan
    check(
        arrays,
        reset_after=True,
        activation="tanh",
        recurrent_activation="sigmoid",
        mask=mask,
        training=training,
    )


SECOND_ORDER_OPTIONS = {
    "reset_after": True,
    "activation": "tanh",
    "recurrent_activation": "sigmoid",
}


def second_order_arrays():
    return make_arrays(np.random.default_rng(4), B=1, T=3, F=2, U=2)


WRAPPERS = {
    "eager": lambda f: f,
    "function": tf.function,
    "xla": lambda f: tf.function(f, jit_compile=True),
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize(
    ("persistent", "return_sequences", "training"),
    [(True, True, True), (False, True, False), (True, False, False)],
)
def test_second_derivative(wrapper, persistent, return_sequences, training):
    """The gradient of a gradient's norm, against differences of oracle gradients."""
    arrays = second_order_arrays()

    def second(*tensors):
        with tf.GradientTape(persistent=persistent) as outer:
            outer.watch(tensors)
            with tf.GradientTape(persistent=persistent) as inner:
                inner.watch(tensors)
                output, state = gru_portable(
                    *tensors,
                    reset_after=True,
                    activation=tf.tanh,
                    recurrent_activation=tf.sigmoid,
                    return_sequences=return_sequences,
                    training=training,
                )
                loss = tf.reduce_sum(tf.sin(output)) + tf.reduce_sum(state**2)
            norm = tf.add_n(
                [tf.reduce_sum(g**2) for g in inner.gradient(loss, tensors)]
            )
        return outer.gradient(norm, tensors)

    actual = WRAPPERS[wrapper](second)(*(tf.constant(a) for a in arrays))

    for (i, index), expected in second_derivatives(return_sequences).items():
        assert abs(actual[i].numpy()[index] - expected) < 1e-6 * max(1, abs(expected))


@functools.cache
def second_derivatives(return_sequences):
    """Central differences of the oracle's gradients, for every third number."""
    arrays = second_order_arrays()

    def norm(arrays):
        gradients = oracle(arrays, return_sequences, **SECOND_ORDER_OPTIONS)[2]
        return sum((gradient**2).sum() for gradient in gradients)

    step, results = 1e-6, {}
    for i, array in enumerate(arrays):
        for index in itertools.islice(np.ndindex(array.shape), 0, None, 3):
            norms = []
            for sign in (1, -1):
                moved = [a.copy() for a in arrays]
                moved[i][index] += sign * step
                norms.append(norm(moved))
            results[i, index] = (norms[0] - norms[1]) / (2 * step)
    return results


@pytest.mark.parametrize("return_sequences", [True, False])
@pytest.mark.parametrize("timesteps", [0, 1, 5])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("zero_output_for_mask", [False, True])
def test_unknown_batch_and_timesteps(
    return_sequences, timesteps, masked, zero_output_for_mask
):
    arrays = make_arrays(np.random.default_rng(5), B=3, T=timesteps)
    options = {
        "reset_after": True,
        "return_sequences": return_sequences,
        "zero_output_for_mask": zero_output_for_mask,
    }
    mask = np.array([[1, 0, 1, 1, 0], [0, 0, 1, 0, 1], [0, 0, 0, 0, 0]], bool)
    mask = mask[:, :timesteps]

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, 3], tf.float64),
            tf.TensorSpec([None, 2], tf.float64),
            tf.TensorSpec([None, None], tf.bool),
        ]
    )
    def f(x, h0, mask):
        weights = [tf.constant(a) for a in arrays[2:]]
        with tf.GradientTape() as tape:
            tape.watch([x, h0, *weights])
            output, state = gru_portable(
                x,
                h0,
                *weights,
                activation=tf.tanh,
                recurrent_activation=tf.sigmoid,
                mask=mask if masked else None,
                **options,
            )
            loss = tf.reduce_sum(tf.sin(output)) + tf.reduce_sum(state**2)
        return output, state, tape.gradient(loss, [x, h0, *weights])

    output, state, gradients = f(*arrays[:2], mask)
    expected = oracle(arrays, mask=mask if masked else None, **options)
    assert_close(output, expected[0], "float64")
    assert_close(state, expected[1], "float64")
    for actual, gradient in zip(gradients, expected[2], strict=True):
        assert_close(actual, gradient, "float64")


def test_an_activation_of_the_users_own_is_differentiated():
    """Softmax couples the units, so that no derivative of one output would do."""
    arrays = make_arrays(np.random.default_rng(6))
    tensors = [tf.constant(a) for a in arrays]
    results = []
    for unroll in (True, False):
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            output, _ = gru_portable(
                *tensors,
                reset_after=True,
                activation=tf.nn.softmax,
                recurrent_activation=lambda x: tf.sigmoid(2 * x),
                unroll=unroll,
            )
        results.append([output, *tape.gradient(output, tensors)])
    softmax = lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True)  # noqa: E731
    oracles.ACTIVATIONS["softmax"] = softmax
    oracles.ACTIVATIONS["steep"] = lambda x: 1 / (1 + np.exp(-2 * x))
    expected = oracles.gru(
        *arrays, reset_after=True, activation="softmax", recurrent_activation="steep"
    )[0]

    def loss(*arrays):
        return oracles.gru(
            *arrays,
            reset_after=True,
            activation="softmax",
            recurrent_activation="steep",
        )[0].sum()

    expected = [expected, *oracles.gradients(loss, arrays)]
    for result in results:
        for actual, wanted in zip(result, expected, strict=True):
            assert_close(actual, wanted, "float64")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("training", [True, False])
def test_dtypes(dtype, training):
    arrays = make_arrays(np.random.default_rng(7), B=3, T=6)
    options = {
        "reset_after": True,
        "activation": "tanh",
        "recurrent_activation": "sigmoid",
    }
    output, state, gradients = run(arrays, dtype, training=training, **options)
    expected = oracle(arrays, **options)
    assert output.dtype == state.dtype == dtype
    assert_close(tf.cast(output, "float64"), expected[0], dtype)
    for actual, gradient in zip(gradients, expected[2], strict=True):
        assert_close(tf.cast(actual, "float64"), gradient, dtype)


def test_gradient_sums_weights_outside_of_the_loop():
    """The backward loop holds the three recurrent products and none for the weights."""
    arrays = [tf.constant(a, tf.float32) for a in make_arrays(np.random.default_rng(8))]

    @tf.function
    def f(*tensors):
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            output, _ = gru_portable(
                *tensors,
                reset_after=True,
                activation=tf.tanh,
                recurrent_activation=tf.sigmoid,
                training=True,
            )
        return tape.gradient(output, tensors)

    library = f.get_concrete_function(*arrays).graph.as_graph_def().library.function
    bodies = [g for g in library if "_body_" in g.signature.name]
    products = [sum(n.op == "MatMul" for n in body.node_def) for body in bodies]
    assert products == [3, 3]


@pytest.mark.peer
# Of protobuf's, onnx's and tf2onnx' own making.
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
    """tf2onnx converts the engine's loop, whether the timesteps are known or not."""
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
