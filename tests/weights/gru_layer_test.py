"""GRULayer: its directions, and stacks of layers."""

import pytest
from support.random_weights import random_stack, random_weights

from tf_gru_addon.weights import GRULayer, WeightsError, as_stack


def test_directions():
    one, other = random_weights(), random_weights(seed=1)
    both = GRULayer(one, other)
    assert [GRULayer(one).direction, both.direction] == ["forward", "bidirectional"]
    assert GRULayer(None, one).direction == "reverse"
    assert (GRULayer(None, one).outputs, both.outputs) == (4, 8)
    assert both.directions == (one, other)
    assert (both.features, both.units, both.reset_after, both.use_bias) == (
        3,
        4,
        True,
        True,
    )
    assert both == GRULayer(one, other)
    assert both != GRULayer(other, one)
    assert both != GRULayer(one, other, recurrent_activation="hard_sigmoid")


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"features": 2}, "the same features; received 3 and 2"),
        ({"units": 2}, "the same units; received 4 and 2"),
        ({"reset_after": False}, "the same reset_after; received True and False"),
        ({"dtype": "float64"}, "the same dtype; received float32 and float64"),
        ({"bias": False}, "both have a bias, or neither"),
    ],
)
def test_directions_that_do_not_match(other, message):
    with pytest.raises(WeightsError, match=message):
        GRULayer(random_weights(), random_weights(**other))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"forward": None}, WeightsError, "needs a direction"),
        (
            {"forward": [1]},
            WeightsError,
            "forward must be GRUW.* received a list",
        ),
        ({"activation": None}, WeightsError, "activation must be the name .*None"),
        ({"recurrent_activation": ""}, WeightsError, "recurrent_activation must be"),
    ],
)
def test_wrong_layers_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        GRULayer(**{"forward": random_weights(), **arguments})


def test_stacks():
    stack = random_stack(units=(4, 2, 3), bidirectional=True)
    assert as_stack(list(stack)) == stack
    assert as_stack(stack[0]) == stack[:1]
    assert as_stack(stack[0].forward) == (GRULayer(stack[0].forward),)
    with pytest.raises(WeightsError, match=r"Layer 1 takes 4 .*, but layer 0 .*8"):
        as_stack([stack[0], stack[2]])
    with pytest.raises(WeightsError, match="at least one layer"):
        as_stack([])
    with pytest.raises(WeightsError, match="consists of GRULayer; received a GRUW"):
        as_stack([random_weights()])
