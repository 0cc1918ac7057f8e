"""Infinity, NaN and huge and tiny numbers stay where the portable engine has them.

The tests compare the positions of what is not finite, in the outputs and in each
gradient, for units that fill the kernels' vectors and units that do not, on every
instruction set.
"""

import itertools
import os
import pickle
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from support import calls, kernels

from tf_gru_addon import activations, native
from tf_gru_addon.native.direct import ACTIVATIONS
from tf_gru_addon.ops import portable

pytestmark = pytest.mark.skipif(
    not native.status().available, reason=native.status().reason
)

UNITS = [1, 7, 15, 16, 17, 33]
PLACES = [
    *("x", "h0", "kernel", "recurrent_kernel", "bias", "d_outputs", "d_state"),
    *("input_masks", "recurrent_masks"),
]
#: Sums with 3e38 may overflow in one order and not in another; these seeds have none.
SPECIAL = [np.inf, -np.inf, np.nan, 3e38, -3e38, 1e-40]
FUNCTIONS = {
    "sigmoid": keras.activations.sigmoid,
    "hard_sigmoid": activations.hard_sigmoid,
    "keras_hard_sigmoid": keras.activations.hard_sigmoid,
    "tanh": keras.activations.tanh,
    "relu": keras.activations.relu,
    "linear": keras.activations.linear,
}
#: Runs the cases of a file on the library, without TensorFlow's start.
RUN = """
import ctypes, pickle, sys
from support import kernels

ctypes.CDLL(sys.argv[1], ctypes.RTLD_GLOBAL)
library = ctypes.CDLL(sys.argv[2])
library.gru_isa.restype = ctypes.c_char_p
with open(sys.argv[3], "rb") as file:
    cases = pickle.load(file)
results = [kernels.train(library, *arrays, **options) for arrays, options in cases]
with open(sys.argv[4], "wb") as file:
    pickle.dump((library.gru_isa().decode(), results), file)
"""


def make_case(units, reset_after, place, value, seed):
    """Returns a case with the value once in one of its arrays.

    Args:
        units: The units.
        reset_after: The convention.
        place: The array: of the inputs, of the upstream gradients, or of the masks.
        value: The value.
        seed: Of all that is random.
    """
    rng = np.random.default_rng(seed)
    B, T, F = int(rng.choice([1, 3, 9])), 3, 2

    def floats(*shape):
        return rng.normal(0, 0.4, shape).astype("float32")

    counts = [int(rng.choice([0, 1, 3])) for _ in range(2)]
    if place in ("input_masks", "recurrent_masks"):
        counts[place == "recurrent_masks"] = int(rng.choice([1, 3]))
    bias = floats(2, 3 * units) if reset_after else floats(3 * units)
    arrays = [floats(B, T, F), floats(B, units), floats(F, 3 * units)]
    arrays += [floats(units, 3 * units), bias]
    usual = rng.random() < 0.6
    case = {
        "input_masks": [
            2 * rng.integers(0, 2, (B, F)).astype("float32") for _ in range(counts[0])
        ],
        "recurrent_masks": [
            2 * rng.integers(0, 2, (B, units)).astype("float32")
            for _ in range(counts[1])
        ],
        "reset_after": reset_after,
        "go_backwards": bool(rng.integers(2)),
        "zero_output_for_mask": bool(rng.integers(2)),
        "mask": rng.random((B, T)) < 0.7 if rng.random() < 0.4 else None,
        "activation": "tanh" if usual else str(rng.choice(ACTIVATIONS)),
        "recurrent_activation": "sigmoid"
        if usual
        else str(rng.choice(ACTIVATIONS[:3])),
    }
    d_outputs, d_state = floats(B, T, units), floats(B, units)
    places = dict(zip(PLACES[:7], [*arrays, d_outputs, d_state], strict=True))
    if place in case:
        places[place] = case[place][rng.integers(len(case[place]))]
    array = places[place]
    array[tuple(rng.integers(n) for n in array.shape)] = value
    return (arrays, d_outputs, d_state), case


def expected(arrays, d_outputs, d_state, *, mask, go_backwards, **case):
    """Returns where the portable engine's results are not finite.

    A row's masked timesteps are taken out, as they are to have no part in it: the
    portable engine computes them and multiplies by 0 what it does not want, which NaN
    and infinity survive.
    """
    x, h0, *weights = arrays
    B, T, _ = x.shape
    if mask is None:
        return _portable(arrays, d_outputs, d_state, go_backwards, **case)
    carried = not case["zero_output_for_mask"]
    order = np.arange(T)[::-1] if go_backwards else np.arange(T)
    outputs, states, d_x, d_h0 = (
        np.zeros(a.shape, bool) for a in (d_outputs, h0, x, h0)
    )
    d_weights = [np.zeros(w.shape, bool) for w in weights]
    for b in range(B):
        rows = slice(b, b + 1)
        kept = np.flatnonzero(mask[b][order])  # in the order in which they are run
        if not kept.size:
            states[rows], d_h0[rows] = (
                ~np.isfinite(h0[rows]),
                ~np.isfinite(d_state[rows]),
            )
            continue
        ends = np.append(kept[1:], T) if carried else kept + 1
        with np.errstate(invalid="ignore"):
            d = [
                d_outputs[b, i:end].sum(axis=0)
                for i, end in zip(kept, ends, strict=True)
            ]
        d = np.array(d, "float32")[np.newaxis]
        masks = {
            name: [m[rows] for m in case[name]]
            for name in ("input_masks", "recurrent_masks")
        }
        row = [x[rows, order[kept]], h0[rows], *weights]
        y, states[rows], d_row, d_h0[rows], *d = _portable(
            row, d, d_state[rows], False, **{**case, **masks}
        )
        for i, end, at in zip(kept, ends, range(len(kept)), strict=True):
            outputs[b, i:end] = y[0, at]
        d_x[b, order[kept]] = d_row[0]
        for total, part in zip(d_weights, d, strict=True):
            total |= part
    return [outputs, states, d_x, d_h0, *d_weights]


def _portable(arrays, d_outputs, d_state, go_backwards, **case):
    for name in ("activation", "recurrent_activation"):
        case[name] = FUNCTIONS[case[name]]
    for name in ("input_masks", "recurrent_masks"):
        case[name] = [tf.constant(m) for m in case[name]] or None
    tensors = [tf.constant(array) for array in arrays]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        results = calls.run(
            portable.ENGINE,
            *tensors,
            go_backwards=go_backwards,
            unroll=True,
            training=True,
            **case,
        )
    gradients = tape.gradient(
        results,
        tensors,
        output_gradients=[tf.constant(d_outputs), tf.constant(d_state)],
        unconnected_gradients="zero",
    )
    return [~np.isfinite(np.array(result)) for result in (*results, *gradients)]


def run(isa, cases, folder):
    """Returns the native results of cases on an instruction set, or skips the test."""
    files = [str(folder / name) for name in ("cases.pkl", "results.pkl")]
    with open(files[0], "wb") as file:
        numbers = [
            (
                arrays,
                {
                    name: ACTIVATIONS.index(option)
                    if isinstance(option, str)
                    else option
                    for name, option in options.items()
                },
            )
            for arrays, options in cases
        ]
        pickle.dump(numbers, file)
    framework = f"{tf.sysconfig.get_lib()}/libtensorflow_framework.so.2"
    library = os.path.join(os.path.dirname(native.__file__), native.LIBRARY)
    process = subprocess.run(
        [sys.executable, "-c", RUN, framework, library, *files],
        env={
            **os.environ,
            "TF_GRU_ADDON_ISA": isa,
            "PYTHONPATH": str(Path(kernels.__file__).parents[1]),
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert process.returncode == 0, process.stderr
    with open(files[1], "rb") as file:
        found, results = pickle.load(file)
    if found != isa:
        pytest.skip(f"this machine has no {isa}")
    return results


@pytest.fixture(scope="module")
def cases():
    """The cases: every value in every array at every size, and so on."""
    every = itertools.product(enumerate(UNITS), enumerate(PLACES), enumerate(SPECIAL))
    return [
        make_case(units, (i + j + k) % 2 == 0, place, value, 100 * i + 10 * j + k)
        for (i, units), (j, place), (k, value) in every
    ]


@pytest.fixture(scope="module")
def wanted(cases):
    """Where their results are not finite."""
    return [expected(*arrays, **case) for arrays, case in cases]


@pytest.mark.parametrize("isa", ["generic", "avx2", "avx512"])
def test_what_is_not_finite_is_where_it_should_be(isa, cases, wanted, tmp_path):
    names = ["outputs", "state", *(f"d_{name}" for name in PLACES[:5])]
    results = run(isa, cases, tmp_path)
    for i, (actual, where) in enumerate(zip(results, wanted, strict=True)):
        for name, a, e in zip(names, actual, where, strict=True):
            message = f"{name} of case {i}: {cases[i][1]}"
            np.testing.assert_array_equal(~np.isfinite(a), e, message)


def test_the_cases_have_both(wanted):
    """Whole arrays of NaN, or none of it, would show little."""
    for i in range(7):
        partly = [w[i] for w in wanted if w[i].any() and not w[i].all()]
        assert len(partly) > 5
