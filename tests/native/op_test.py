"""The TensorFlow ops: no argument crashes the process."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from support import harness

from tf_gru_addon import native

pytestmark = pytest.mark.skipif(
    not native.status().available, reason=f"native: {native.status().reason}"
)

FORWARD = {
    "tf_gru_addon_gru": (True, False),  # sequences, training
    "tf_gru_addon_gru_training": (True, True),
    "tf_gru_addon_gru_last": (False, False),
    "tf_gru_addon_gru_last_training": (False, True),
}
GRADIENT = "tf_gru_addon_gru_gradient"
ACTIVATIONS = [
    *("sigmoid", "hard_sigmoid", "keras_hard_sigmoid", "tanh", "relu", "linear")
]
#: The errors for an invalid argument: from the ops, and from TensorFlow before them.
OURS = r"must have the shape .*, here \(.*\); received \(|cannot be|is too large|OOM"
DTYPE = r"expected to be a (float|bool) tensor|does not match expected type|have types"


def gates_size(units):
    return 4 * -(-units // 16) * 16


def arguments(rng):
    """Returns the name of an op and valid arguments."""
    B, T, F = rng.integers(0, 4, 3)
    U = rng.choice([0, 1, 2, 3, 17, 33])
    reset_after = bool(rng.integers(2))

    def floats(*shape):
        values = rng.normal(size=shape)
        if rng.random() < 0.1:
            values[rng.random(shape) < 0.3] = rng.choice([np.nan, np.inf, 1e38, 1e-40])
        return values.astype("float32")

    shape = (2, 3 * U) if reset_after else (3 * U,)
    result = {
        "inputs": floats(B, T, F),
        "initial_state": floats(B, U),
        "kernel": floats(F, 3 * U),
        "recurrent_kernel": floats(U, 3 * U),
        "bias": [floats(*shape)] * rng.integers(2),
        "mask": [rng.integers(0, 2, (B, T)).astype(bool)] * rng.integers(2),
        "input_masks": [floats(B, F)] * rng.choice([0, 1, 3]),
        "recurrent_masks": [floats(B, U)] * rng.choice([0, 1, 3]),
    }
    name = rng.choice([*FORWARD, GRADIENT])
    if name == GRADIENT:
        result |= {
            "states": floats(B, T, U),
            "gates": floats(B, T, gates_size(U)),
            "d_output": floats(B, T, U) if rng.integers(2) else floats(B, U),
            "d_state": floats(B, U),
        }
    options = {
        "reset_after": reset_after,
        "activation": rng.choice(ACTIVATIONS),
        "recurrent_activation": rng.choice(ACTIVATIONS),
        "go_backwards": bool(rng.integers(2)),
        "zero_output_for_mask": bool(rng.integers(2)),
        "threads": int(rng.integers(0, 3)),
    }
    return str(name), result, {k: _plain(v) for k, v in options.items()}


def _plain(value):
    return str(value) if isinstance(value, np.str_) else value


def spoil(rng, tensors, options):
    """Changes an argument, most often to an invalid one."""
    name = rng.choice([*tensors, "options"])
    if name == "options":
        name = rng.choice(["activation", "recurrent_activation", "threads"])
        if name == "threads":
            options[name] = int(rng.choice([-1, 2**31, 2**63 - 1, -(2**63)]))
        else:
            options[name] = str(rng.choice(["", "Tanh", "x" * 100, "tanh\0", "é"]))
        return
    if isinstance(tensors[name], list) and rng.random() < 0.4:
        values = tensors[name] or [np.ones([2, 2], "float32")]
        tensors[name] = [values[0]] * rng.integers(0, 6)
        return
    shape = list(rng.choice([0, 1, 2, 3, 6, 48, 51, 99], rng.integers(0, 5)))
    if shape and rng.random() < 0.3:  # Huge, but without elements.
        shape[0] = 0
        shape.insert(int(rng.integers(0, 2)), 2**38)
    dtype = rng.choice(
        ["float32", "bool", "float64", "int32"], p=[0.8, 0.1, 0.05, 0.05]
    )
    value = np.zeros([int(n) for n in shape], dtype)
    tensors[name] = [value] if isinstance(tensors[name], list) else value


def expected_shapes(name, tensors):
    B, T, F = tensors["inputs"].shape
    U = tensors["initial_state"].shape[1]
    if name == GRADIENT:
        shapes = [(B, T, F), (B, U), (F, 3 * U), (U, 3 * U)]
        return [*shapes, *(bias.shape for bias in tensors["bias"])]
    sequences, training = FORWARD[name]
    shapes = [(B, T, U) if sequences else (B, U), (B, U)]
    if training:
        shapes += [(B, T, gates_size(U)), *([] if sequences else [(B, T, U)])]
    return shapes


def call(rng, name, tensors, options):
    """Calls the op, eagerly or traced with some or all dimensions unknown."""
    op = getattr(native.ops(), name)
    tensors = tf.nest.map_structure(tf.constant, tensors)
    if rng.random() < 0.6:
        return op(**tensors, **options)

    def spec(tensor):
        shape = [n if rng.random() < 0.6 else None for n in tensor.shape]
        return tf.TensorSpec(None if rng.random() < 0.3 else shape, tensor.dtype)

    signature = [tf.nest.map_structure(spec, tensors)]
    f = tf.function(lambda t: op(**t, **options), input_signature=signature)
    return f(tensors)


def runs_for_ever(name, tensors):
    """Whether there are too many timesteps to run, which need no memory."""
    shape = tensors["inputs"].shape
    return name.endswith("last") and len(shape) == 3 and shape[1] > 10**6


def fuzz(seed, count, journal):
    """Calls the ops with valid and invalid arguments; prints the count of errors."""
    rng = np.random.default_rng(seed)
    refused = 0
    for i in range(count):
        name, tensors, options = arguments(rng)
        for _ in range(rng.choice([0, 1, 1, 2])):
            spoil(rng, tensors, options)
        if runs_for_ever(name, tensors):
            continue
        shapes = tf.nest.map_structure(lambda a: (a.shape, a.dtype.name), tensors)
        with open(journal, "w") as file:
            file.write(f"seed {seed}, call {i}: {name} {shapes} {options}")
        try:
            results = call(rng, name, tensors, options)
        except (tf.errors.OpError, ValueError, TypeError) as error:
            refused += 1
            if not re.search(f"{OURS}|{DTYPE}", str(error)):
                raise
        else:
            actual = [tuple(r.shape) for r in tf.nest.flatten(tuple(results))]
            assert actual == expected_shapes(name, tensors)
    print(refused, count - refused)


PROGRAM = """
import sys
sys.path[:0] = sys.argv[1].split(":")
import op_test
op_test.fuzz(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
"""


@pytest.mark.parametrize("seed", [0, 1])
def test_no_input_crashes_the_process(seed, tmp_path):
    folder = os.path.dirname(__file__)
    folders = f"{folder}:{Path(harness.__file__).parents[1]}"
    journal = tmp_path / "journal.txt"
    process = harness.run_python(PROGRAM, folders, seed, 700, journal, check=False)
    said = process.stderr.strip().splitlines()[-1:]
    assert process.returncode == 0, (journal.read_text(), process.returncode, said)
    refused, taken = map(int, process.stdout.split())
    assert refused > 150
    assert taken > 150
