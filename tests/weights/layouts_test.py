"""Orders of the gates, and update gates that multiply the candidate."""

import numpy as np
import pytest
from support import oracles
from support.harness import assert_close
from support.random_weights import inputs_for, random_weights

from tf_gru_addon.weights import WeightsError
from tf_gru_addon.weights.layouts import GateOrder

COMPLEMENTED = ["sigmoid", "hard_sigmoid", "keras_hard_sigmoid"]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (GateOrder("zrh"), [1, 2, 3]),
        (GateOrder("rzh"), [2, 1, 3]),
        (GateOrder("hrz"), [3, 2, 1]),
        (GateOrder("hrz", update_negated=True), [3, 2, -1]),
    ],
)
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_both_ways(order, expected, axis):
    canonical = np.repeat(np.array([1.0, 2, 3]), 2)  # z z r r h h
    canonical = np.stack([canonical, 10 * canonical], axis=1 if axis == 0 else 0)
    array = order.from_canonical(canonical, axis)
    first = array[:, 0] if axis == 0 else array[0]
    assert first.tolist() == np.repeat(expected, 2).tolist()
    assert order.to_canonical(array, axis).tolist() == canonical.tolist()


def test_two_gates():
    order = GateOrder("rz", update_negated=True)
    assert order.to_canonical(np.array([1.0, 2.0])).tolist() == [-2.0, 1.0]
    assert order.from_canonical(np.array([-2.0, 1.0])).tolist() == [1.0, 2.0]


@pytest.mark.parametrize("recurrent_activation", COMPLEMENTED)
def test_a_negated_update_gate_computes_the_same(recurrent_activation):
    """Compares with a step that computes `h' = (1 - z) * h + z * c`."""
    weights = random_weights(reset_after=False)
    order = GateOrder("hzr", update_negated=True)
    order.require_activation(recurrent_activation, "This test")
    w, u, b = (order.from_canonical(array) for array in weights.arrays())
    gate = oracles.ACTIVATIONS[recurrent_activation]
    x = inputs_for(weights).astype("float64")
    h = np.zeros((len(x), weights.units))
    outputs = []
    for inputs in x.swapaxes(0, 1):
        wh, wz, wr = np.split(inputs @ w + b, 3, axis=-1)
        uh, uz, ur = np.split(u, 3, axis=-1)
        z, r = gate(wz + h @ uz), gate(wr + h @ ur)
        h = (1 - z) * h + z * np.tanh(wh + (r * h) @ uh)
        outputs.append(h)
    expected, _, _ = oracles.gru(
        x,
        np.zeros_like(h),
        *weights.arrays(),
        reset_after=False,
        activation="tanh",
        recurrent_activation=recurrent_activation,
    )
    assert_close(np.stack(outputs, axis=1), expected, "float64")


def test_activations_that_do_not_allow_negation():
    order = GateOrder("zrh", update_negated=True)
    with pytest.raises(WeightsError, match=r"^Sonnet's GRU has 1 - z .*'tanh'\.$"):
        order.require_activation("tanh", "Sonnet's GRU")
    GateOrder("zrh").require_activation("tanh", "PyTorch's GRU")
