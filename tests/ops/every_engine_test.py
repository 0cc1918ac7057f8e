"""Outputs, states and gradients of every engine, for one list of cases.

The oracle gives the expected numbers. A stand-in replaces cuDNN, which needs a GPU.
"""

import dataclasses
import functools
import itertools
import os
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import keras
import numpy as np
import pytest
import tensorflow as tf
from support import calls
from support.cudnn import pretend_gpu
from support.harness import run_python

from tf_gru_addon import GRU, native, use_engine
from tf_gru_addon.ops import cudnn, litert, portable
from tf_gru_addon.ops import native as native_engine

#: By name: the engine and the dtype of its test.
ENGINES = {
    "portable": (portable.ENGINE, "float64"),
    "litert": (litert.ENGINE, "float64"),
    "cudnn": (cudnn.ENGINE, "float64"),
}
if native.status().available:
    ENGINES["native"] = (native_engine.ENGINE, "float32")
#: The engines whose ops run on a CPU, eagerly and in graphs.
HERE = [name for name in ENGINES if name != "cudnn"]


@pytest.fixture
def get_engine(monkeypatch):
    """Returns a function that gives an engine and its dtype, with a pretended GPU."""

    def get(name):
        if name == "cudnn":
            pretend_gpu(monkeypatch, with_op=True)
        return ENGINES[name]

    return get


def _cudnn_supports(case):
    usual = {"reset_after": True, "use_bias": True, "activation": "tanh"}
    usual |= {"recurrent_activation": "sigmoid", "recurrent_masks": 0}
    return case.get("input_masks", 0) <= 1 and usual.items() <= (usual | case).items()


def _cases():
    for engine, (name, case) in itertools.product(ENGINES, calls.CASES.items()):
        small = case.get("shape", (1,))[-1] < 3  # its stand-in is slow
        if engine != "cudnn" or (_cudnn_supports(case) and small):
            yield engine, name


@pytest.mark.parametrize(("engine", "name"), list(_cases()))
def test_outputs_state_and_gradients(get_engine, engine, name):
    engine, dtype = get_engine(engine)
    call = calls.make_call(*calls.numbers(**calls.CASES[name]), dtype)
    assert not engine.why_not(call)
    calls.check(calls.results(engine, call), calls.expected(name), dtype)


def test_cudnn_refuses_the_other_cases(get_engine):
    engine, dtype = get_engine("cudnn")
    for name, case in calls.CASES.items():
        call = calls.make_call(*calls.numbers(**case), dtype)
        assert bool(engine.why_not(call)) != _cudnn_supports(case), name


@pytest.mark.parametrize("engine", HERE)
@hypothesis.settings(max_examples=25, deadline=None)
@hypothesis.given(data=st.data())
def test_any_shape_and_option(engine, data):
    engine, dtype = ENGINES[engine]
    shape = [
        data.draw(st.integers(1, most), n)
        for n, most in zip("BTFU", (3, 5, 3, 3), strict=True)
    ]
    options = ("reset_after", "use_bias", "zero_output_for_mask", "go_backwards")
    options += ("return_sequences", "unroll", "training")
    case = {name: data.draw(st.booleans(), name) for name in options}
    case["seed"] = data.draw(st.integers(0, 1000), "seed")
    for name in ("input_masks", "recurrent_masks"):
        case[name] = data.draw(st.sampled_from([0, 1, 3]), name)
    if data.draw(st.booleans(), "masked"):
        case["mask"] = np.random.default_rng(case["seed"]).integers(0, 2, shape[:2])
    arrays, options = calls.numbers(shape=shape, **case)
    actual = calls.results(engine, calls.make_call(arrays, options, dtype))
    calls.check(actual, calls.oracle(arrays, options), dtype)


@pytest.mark.parametrize("engine", HERE)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("return_sequences", [False, True])
def test_unknown_batch_and_timesteps(engine, masked, return_sequences):
    engine, dtype = ENGINES[engine]
    training = masked != return_sequences
    case = {
        "return_sequences": return_sequences,
        "zero_output_for_mask": training,
        "training": training,
    }
    arrays, options = calls.numbers(**case)
    known = calls.make_call(arrays, options, dtype)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, 3], dtype),
            tf.TensorSpec([None, 2], dtype),
            tf.TensorSpec([None, None], tf.bool),
        ]
    )
    def f(x, h0, mask):
        call = dataclasses.replace(
            known, inputs=x, initial_state=h0, mask=mask if masked else None
        )
        results = calls.results(engine, call)
        assert results[0].shape.as_list() == [None] * (1 + return_sequences) + [2]
        return results

    mask = np.array([[1, 0, 1, 1, 0], [0, 0, 1, 0, 1], [0, 0, 0, 0, 0]], bool)
    sizes = [(3, 0), (3, 1), (3, 5), (0, 5), (0, 0)]
    for batch, timesteps in sizes[:3] if engine is litert.ENGINE else sizes:
        x, h0 = calls.numbers(shape=(batch, timesteps, 3, 2))[0][:2]
        given = mask[:batch, :timesteps]
        actual = f(tf.constant(x, dtype), tf.constant(h0, dtype), tf.constant(given))
        expected = calls.oracle(
            [x, h0, *arrays[2:]], {**options, "mask": given if masked else None}
        )
        calls.check(actual, expected, dtype)


@pytest.mark.parametrize(
    ("engine", "dtype"),
    [
        *(("portable", d) for d in ("float16", "bfloat16", "float32")),
        *(("cudnn", d) for d in ("float16", "float32")),
        ("litert", "float32"),
        *([("native", "bfloat16")] if "native" in ENGINES else []),
    ],
)
def test_other_dtypes(get_engine, engine, dtype):
    engine, _ = get_engine(engine)
    arrays, options = calls.numbers(shape=(3, 6, 3, 2), training=True)
    call = calls.make_call(arrays, options, dtype)
    assert not engine.why_not(call)
    actual = calls.results(engine, call)
    assert {result.dtype.name for result in actual} == {dtype}
    calls.check(actual, calls.oracle(arrays, options), dtype)


SECOND = {
    "shape": (2, 3, 2, 2),
    "reset_after": False,
    "mask": [[1, 1, 0], [0, 1, 1]],
    "recurrent_masks": 1,
}
WRAPPERS = {
    "eager": lambda f: f,
    "function": tf.function,
    "xla": lambda f: tf.function(f, jit_compile=True),
}


@pytest.mark.parametrize(
    ("engine", "wrapper", "persistent", "sequences", "training"),
    [
        ("portable", "eager", False, True, False),
        ("portable", "function", False, False, False),
        ("portable", "xla", True, True, True),
        *(
            [
                ("native", "eager", False, False, True),
                ("native", "eager", True, True, False),
                ("native", "function", False, True, True),
                ("native", "function", False, False, False),
            ]
            if "native" in ENGINES
            else []
        ),
    ],
)
def test_second_derivative(engine, wrapper, persistent, sequences, training):
    """The gradient of a gradient's norm equals differences of oracle gradients."""
    engine, dtype = ENGINES[engine]
    arrays, options = calls.numbers(
        **SECOND, return_sequences=sequences, training=training
    )
    call = calls.make_call(arrays, options, dtype)

    def second(*tensors):
        moved = dataclasses.replace(
            call, **dict(zip(calls.NAMES, tensors, strict=True))
        )
        with tf.GradientTape(persistent=persistent) as outer:
            outer.watch(tensors)
            with tf.GradientTape(persistent=persistent) as inner:
                inner.watch(tensors)
                loss = calls.loss_of(*engine.run(moved))
            gradients = inner.gradient(loss, tensors)
            norm = tf.add_n([tf.reduce_sum(gradient**2) for gradient in gradients])
        return outer.gradient(norm, tensors)

    actual = WRAPPERS[wrapper](second)(*calls.differentiable(call))
    tolerance = 1e-6 if dtype == "float64" else 3e-5
    for (i, index), expected in second_derivatives(sequences).items():
        error = abs(actual[i].numpy()[index] - expected)
        assert error < tolerance * max(1, abs(expected))


@functools.cache
def second_derivatives(sequences):
    """Returns central differences of the oracle's gradients, for every third number."""
    arrays, options = calls.numbers(**SECOND, return_sequences=sequences)
    arrays = [np.nan_to_num(array) for array in arrays]

    def norm(arrays):
        gradients = calls.oracle(arrays, options)[2:]
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


EVERY_CASE = """
import sys
import numpy as np
from support import calls
from tf_gru_addon import native
from tf_gru_addon.ops.native import ENGINE

arrays = {}
for name, case in calls.CASES.items():
    call = calls.make_call(*calls.numbers(**case), "float32")
    for i, result in enumerate(calls.results(ENGINE, call)):
        arrays[f"{name}/{i}"] = result
np.savez(sys.argv[1], **arrays)
print(native.status().reason)
"""


@pytest.mark.skipif("native" not in ENGINES, reason=f"native: {native.status().reason}")
@pytest.mark.parametrize("isa", ["avx2", "generic"])
def test_the_other_instruction_sets(isa, tmp_path):
    """Each runs in a process of its own, as the library chooses when it is loaded."""
    paths = [str(Path(calls.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {"TF_GRU_ADDON_ISA": isa, "PYTHONPATH": os.pathsep.join(paths)}
    process = run_python(EVERY_CASE, tmp_path / "results.npz", env=environment)
    if f"run {isa}" not in process.stdout:
        pytest.skip(f"this machine has no {isa}")
    with np.load(tmp_path / "results.npz") as results:
        for name in calls.CASES:
            expected = calls.expected(name)
            actual = [results[f"{name}/{i}"] for i in range(len(expected))]
            calls.check(actual, expected, "float32")


CELL = {
    "plain": {},
    "last": {"return_sequences": False},
    "before": {"reset_after": False},
    "no_bias": {"use_bias": False},
    "masked": {"go_backwards": True},
    "masked_zero": {"zero_output_for_mask": True},
    "hard": {"recurrent_activation": "hard_sigmoid", "activation": "relu"},
}
LAYER_ENGINES = [name for name in ("portable", "native") if name in ENGINES]


@pytest.mark.parametrize("name", CELL)
@pytest.mark.parametrize("engine", LAYER_ENGINES)
def test_a_layer_agrees_with_a_loop_over_its_cell(engine, name):
    layer = GRU(19, **{"return_sequences": True, "return_state": True, **CELL[name]})
    layer.build((None, None, 5))
    rng = np.random.default_rng(3)
    layer.set_weights([0.4 * rng.normal(size=w.shape) for w in layer.get_weights()])
    loop = keras.layers.RNN.from_config(
        {**keras.layers.RNN.get_config(layer), "name": "loop"}
    )
    loop.build((3, 6, 5))
    loop.set_weights(layer.get_weights())
    x = tf.constant(rng.normal(size=(3, 6, 5)), "float32")
    h0 = tf.constant(rng.normal(size=(3, 19)), "float32")
    mask = tf.constant(rng.integers(0, 2, (3, 6)) > 0) if "masked" in name else None
    results = []
    for each in (layer, loop):
        with use_engine(engine), tf.GradientTape() as tape:
            tape.watch([x, h0])
            output, state = each(x, mask=mask, initial_state=h0)
            loss = calls.loss_of(output, state)
        weights = each.trainable_weights
        results.append([output, state, *tape.gradient(loss, [x, h0, *weights])])
    calls.check(*results, "float32")


@pytest.mark.parametrize("engine", HERE)
def test_a_closed_update_gate_carries_the_state_exactly(engine):
    """With a hard sigmoid z is 1: a large candidate must not change a single bit."""
    engine, dtype = ENGINES[engine]
    arrays, options = calls.numbers(
        shape=(3, 500, 5, 19),
        reset_after=False,
        activation="relu",
        recurrent_activation="hard_sigmoid",
    )
    x, h0, kernel, recurrent_kernel, bias = arrays
    bias[:19], bias[38:] = 10, 1e6
    arrays = [0 * x, h0, 0 * kernel, 0 * recurrent_kernel, bias]
    call = calls.make_call(arrays, options, dtype)
    state = tf.function(lambda: engine.run(call).state)()
    np.testing.assert_array_equal(state, call.initial_state)
