"""Dropout masks: their values, seeds and dtypes."""

import numpy as np
import pytest
import tensorflow as tf

from tf_gru_addon.ops.dropout import dropout_masks

SEED = tf.constant([3, 7])


@pytest.mark.parametrize("rate", [0.0, 0.25, 0.5, 0.9])
def test_inverted_dropout(rate):
    (mask,) = dropout_masks(SEED, [200, 200], rate, 1, tf.float64)
    kept = mask.numpy() != 0
    assert abs(kept.mean() - (1 - rate)) < 0.01
    np.testing.assert_allclose(mask.numpy()[kept], 1 / (1 - rate), rtol=1e-12)


def test_rate_one_drops_everything():
    (mask,) = dropout_masks(SEED, [20, 20], 1.0, 1, tf.float32)
    assert not mask.numpy().any()


def test_masks_are_independent_of_each_other():
    kept = [m.numpy() != 0 for m in dropout_masks(SEED, [200, 200], 0.5, 3, tf.float32)]
    for i, j in [(0, 1), (0, 2), (1, 2)]:
        assert abs((kept[i] == kept[j]).mean() - 0.5) < 0.02


@pytest.mark.parametrize("jit_compile", [False, True])
def test_the_seed_determines_the_masks(jit_compile):
    def masks(seed):
        return tf.stack(dropout_masks(seed, [4, 5], 0.5, 2, tf.float32))

    wrapped = tf.function(masks, jit_compile=jit_compile)
    np.testing.assert_array_equal(wrapped(SEED), wrapped(SEED))
    assert not np.array_equal(wrapped(SEED + 1), wrapped(SEED))
    if not jit_compile:
        np.testing.assert_array_equal(wrapped(SEED), masks(SEED))


def test_a_training_tensor_decides_when_the_graph_runs():
    @tf.function
    def mask(training):
        return dropout_masks(SEED, [50], 0.5, 1, tf.float32, training)[0]

    assert (mask(tf.constant(False)).numpy() == 1).all()
    assert not (mask(tf.constant(True)).numpy() == 1).any()


def test_dtype():
    assert dropout_masks(SEED, [2], 0.5, 1, tf.bfloat16)[0].dtype == tf.bfloat16
