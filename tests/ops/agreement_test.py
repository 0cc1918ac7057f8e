"""All engines agree, and with a loop over the cell: outputs, state and gradients.

One list of cases for the cell's loop, `portable`, `native` on each instruction set, and
the cuDNN layout (for which see `cudnn_test.py`, as it takes a stand-in for the op).
"""

import os

import keras
import numpy as np
import pytest
import tensorflow as tf
from support.harness import assert_close, run_python

from tf_gru_addon import GRU, native, use_engine

B, T, F, U = 3, 6, 5, 19
MASK = np.array([[1, 1, 1, 1, 0, 0], [0, 1, 0, 1, 1, 1], [0, 0, 0, 0, 0, 0]], bool)
CASES = {
    "plain": {},
    "last": {"return_sequences": False},
    "before": {"reset_after": False},
    "no_bias": {"use_bias": False},
    "backwards": {"go_backwards": True},
    "masked": {"masked": True},
    "masked_zero": {"masked": True, "zero_output_for_mask": True},
    "masked_last": {"masked": True, "return_sequences": False},
    "masked_backwards": {"masked": True, "go_backwards": True, "reset_after": False},
    "hard": {"recurrent_activation": "hard_sigmoid", "activation": "relu"},
    "keras_hard": {"recurrent_activation": keras.activations.hard_sigmoid},
    "linear": {"activation": None, "reset_after": False},
}


def results(engine, masked=False, **options):
    """Outputs, state and gradients of inputs, initial state and weights."""
    options = {"return_sequences": True, "return_state": True, **options}
    layer = GRU(U, **options)
    rng = np.random.default_rng(3)
    layer.build((None, None, F))
    layer.set_weights([0.4 * rng.normal(size=w.shape) for w in layer.get_weights()])
    x = rng.normal(size=(B, T, F)).astype("float32")
    h0 = tf.constant(rng.normal(size=(B, U)).astype("float32"))
    if masked:
        x[~MASK] = np.nan
    x = tf.constant(x)
    mask = tf.constant(MASK) if masked else None
    with tf.GradientTape() as tape:
        tape.watch([x, h0])
        if engine == "cell":
            rnn = keras.layers.RNN.from_config(
                {**keras.layers.RNN.get_config(layer), "name": "loop"}
            )
            rnn.build((B, T, F))
            rnn.set_weights(layer.get_weights())
            # Keras' loop lets NaN through to the gradients, so it gets zeros there.
            clean = x if mask is None else tf.where(mask[..., None], x, 0)
            output, state = rnn(clean, mask=mask, initial_state=h0)
            weights = rnn.trainable_weights
        else:
            with use_engine(engine):
                output, state = layer(x, mask=mask, initial_state=h0)
            weights = layer.trainable_weights
        loss = tf.reduce_sum(tf.sin(output)) + tf.reduce_sum(state**2)
    return [output, state, *tape.gradient(loss, [x, h0, *weights])]


ENGINES = ["portable", "native"] if native.status().available else ["portable"]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("engine", ENGINES)
def test_engines_agree_with_a_loop_over_the_cell(engine, name):
    expected = results("cell", **CASES[name])
    for actual, wanted in zip(results(engine, **CASES[name]), expected, strict=True):
        assert_close(actual, wanted)


@pytest.mark.skipif(
    not native.status().available, reason=f"native: {native.status().reason}"
)
@pytest.mark.parametrize("isa", ["avx2", "generic"])
def test_the_other_instruction_sets_agree(isa):
    """In a process each, as the choice is made when the library is loaded."""
    code = (
        "import agreement_test as a\n"
        "from tf_gru_addon import native\n"
        "print(native.status().reason)\n"
        "for name in a.CASES:\n"
        "    a.test_engines_agree_with_a_loop_over_the_cell('native', name)\n"
    )
    folders = [os.path.dirname(__file__), os.path.dirname(os.path.dirname(__file__))]
    process = run_python(
        code,
        env={
            "TF_GRU_ADDON_ISA": isa,
            "PYTHONPATH": os.pathsep.join(
                [*folders, os.environ.get("PYTHONPATH", ""), os.getcwd()]
            ),
        },
    )
    if f"run {isa}" not in process.stdout:
        pytest.skip(f"this machine has no {isa}")


@pytest.mark.parametrize("engine", ENGINES)
def test_a_closed_update_gate_carries_the_state_exactly(engine):
    """z is 1 with a hard sigmoid: a large candidate must not disturb a single bit."""
    layer = GRU(
        U, activation="relu", recurrent_activation="hard_sigmoid", reset_after=False
    )
    layer.build((None, None, F))
    kernel, recurrent_kernel, bias = (np.zeros(w.shape) for w in layer.get_weights())
    bias[:U] = 10
    bias[2 * U :] = 1e6
    layer.set_weights([kernel, recurrent_kernel, bias])
    h0 = np.random.default_rng(0).normal(size=(B, U)).astype("float32")
    with use_engine(engine):
        state = layer(np.zeros((B, 500, F), "float32"), initial_state=h0)
    np.testing.assert_array_equal(state, h0)
