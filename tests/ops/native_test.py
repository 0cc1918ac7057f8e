"""The native engine against the oracle: values, gradients, second derivatives."""

import functools
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from support import calls, oracles
from support.harness import assert_close, op_types, run_python

from tf_gru_addon import activations, native
from tf_gru_addon.ops import native as module
from tf_gru_addon.ops import portable

gru_native = functools.partial(calls.run, module.ENGINE)
gru_portable = functools.partial(calls.run, portable.ENGINE)

pytestmark = pytest.mark.skipif(
    not native.status().available, reason=native.status().reason
)

FUNCTIONS = {
    "sigmoid": keras.activations.sigmoid,
    "tanh": keras.activations.tanh,
    "relu": keras.activations.relu,
    "linear": keras.activations.linear,
    "hard_sigmoid": activations.hard_sigmoid,
    "keras_hard_sigmoid": keras.activations.hard_sigmoid,
}
USUAL = {"activation": "tanh", "recurrent_activation": "sigmoid"}


def make_arrays(seed=0, B=2, T=4, F=3, U=2, reset_after=True, use_bias=True):
    """Returns x, h0, kernel, recurrent kernel and bias (or None), in float32."""
    rng = np.random.default_rng(seed)
    shapes = [(B, T, F), (B, U), (F, 3 * U), (U, 3 * U)]
    if use_bias:
        shapes.append((2, 3 * U) if reset_after else (3 * U,))
    arrays = [rng.normal(0, 0.7, shape).astype("float32") for shape in shapes]
    return arrays + [None] * (not use_bias)


def to_tensors(options):
    """Returns the options as the engine takes them."""
    options = dict(options)
    for name in ("activation", "recurrent_activation"):
        options[name] = FUNCTIONS[options[name]]
    if options.get("mask") is not None:
        options["mask"] = tf.constant(options["mask"])
    for name in ("input_masks", "recurrent_masks"):
        if options.get(name):
            options[name] = [tf.constant(m, "float32") for m in options[name]]
    return options


def run(arrays, engine=gru_native, **options):
    """Runs the engine; returns outputs, last state and a tape's gradients."""
    tensors = [a if a is None else tf.constant(a) for a in arrays]
    watched = [t for t in tensors if t is not None]
    with tf.GradientTape() as tape:
        tape.watch(watched)
        output, state = engine(*tensors, **to_tensors(options))
        loss = tf.reduce_sum(tf.sin(output)) + tf.reduce_sum(state**2)
    return [output, state, *tape.gradient(loss, watched)]


def oracle(arrays, return_sequences=True, training=False, **options):
    """Returns the same, of the oracle."""

    def forward(*arrays):
        x, h0, W, U, *bias = arrays
        outputs, last, state = oracles.gru(
            x, h0, W, U, bias[0] if bias else None, **options
        )
        return (outputs if return_sequences else last), state

    def loss(*arrays):
        output, state = forward(*arrays)
        return np.sin(output).sum() + (state**2).sum()

    arrays = [a.astype("float64") for a in arrays if a is not None]
    return [*forward(*arrays), *oracles.gradients(loss, arrays)]


def check(arrays, **options):
    actual, expected = run(arrays, **options), oracle(arrays, **options)
    assert len(actual) == len(expected)
    for i, (a, e) in enumerate(zip(actual, expected, strict=True)):
        assert_close(a, e, what=f"result {i}")


@pytest.mark.parametrize("reset_after", [True, False])
@pytest.mark.parametrize("activation", FUNCTIONS)
@pytest.mark.parametrize("recurrent_activation", FUNCTIONS)
def test_activations(reset_after, activation, recurrent_activation):
    check(
        make_arrays(reset_after=reset_after),
        reset_after=reset_after,
        activation=activation,
        recurrent_activation=recurrent_activation,
    )


@pytest.mark.parametrize("reset_after", [True, False])
@pytest.mark.parametrize("inputs", [0, 1, 3])
@pytest.mark.parametrize("recurrent", [0, 1, 3])
@pytest.mark.parametrize("use_bias", [True, False])
def test_dropout_masks(reset_after, inputs, recurrent, use_bias):
    rng = np.random.default_rng(1)
    check(
        make_arrays(reset_after=reset_after, use_bias=use_bias),
        reset_after=reset_after,
        input_masks=[2.0 * rng.integers(0, 2, (2, 3)) for _ in range(inputs)] or None,
        recurrent_masks=[2.0 * rng.integers(0, 2, (2, 2)) for _ in range(recurrent)]
        or None,
        training=True,
        **USUAL,
    )


MASKS = {
    "none": [[1, 1, 1], [1, 1, 1]],
    "right_padded": [[1, 1, 0], [1, 0, 0]],
    "left_padded": [[0, 1, 1], [0, 0, 1]],
    "holes": [[1, 0, 1], [0, 1, 0]],
    "wholly_masked_row": [[0, 0, 0], [1, 1, 1]],
    "all_masked": [[0, 0, 0], [0, 0, 0]],
}


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("zero_output_for_mask", [True, False])
@pytest.mark.parametrize("return_sequences", [True, False])
@pytest.mark.parametrize("go_backwards", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_masks(name, zero_output_for_mask, return_sequences, go_backwards, training):
    arrays = make_arrays(T=3)
    mask = np.array(MASKS[name], bool)
    arrays[0][~mask] = np.nan  # What stands in the padding must reach nothing.
    check(
        arrays,
        reset_after=True,
        mask=mask,
        zero_output_for_mask=zero_output_for_mask,
        return_sequences=return_sequences,
        go_backwards=go_backwards,
        training=training,
        **USUAL,
    )


@pytest.mark.parametrize("reset_after", [True, False])
@pytest.mark.parametrize("shape", [(17, 3, 37, 61), (1, 9, 5, 128), (9, 2, 1, 33)])
def test_awkward_shapes_agree_with_the_portable_engine(reset_after, shape):
    """In float64, for an oracle by complex steps would take hours."""
    B, T, F, U = shape
    arrays = make_arrays(2, B, T, F, U, reset_after)
    mask = np.random.default_rng(3).integers(0, 4, (B, T)) > 0
    options = {"reset_after": reset_after, "mask": mask, **USUAL}
    double = [a.astype("float64") for a in arrays]
    for actual, expected in zip(
        run(arrays, training=True, **options),
        run(double, gru_portable, **options),
        strict=True,
    ):
        assert_close(actual, expected)


@pytest.mark.parametrize("return_sequences", [True, False])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("batch", "timesteps"), [(3, 0), (3, 5), (0, 5), (0, 0)])
def test_unknown_batch_and_timesteps(return_sequences, training, batch, timesteps):
    arrays = make_arrays(B=batch, T=timesteps)
    options = {
        "reset_after": True,
        "return_sequences": return_sequences,
        "training": training,
        **USUAL,
    }

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, 3]),
            tf.TensorSpec([None, 2]),
        ]
    )
    def f(x, h0):
        weights = [tf.constant(a) for a in arrays[2:]]
        with tf.GradientTape() as tape:
            tape.watch([x, h0, *weights])
            output, state = gru_native(x, h0, *weights, **to_tensors(options))
            loss = tf.reduce_sum(tf.sin(output)) + tf.reduce_sum(state**2)
        assert output.shape.as_list() == [None] * (1 + return_sequences) + [2]
        gradients = tape.gradient(loss, [x, h0, *weights])
        assert gradients[-1].shape == arrays[-1].shape
        return [output, state, *gradients]

    for actual, expected in zip(f(*arrays[:2]), oracle(arrays, **options), strict=True):
        assert_close(actual, expected)


@pytest.mark.parametrize("return_sequences", [True, False])
def test_the_op_really_runs(return_sequences):
    arrays = [tf.constant(a) for a in make_arrays()]

    @tf.function
    def f(*tensors):
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            output, _ = gru_native(
                *tensors,
                reset_after=True,
                training=True,
                return_sequences=return_sequences,
                **to_tensors(USUAL),
            )
        return tape.gradient(output, tensors)

    ops = {op for op in op_types(f.get_concrete_function(*arrays)) if "Gru" in op}
    last = "" if return_sequences else "Last"
    assert ops == {f"TfGruAddon>Gru{last}Training", "TfGruAddon>GruGradient"}


def second_gradients(engine, arrays, dtype, wrap, **options):
    tensors = [tf.constant(a, dtype) for a in arrays]
    options = to_tensors(options)
    if options.get("recurrent_masks"):
        options["recurrent_masks"] = [
            tf.cast(m, dtype) for m in options["recurrent_masks"]
        ]

    def f(*tensors):
        with tf.GradientTape() as outer:
            outer.watch(tensors)
            with tf.GradientTape() as inner:
                inner.watch(tensors)
                output, state = engine(*tensors, **options)
                loss = tf.reduce_sum(tf.sin(output)) + tf.reduce_sum(state**2)
            norm = tf.add_n(
                [tf.reduce_sum(g**2) for g in inner.gradient(loss, tensors)]
            )
        return outer.gradient(norm, tensors)

    return wrap(f)(*tensors)


@pytest.mark.parametrize("wrap", [tf.function, lambda f: f])
@pytest.mark.parametrize("return_sequences", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_second_derivative(wrap, return_sequences, training):
    arrays = make_arrays()
    options = {
        "return_sequences": return_sequences,
        "training": training,
        "reset_after": False,
        "mask": np.array([[1, 1, 0, 1], [0, 1, 1, 1]], bool),
        "recurrent_masks": [np.array([[2.0, 0.0], [2.0, 2.0]])],
        **USUAL,
    }
    arrays[-1] = arrays[-1][0]
    expected = second_gradients(gru_portable, arrays, "float64", wrap, **options)
    actual = second_gradients(gru_native, arrays, "float32", wrap, **options)
    for a, e in zip(actual, expected, strict=True):
        assert_close(a, e)


def test_tf_gradients():
    arrays = make_arrays()
    with tf.Graph().as_default():
        tensors = [tf.constant(a) for a in arrays]
        output, state = gru_native(*tensors, reset_after=True, **to_tensors(USUAL))
        loss = tf.reduce_sum(tf.sin(output)) + tf.reduce_sum(state**2)
        results = [output, state, *tf.gradients(loss, tensors)]
        with tf.compat.v1.Session() as session:
            results = session.run(results)
    for actual, expected in zip(
        results, oracle(arrays, reset_after=True, **USUAL), strict=True
    ):
        assert_close(actual, expected)


def test_a_loaded_saved_model_trains(tmp_path):
    arrays = make_arrays()

    class Model(tf.Module):
        def __init__(self):
            self.weights = [tf.Variable(a) for a in arrays[2:]]

        @tf.function(input_signature=[tf.TensorSpec([None, None, 3])])
        def __call__(self, x):
            h0 = tf.zeros([tf.shape(x)[0], 2])
            return gru_native(
                x, h0, *self.weights, reset_after=True, **to_tensors(USUAL)
            )[0]

    model = Model()
    tf.saved_model.save(model, tmp_path)
    loaded = tf.saved_model.load(tmp_path)
    gradients = []
    for m in (model, loaded):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(m(arrays[0]) ** 2)
        gradients.append(tape.gradient(loss, m.weights))
    for actual, expected in zip(*gradients, strict=True):
        assert_close(actual, expected)


SHAPES = {
    "inputs": [(2, 3), (), (2, 4, 3, 1), (3, 4, 3), (2, 4, 4)],
    "initial_state": [(2,), (3, 2), (2, 5), (2, 2, 1)],
    "kernel": [(3, 5), (6,), (4, 6), ()],
    "recurrent_kernel": [(2, 5), (6, 2), (2,), (2, 6, 1)],
    "bias": [(6,), (2, 5), (3, 6), ()],
    "mask": [(2, 3), (4, 2), (2, 4, 1), ()],
    "input_masks": [(2, 2), (2,), (1, 3)],
    "recurrent_masks": [(2, 3), (2,), (1, 2)],
}
NAMES = ("inputs", "initial_state", "kernel", "recurrent_kernel", "bias")


@pytest.mark.parametrize(
    ("name", "shape"), [(name, shape) for name in SHAPES for shape in SHAPES[name]]
)
@pytest.mark.parametrize("traced", [False, True])
def test_shapes_that_do_not_fit_are_refused(name, shape, traced):
    """Eagerly, and where the shapes are not known before the op runs."""
    arguments = dict(zip(NAMES, make_arrays(), strict=True))
    if name == "mask":
        arguments["mask"] = np.ones(shape, bool)
    else:
        value = np.ones(shape, "float32")
        arguments[name] = [value] if name.endswith("masks") else value

    def f(arguments):
        return gru_native(**arguments, reset_after=True, **to_tensors(USUAL))

    if traced:
        signature = tf.nest.map_structure(
            lambda a: tf.TensorSpec(None, a.dtype), arguments
        )
        f = tf.function(f, input_signature=[signature])
    # An argument is blamed where it is the first that does not fit the others.
    blamed = "initial_state|kernel" if name == "inputs" else name
    blamed += "|recurrent_kernel|kernel" if name == "initial_state" else ""
    with pytest.raises(
        tf.errors.InvalidArgumentError,
        match=rf"({blamed}|{name}) must have the shape \(.*\), here \(.*; received \(",
    ):
        f(tf.nest.map_structure(tf.constant, arguments))


def test_shapes_that_do_not_fit_are_refused_when_traced():
    arrays = make_arrays()
    arrays[2] = arrays[2][:, :5]
    with pytest.raises(ValueError, match="kernel must have the shape"):
        tf.function(gru_native).get_concrete_function(
            *[tf.constant(a) for a in arrays], reset_after=True, **to_tensors(USUAL)
        )


@pytest.mark.parametrize("name", NAMES)
def test_dtypes_other_than_float32_are_refused(name):
    arguments = dict(zip(NAMES, make_arrays(), strict=True))
    arguments[name] = tf.constant(arguments[name], "float64")
    with pytest.raises((tf.errors.InvalidArgumentError, TypeError)):
        gru_native(**arguments, reset_after=True, **to_tensors(USUAL))


@pytest.mark.parametrize(
    "shape", [(1, 2**50, 0), (0, 2**62, 3), (2**30, 2**30, 0), (2**62, 0, 0)]
)
def test_huge_shapes_are_no_crash(shape):
    x = tf.zeros(shape)
    h0 = tf.zeros([shape[0] if shape[0] < 2**20 else 1, 2])
    weights = [tf.zeros([shape[2], 6]), tf.zeros([2, 6]), None]
    call = functools.partial(
        gru_native, x, h0, *weights, reset_after=True, **to_tensors(USUAL)
    )
    if shape[0] == 0:
        assert call()[0].shape == (0, shape[1], 2)
    else:
        with pytest.raises(
            (tf.errors.InvalidArgumentError, tf.errors.ResourceExhaustedError)
        ):
            call()


@pytest.mark.parametrize("shape", [(0, 4, 3, 2), (2, 0, 3, 2), (2, 4, 0, 2)])
@pytest.mark.parametrize("reset_after", [True, False])
def test_empty_dimensions(shape, reset_after):
    check(make_arrays(0, *shape, reset_after), reset_after=reset_after, **USUAL)


def test_no_units():
    results = run(make_arrays(U=0), reset_after=True, **USUAL)
    assert [r.shape for r in results[:2]] == [(2, 4, 0), (2, 0)]
    assert not results[2].numpy().any()


PROGRAM = """
import sys
sys.path[:0] = sys.argv[1].split(":")
import native_test as t
import numpy as np
from tf_gru_addon import native
results = []
for reset_after in (True, False):
    arrays = t.make_arrays(5, 19, 6, 37, 53, reset_after)
    mask = np.random.default_rng(6).integers(0, 4, (19, 6)) > 0
    options = {"mask": mask, "training": True, **t.USUAL}
    results += t.run(arrays, reset_after=reset_after, **options)
np.savez(sys.argv[2], *results)
print(native.status().reason)
"""


def results_of_a_process(tmp_path, **environment):
    folders = f"{Path(oracles.__file__).parents[1]}:{Path(__file__).parent}"
    process = run_python(PROGRAM, folders, tmp_path / "x.npz", env=environment)
    with np.load(tmp_path / "x.npz") as results:
        return process.stdout, list(results.values())


def test_instruction_sets_agree(tmp_path):
    expected = []
    for reset_after in (True, False):
        arrays = make_arrays(5, 19, 6, 37, 53, reset_after)
        mask = np.random.default_rng(6).integers(0, 4, (19, 6)) > 0
        expected += run(
            [a.astype("float64") for a in arrays],
            gru_portable,
            reset_after=reset_after,
            mask=mask,
            **USUAL,
        )
    names = {"generic", native.status().reason.split()[-1]}
    if "avx512" in names:
        names.add("avx2")
    for name in names:
        said, results = results_of_a_process(tmp_path, TF_GRU_ADDON_ISA=name)
        assert said.split()[-1] == name
        for a, e in zip(results, expected, strict=True):
            assert_close(a, e, what=name)


def test_numbers_do_not_depend_on_the_number_of_threads(tmp_path):
    first, *others = (
        results_of_a_process(tmp_path, TF_GRU_ADDON_THREADS=str(threads))[1]
        for threads in (1, 2, 5)
    )
    for other in others:
        for a, b in zip(first, other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_has_activation():
    assert all(module.has_activation(f) for f in FUNCTIONS.values())
    assert not module.has_activation(tf.nn.softmax)
