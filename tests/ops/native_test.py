"""The native engine: its ops, and the inputs that it refuses."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from support import calls
from support.harness import assert_close, op_types

from tf_gru_addon import native
from tf_gru_addon.ops.native import ENGINE, has_activation

pytestmark = pytest.mark.skipif(
    not native.status().available, reason=native.status().reason
)


def make_call(**case):
    return calls.make_call(*calls.numbers(**case), "float32")


@pytest.mark.parametrize("return_sequences", [True, False])
def test_the_op_runs(return_sequences):
    call = make_call(training=True, return_sequences=return_sequences)
    function = tf.function(lambda: calls.results(ENGINE, call)).get_concrete_function()
    ops = {op for op in op_types(function) if "Gru" in op}
    last = "" if return_sequences else "Last"
    assert ops == {f"TfGruAddon>Gru{last}Training", "TfGruAddon>GruGradient"}


def test_tf_gradients():
    arrays, options = calls.numbers()
    with tf.Graph().as_default():
        call = calls.make_call(arrays, options, "float32")
        output, state = ENGINE.run(call)
        loss = calls.loss_of(output, state)
        results = [output, state, *tf.gradients(loss, calls.differentiable(call))]
        with tf.compat.v1.Session() as session:
            results = session.run(results)
    calls.check(results, calls.oracle(arrays, options), "float32")


def test_a_loaded_saved_model_trains(tmp_path):
    call = make_call()

    class Model(tf.Module):
        def __init__(self):
            self.weights = [tf.Variable(w) for w in calls.differentiable(call)[2:]]

        @tf.function(input_signature=[tf.TensorSpec([None, None, 3])])
        def __call__(self, x):
            weights = dict(zip(calls.NAMES[2:], self.weights, strict=True))
            h0 = tf.zeros([tf.shape(x)[0], 2])
            return ENGINE.run(
                dataclasses.replace(call, inputs=x, initial_state=h0, **weights)
            ).outputs

    model = Model()
    tf.saved_model.save(model, tmp_path)
    loaded = tf.saved_model.load(tmp_path)
    gradients = []
    for m in (model, loaded):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(m(call.inputs) ** 2)
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


@pytest.mark.parametrize(
    ("name", "shape"), [(name, shape) for name in SHAPES for shape in SHAPES[name]]
)
@pytest.mark.parametrize("traced", [False, True])
def test_mismatched_shapes_are_refused(name, shape, traced):
    """Eagerly, and in graphs where shapes are unknown until the op runs."""
    tensor = tf.ones(shape, tf.bool if name == "mask" else tf.float32)
    tensors = {n: getattr(make_call(), n) for n in calls.NAMES}
    tensors[name] = [tensor] if name.endswith("masks") else tensor

    def f(tensors):
        return ENGINE.run(dataclasses.replace(make_call(), **tensors))

    if traced:
        signature = tf.nest.map_structure(
            lambda a: tf.TensorSpec(None, a.dtype), tensors
        )
        f = tf.function(f, input_signature=[signature])
    # The op names the first argument that does not match the others.
    blamed = "initial_state|kernel" if name == "inputs" else name
    blamed += "|recurrent_kernel|kernel" if name == "initial_state" else ""
    with pytest.raises(
        tf.errors.InvalidArgumentError,
        match=rf"({blamed}|{name}) must have the shape \(.*\), here \(.*; received \(",
    ):
        f(tensors)


def test_mismatched_shapes_are_refused_when_traced():
    call = dataclasses.replace(make_call(), kernel=tf.ones([3, 5]))
    with pytest.raises(ValueError, match="kernel must have the shape"):
        tf.function(lambda: ENGINE.run(call)).get_concrete_function()


@pytest.mark.parametrize("name", calls.NAMES)
def test_dtypes_other_than_float32_are_refused(name):
    call = make_call()
    double = {name: tf.cast(getattr(call, name), tf.float64)}
    with pytest.raises((tf.errors.InvalidArgumentError, TypeError)):
        ENGINE.run(dataclasses.replace(call, **double))


@pytest.mark.parametrize(
    "shape", [(1, 2**50, 0), (0, 2**62, 3), (2**30, 2**30, 0), (2**62, 0, 0)]
)
def test_huge_shapes_do_not_crash(shape):
    call = dataclasses.replace(
        make_call(use_bias=False),
        inputs=tf.zeros(shape),
        initial_state=tf.zeros([shape[0] if shape[0] < 2**20 else 1, 2]),
        kernel=tf.zeros([shape[2], 6]),
    )
    if shape[0] == 0:
        assert ENGINE.run(call).outputs.shape == (0, shape[1], 2)
    else:
        with pytest.raises(
            (tf.errors.InvalidArgumentError, tf.errors.ResourceExhaustedError)
        ):
            ENGINE.run(call)


@pytest.mark.parametrize("shape", [(0, 4, 3, 2), (2, 0, 3, 2), (2, 4, 0, 2)])
@pytest.mark.parametrize("reset_after", [True, False])
def test_empty_dimensions(shape, reset_after):
    arrays, options = calls.numbers(shape=shape, reset_after=reset_after)
    actual = calls.results(ENGINE, calls.make_call(arrays, options, "float32"))
    calls.check(actual, calls.oracle(arrays, options), "float32")


def test_no_units():
    results = calls.results(ENGINE, make_call(shape=(2, 4, 3, 0)))
    assert [r.shape for r in results[:2]] == [(2, 4, 0), (2, 0)]
    assert not results[2].numpy().any()


def test_numbers_do_not_depend_on_the_number_of_threads(monkeypatch):
    for name in ("(17, 3, 37, 61), after", "(17, 3, 37, 61), before"):
        call = make_call(**calls.CASES[name])
        results = []
        for threads in (1, 2, 5):
            monkeypatch.setenv("TF_GRU_ADDON_THREADS", str(threads))
            results.append(calls.results(ENGINE, call))
        for others in zip(*results, strict=True):
            for other in others[1:]:
                np.testing.assert_array_equal(others[0], other)


def test_has_activation():
    assert all(map(has_activation, calls.FUNCTIONS.values()))
    assert not has_activation(tf.nn.softmax)
