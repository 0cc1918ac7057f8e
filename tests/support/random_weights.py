"""Random GRU weights for tests, and the outputs that they give."""

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from support import oracles

from tf_gru_addon.weights import GRULayer, GRUWeights, as_stack

#: Settings of property tests: a few examples, the same in every run.
few = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

sizes = st.integers(1, 5)
seeds = st.integers(0, 99)


def normal(rng, shape, dtype="float32"):
    return rng.normal(0, 0.7, shape).astype(dtype)


def random_weights(
    features=3, units=4, *, bias=True, reset_after=True, dtype="float32", seed=0
):
    """Returns weights whose numbers are all different."""
    rng = np.random.default_rng([seed, features, units])
    shape = (2, 3 * units) if reset_after else (3 * units,)
    return GRUWeights(
        normal(rng, (features, 3 * units), dtype),
        normal(rng, (units, 3 * units), dtype),
        normal(rng, shape, dtype) if bias else None,
        reset_after,
    )


def random_stack(features=3, units=(4,), *, bidirectional=False, seed=0, **options):
    """Returns a stack of layers with these units."""
    layers = []
    for index, size in enumerate(units):
        directions = [
            random_weights(features, size, seed=100 * seed + 2 * index + d, **options)
            for d in range(1 + bidirectional)
        ]
        layers.append(GRULayer(*directions))
        features = layers[-1].outputs
    return tuple(layers)


@st.composite
def gru_weights(draw, **fixed):
    """A strategy for weights; given arguments (`reset_after=True`) do not vary."""
    options = {
        "bias": st.booleans(),
        "reset_after": st.booleans(),
        "dtype": st.sampled_from(["float32", "float64"]),
        "seed": seeds,
    }
    drawn = {k: draw(v) for k, v in options.items() if k not in fixed}
    return random_weights(draw(sizes), draw(sizes), **drawn, **fixed)


@st.composite
def gru_stacks(draw, layers=3, **fixed):
    """A strategy for stacks with one number of units, in one direction or in both."""
    units = [draw(sizes)] * draw(st.integers(1, layers))
    options = {
        "bias": st.booleans(),
        "reset_after": st.booleans(),
        "bidirectional": st.booleans(),
        "seed": seeds,
    }
    drawn = {k: draw(v) for k, v in options.items() if k not in fixed}
    return random_stack(draw(sizes), units, **drawn, **fixed)


def inputs_for(stack, batch=2, timesteps=4, dtype="float32"):
    features = as_stack(stack)[0].features
    return normal(np.random.default_rng(7), (batch, timesteps, features), dtype)


def outputs_of(stack, x, initial_states=None):
    """Returns the oracle's outputs (B, T, outputs) of a stack, in float64.

    Initial states, if given, are ordered by layer, forward before backward.
    """
    states = list(initial_states or [])
    y = np.asarray(x, np.float64)
    for layer in as_stack(stack):
        sides = []
        for weights, backwards in ((layer.forward, False), (layer.backward, True)):
            if weights is None:
                continue
            h0 = states.pop(0) if states else np.zeros((len(x), layer.units))
            bias = weights.bias
            side, _, _ = oracles.gru(
                y,
                np.asarray(h0, np.float64),
                weights.kernel.astype(np.float64),
                weights.recurrent_kernel.astype(np.float64),
                None if bias is None else bias.astype(np.float64),
                reset_after=weights.reset_after,
                activation=layer.activation,
                recurrent_activation=layer.recurrent_activation,
                go_backwards=backwards,
            )
            sides.append(side[:, ::-1] if backwards else side)
        y = np.concatenate(sides, axis=-1)
    return y


def assert_identical(actual, expected):
    """Fails unless both are the same arrays, dtypes included, to the last bit."""
    if isinstance(expected, dict):
        assert sorted(actual) == sorted(expected)
        actual = [actual[name] for name in sorted(actual)]
        expected = [expected[name] for name in sorted(expected)]
    assert len(actual) == len(expected)
    for one, other in zip(actual, expected, strict=True):
        one, other = np.asarray(one), np.asarray(other)
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        assert one.tobytes() == other.tobytes()
