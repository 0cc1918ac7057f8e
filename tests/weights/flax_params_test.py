"""flax's parameters, against flax's two GRU cells."""

import numpy as np
import pytest
from hypothesis import given, settings
from support.harness import assert_close
from support.random_weights import (
    assert_identical,
    few,
    gru_weights,
    inputs_for,
    outputs_of,
    random_weights,
)

from tf_gru_addon.weights import (
    GRUWeights,
    WeightsError,
    from_flax_linen,
    from_flax_nnx,
    to_flax_linen,
    to_flax_nnx,
)

#: JAX compiles every op again for each shape, so there are few examples.
fewer = settings(few, max_examples=5)


def no_candidate_bias(weights):
    """Returns the weights without the bias that nnx lacks."""
    if weights.bias is None:
        return weights
    bias = weights.bias.copy()
    bias[1, 2 * weights.units :] = 0
    return GRUWeights(weights.kernel, weights.recurrent_kernel, bias, True)


def run(step, x, units):
    h, outputs = np.zeros((len(x), units), "float32"), []
    for t in range(x.shape[1]):
        h = step(h, x[:, t])
        outputs.append(h)
    return np.stack(outputs, axis=1)


@pytest.mark.peer
@given(gru_weights(reset_after=True, dtype="float32"))
@fewer
def test_against_linen(weights):
    import jax
    from flax import linen

    params = to_flax_linen(weights)
    cell = linen.GRUCell(weights.units)
    x = inputs_for(weights)
    y = run(lambda h, xt: cell.apply({"params": params}, h, xt)[0], x, weights.units)
    assert_close(y, outputs_of(weights, x))

    h = np.zeros((2, weights.units), "float32")
    made = cell.init(jax.random.key(0), h, x[:, 0])
    flat = flattened(to_flax_linen(from_flax_linen(made)))
    assert_identical(flat, flattened(made["params"]))


@pytest.mark.peer
@given(gru_weights(reset_after=True, dtype="float32").map(no_candidate_bias))
@fewer
def test_against_nnx(weights):
    from flax import nnx

    cell = nnx.GRUCell(weights.features, weights.units, rngs=nnx.Rngs(0))
    state = nnx.state(cell)
    made = nnx.to_pure_dict(state)
    assert from_flax_nnx(state) == from_flax_nnx(made)
    assert_identical(flattened(to_flax_nnx(from_flax_nnx(made))), flattened(made))

    nnx.update(cell, to_flax_nnx(weights))
    x = inputs_for(weights)
    y = run(lambda h, xt: cell(h, xt)[0], x, weights.units)
    assert_close(y, outputs_of(weights, x))
    assert from_flax_nnx(nnx.state(cell)) == weights.with_bias().fold_biases()


def flattened(params):
    return {
        f"{name}/{kind}": np.asarray(array)
        for name, part in params.items()
        for kind, array in part.items()
    }


@given(gru_weights(reset_after=True))
@few
def test_both_ways(weights):
    folded = weights.with_bias().fold_biases()
    params = to_flax_linen(weights)
    assert from_flax_linen(params) == folded
    assert from_flax_linen({"params": {"GRUCell_0": params}}) == folded
    assert_identical(
        flattened(to_flax_linen(from_flax_linen(params))), flattened(params)
    )
    weights = no_candidate_bias(weights)
    params = to_flax_nnx(weights)
    assert from_flax_nnx(params) == weights.with_bias().fold_biases()
    assert_identical(flattened(to_flax_nnx(from_flax_nnx(params))), flattened(params))


def test_weights_that_flax_cannot_hold():
    before = random_weights(reset_after=False)
    for write, name in ((to_flax_linen, "linen"), (to_flax_nnx, "nnx")):
        with pytest.raises(WeightsError, match=rf"flax.{name}.GRUCell appl.* after"):
            write(before)
    with pytest.raises(WeightsError, match="no recurrent bias for the candidate"):
        to_flax_nnx(random_weights())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hn": None}, "linen.GRUCell lacks hn/kernel, hn/bias"),
        ({"hn": {"kernel": np.ones((4, 4))}}, "lacks hn/bias"),
        ({"hr": {"kernel": np.ones((4, 4)), "bias": np.ones(4)}}, "surplus hr/bias"),
        ({"extra": np.ones(3)}, "surplus extra"),
        ({"hz": {"kernel": np.ones((3, 4))}}, r"hz/kernel must .*here \(4, 4\)"),
        (
            {"ir": {"kernel": np.ones((2, 4)), "bias": np.ones(4)}},
            r"ir/kernel .*\(3,",
        ),
        ({"ir": {"kernel": np.ones((3, 4)), "bias": np.ones(3)}}, r"ir/bias .*\(4,\)"),
        ({"hz": {"kernel": np.full((4, 4), np.nan)}}, r"hz/kernel\[0, 0\] is nan"),
    ],
)
def test_parameters_that_are_not_a_linen_cell(changes, message):
    params = {**to_flax_linen(random_weights(dtype="float64")), **changes}
    params = {name: part for name, part in params.items() if part is not None}
    with pytest.raises(WeightsError, match=message):
        from_flax_linen(params)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"dense_h": {"kernel": np.ones((2, 6))}}, "nnx.GRUCell lacks dense_i/kernel"),
        ({"a": {"b": 3}}, "a dict of dicts; received a int"),
        ([1], "received a list"),
        (
            {
                "dense_h": {"kernel": np.ones((3, 6))},
                "dense_i": {"kernel": np.ones((3, 6)), "bias": np.ones(6)},
            },
            r"dense_h/kernel .*here \(2, 6\); received \(3, 6\)",
        ),
    ],
)
def test_parameters_that_are_not_an_nnx_cell(params, message):
    with pytest.raises(WeightsError, match=message):
        from_flax_nnx(params)
