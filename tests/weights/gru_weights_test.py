"""The canonical weights: accepted arrays, errors and descriptions."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from support.harness import assert_close
from support.random_weights import (
    assert_identical,
    few,
    gru_weights,
    outputs_of,
    random_weights,
)

from tf_gru_addon.weights import GRUWeights, WeightsError


def make(**changes):
    arrays = {
        "kernel": np.ones((3, 6)),
        "recurrent_kernel": np.ones((2, 6)),
        "bias": np.ones((2, 6)),
        "reset_after": True,
    }
    return GRUWeights(**{**arrays, **changes})


def nan_at(shape, place, value=np.nan):
    array = np.ones(shape)
    array[place] = value
    return array


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recurrent_kernel": np.ones((6, 2))}, r"recurrent_kernel must .*\(6, 2\)"),
        ({"recurrent_kernel": np.ones(6)}, r"recurrent_kernel must .*\(6,\)"),
        ({"recurrent_kernel": np.ones((0, 0))}, r"recurrent_kernel must .*\(0, 0\)"),
        ({"recurrent_kernel": np.ones((2, 8))}, r"recurrent_kernel must .*\(2, 8\)"),
        ({"kernel": np.ones((3, 8))}, r"kernel must .*\(features, 6\).*\(3, 8\)"),
        ({"kernel": np.ones((0, 6))}, r"kernel must .*\(0, 6\)"),
        ({"kernel": np.ones((1, 3, 6))}, r"kernel must .*\(1, 3, 6\)"),
        ({"bias": np.ones(6)}, r"reset_after=True.*here \(2, 6\); received \(6,\)"),
        ({"bias": np.ones((6, 2))}, r"here \(2, 6\); received \(6, 2\)"),
        ({"reset_after": False}, r"reset_after=False.*here \(6,\); received \(2, 6\)"),
        (
            {"bias": np.ones((2, 6), "f4")},
            "bias must .* of kernel, float64",
        ),
        ({"kernel": np.ones((3, 6), int)}, "kernel must be float16.*received int64"),
        ({"kernel": np.ones((3, 6), "c16")}, "kernel must be .*received complex128"),
        ({"kernel": tf.ones((3, 6), tf.bfloat16)}, "received bfloat16. Cast .*exact"),
        ({"kernel": np.array([[None]])}, "kernel must be .*received object"),
        ({"kernel": [[1.0], [1.0, 2.0]]}, "kernel must be an array"),
        ({"kernel": nan_at((3, 6), (2, 1))}, r"finite; kernel\[2, 1\] is nan"),
        (
            {"recurrent_kernel": nan_at((2, 6), (0, 5), -np.inf)},
            r"finite; recurrent_kernel\[0, 5\] is -inf",
        ),
        ({"bias": nan_at((2, 6), (1, 0), np.inf)}, r"finite; bias\[1, 0\] is inf"),
    ],
)
def test_errors_name_the_problem(changes, message):
    with pytest.raises(WeightsError, match=message):
        make(**changes)


@pytest.mark.parametrize("value", [None, 1, "True"])
def test_reset_after_is_a_bool(value):
    with pytest.raises(ValueError, match="reset_after must be True or False; received"):
        make(reset_after=value)


def test_the_arrays_are_copies_that_cannot_be_written_to():
    kernel = np.ones((6, 3), ">f4").T
    weights = GRUWeights(kernel, np.ones((2, 6), "f4"), None, True)
    kernel[0, 0] = 7
    assert weights.kernel[0, 0] == 1
    assert weights.kernel.dtype.isnative
    assert weights.kernel.flags.c_contiguous
    for array in (weights.kernel, weights.update.kernel, *weights.arrays()):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 7
    with pytest.raises(dataclasses.FrozenInstanceError):
        weights.kernel = kernel


@given(gru_weights())
@few
def test_the_gates_are_the_columns(weights):
    gates = weights.update, weights.reset, weights.candidate
    joined = [
        np.concatenate([getattr(gate, name) for gate in gates], axis=-1)
        for name in ("kernel", "recurrent_kernel", "bias")[: len(weights.arrays())]
    ]
    assert_identical(joined, weights.arrays())
    assert weights.kernel.shape == (weights.features, 3 * weights.units)
    assert weights.parameters == sum(array.size for array in weights.arrays())
    assert (weights.bias is None) == (weights.reset.bias is None)


@given(gru_weights())
@few
def test_folding_the_biases_keeps_the_outputs(weights):
    folded = weights.fold_biases()
    x = np.random.default_rng(0).normal(size=(2, 3, weights.features))
    assert_close(outputs_of(folded, x), outputs_of(weights, x), "float32")
    if weights.reset_after and weights.bias is not None:
        assert not folded.bias[1, : 2 * weights.units].any()
        assert_identical([folded.candidate.bias], [weights.candidate.bias])
    else:
        assert folded is weights


def test_equality_compares_every_number_and_the_convention():
    weights = random_weights()
    again = random_weights()
    assert weights == again
    assert weights != random_weights(seed=1)
    assert weights != weights.astype("float64")
    assert weights != random_weights(bias=False)
    assert random_weights(bias=False) != random_weights(bias=False, reset_after=False)
    assert weights != "weights"
    with pytest.raises(TypeError, match="unhashable"):
        hash(weights)


def test_astype():
    weights = random_weights().astype("float16")
    assert weights.dtype == np.float16
    assert random_weights(bias=False).astype("float64").bias is None
    with pytest.raises(WeightsError, match="dtype must be one of float16"):
        weights.astype("int32")
    big = GRUWeights(np.full((1, 3), 1e30), np.ones((1, 3)), None, True)
    with (
        pytest.warns(RuntimeWarning, match="overflow"),
        pytest.raises(WeightsError, match=r"kernel\[0, 0\] is inf"),
    ):
        big.astype("float16")


def test_with_bias():
    assert random_weights().with_bias() == random_weights()
    for reset_after in (True, False):
        weights = random_weights(bias=False, reset_after=reset_after)
        bias = weights.with_bias().bias
        assert not bias.any()
        assert bias.shape == random_weights(reset_after=reset_after).bias.shape
        assert_identical(weights.with_bias().arrays()[:2], weights.arrays())


def test_a_description():
    expected = "5 features, 2 units, reset before, no bias, float32, 42 parameters"
    weights = random_weights(5, 2, bias=False, reset_after=False)
    assert weights.describe() == expected
    assert repr(weights) == f"GRUWeights({expected})"
    assert "two biases a gate" in random_weights().describe()
    assert "one bias a gate" in random_weights(reset_after=False).describe()
