"""GRU_ACTIVATIONS in gru.h, the only list of activations in C++, against Python's."""

import itertools

import pytest
import tensorflow as tf
from support import kernels, oracles
from support.activations import FUNCTIONS

import tf_gru_addon
from tf_gru_addon import native

if not native.status().available:
    pytest.skip(native.status().reason, allow_module_level=True)

from tf_gru_addon.native.direct import ACTIVATIONS


def test_python_has_the_activations_of_the_library_in_the_same_order():
    name = kernels.library().gru_activation_name
    names = itertools.takewhile(bool, map(name, itertools.count()))
    assert tuple(encoded.decode() for encoded in names) == ACTIVATIONS
    assert name(-1) is None


def test_the_tests_cover_every_activation():
    assert set(ACTIVATIONS) == set(FUNCTIONS)
    assert set(ACTIVATIONS) <= set(oracles.ACTIVATIONS)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_layer_passes_the_name_of_its_activation_to_the_op(name):
    layer = tf_gru_addon.GRU(2, FUNCTIONS[name], FUNCTIONS[name], engine="native")
    spec = tf.TensorSpec([1, 2, 3])
    graph = tf.function(layer).get_concrete_function(spec).graph
    (op,) = [o for o in graph.get_operations() if o.type.startswith("TfGruAddon>")]
    for attribute in ("activation", "recurrent_activation"):
        assert tf.compat.as_str(op.get_attr(attribute)) == name


def test_an_unknown_activation_is_an_error_that_lists_the_known_ones():
    zeros = [tf.zeros(shape) for shape in [(1, 1, 1), (1, 1), (1, 3), (1, 3)]]
    options = {"reset_after": True, "recurrent_activation": "sigmoid"}
    known = ", ".join(f'"{name}"' for name in ACTIVATIONS)
    message = f'activation cannot be "Tanh"; expected one of {known}'
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        native.ops().tf_gru_addon_gru(
            *zeros, [], [], [], [], activation="Tanh", **options
        )
