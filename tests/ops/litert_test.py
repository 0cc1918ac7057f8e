"""What LiteRT's converter is given, run by TensorFlow, against the oracle."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from ops.portable_test import FUNCTIONS, make_arrays
from support import calls, oracles
from support.harness import assert_close

from tf_gru_addon.ops import litert

gru_litert = functools.partial(calls.run, litert.ENGINE)


def check(T, known=True, dtype="float32", **options):
    rng = np.random.default_rng(T)
    after = options.setdefault("reset_after", True)
    arrays = make_arrays(rng, T=T, reset_after=after)
    mask = options.pop("mask", None)
    mask = None if mask is None else rng.random((2, T)) < mask
    sequences = options.pop("return_sequences", True)
    options = {"activation": "tanh", "recurrent_activation": "sigmoid", **options}
    outputs, last, state = oracles.gru(*arrays, mask=mask, **options)
    for name in ("activation", "recurrent_activation"):
        options[name] = FUNCTIONS[options[name]]
    sizes = [2, T if known else None]

    @tf.function(
        input_signature=[tf.TensorSpec([*sizes, 3]), tf.TensorSpec(sizes, tf.bool)]
    )
    def run(x, given):
        return gru_litert(
            x,
            *[tf.constant(a, dtype) for a in arrays[1:]],
            mask=None if mask is None else given,
            return_sequences=sequences,
            **options,
        )

    given = np.ones((2, T), bool) if mask is None else mask
    results = run(tf.constant(arrays[0], dtype), tf.constant(given))
    assert_close(results[0], outputs if sequences else last, dtype, "output")
    assert_close(results[1], state, dtype, "state")


@pytest.mark.parametrize("T", [1, 15, 16, 17, 127, 128, 129, 300])
def test_blocks_of_any_fill(T):
    check(T, known=False)


@pytest.mark.parametrize("T", [1, 16, 17, 130])
def test_timesteps_that_are_known(T):
    check(T)


@pytest.mark.parametrize("T", [5, 140])
@pytest.mark.parametrize("return_sequences", [False, True])
@pytest.mark.parametrize("mask", [None, 0.5])
@pytest.mark.parametrize("reset_after", [False, True])
def test_options(T, return_sequences, mask, reset_after):
    check(
        T,
        known=False,
        return_sequences=return_sequences,
        mask=mask,
        reset_after=reset_after,
        go_backwards=reset_after,
        zero_output_for_mask=not reset_after,
        recurrent_activation="hard_sigmoid",
    )
