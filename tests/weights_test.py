"""Every public function of `weights` refuses a wrong type and names the argument."""

import inspect

import numpy as np
import pytest
from support.random_weights import random_weights

from tf_gru_addon import weights

WEIGHTS = random_weights()
NPZ = "gru.npz"

#: By function: valid arguments. The test replaces one at a time by a wrong one.
RIGHT = {
    "GRULayer": {"forward": WEIGHTS, "activation": "tanh"},
    "GRUWeights": {
        "kernel": WEIGHTS.kernel,
        "recurrent_kernel": WEIGHTS.recurrent_kernel,
        "bias": WEIGHTS.bias,
        "reset_after": True,
    },
    "as_stack": {"weights": WEIGHTS},
    "from_cudnn_buffer": {
        "buffer": np.ones(42),
        "features": 3,
        "units": 2,
        "layers": 1,
        "bidirectional": False,
    },
    "from_cudnn_gru": {"arrays": weights.to_cudnn_gru(WEIGHTS)},
    "from_flax_linen": {"params": weights.to_flax_linen(WEIGHTS)},
    "from_flax_nnx": {"state": {}},
    "from_keras1_arrays": {"arrays": []},
    "from_keras_arrays": {"arrays": WEIGHTS.arrays(), "reset_after": True},
    "from_tf1_variables": {"variables": {}},
    "from_torch": {"state_dict": weights.torch_arrays(WEIGHTS), "prefix": ""},
    "inspect_weights": {"path": NPZ, "reset_after": True},
    "read_onnx": {"model": "gru.onnx"},
    "read_tf1_checkpoint": {"path": "model.ckpt"},
    "read_weights": {
        "path": NPZ,
        "name": "gru",
        "activation": "tanh",
        "recurrent_activation": "sigmoid",
        "reset_after": True,
    },
    "to_cudnn_buffer": {"stack": WEIGHTS},
    "to_cudnn_gru": {"weights": WEIGHTS},
    "to_flax_linen": {"weights": WEIGHTS},
    "to_flax_nnx": {"weights": WEIGHTS},
    "to_keras1_arrays": {"weights": WEIGHTS},
    "to_keras_arrays": {"weights": WEIGHTS},
    "to_onnx": {"layer": WEIGHTS, "name": "gru"},
    "to_tf1_variables": {"weights": WEIGHTS},
    "to_torch": {"stack": WEIGHTS, "cell": False},
    "torch_arrays": {"stack": WEIGHTS, "cell": False},
    "torch_prefixes": {"state_dict": {}},
    "write_tf1_checkpoint": {"path": "out.ckpt", "cells": {"": WEIGHTS}},
    "write_weights": {"path": "out.npz", "stack": WEIGHTS, "format": "npz"},
}
#: The arguments for which None is valid.
NONE = ("name", "activation", "recurrent_activation", "reset_after", "prefix", "bias")
NEEDED = [("GRULayer", "activation"), ("GRUWeights", "reset_after")]
#: The errors' words for arguments that have several types.
CALLED = {"weights": "GRUWeights", "stack": "GRUWeights", "layer": "GRUWeights"}
WRONG = [3.5, "evil", "", b"x", object(), [object()], {"a": object()}, np.ones(2)]
PEERS = {"read_onnx", "to_onnx", "to_torch"}
CASES = [
    pytest.param(
        name, argument, marks=pytest.mark.peer if name in PEERS else (), id=argument
    )
    for name, arguments in RIGHT.items()
    for argument in arguments
]


def test_every_function_has_arguments_here():
    functions = set(weights.__all__) - {"Gate", "WeightsError", "WeightsFile"}
    assert set(RIGHT) == functions
    for name, arguments in RIGHT.items():
        parameters = inspect.signature(getattr(weights, name)).parameters
        assert set(arguments) <= set(parameters)


def has_valid_type(name, argument, value):
    """Returns whether a value has the argument's type."""
    if value is None:
        return argument in NONE and (name, argument) not in NEEDED
    if isinstance(value, str):
        if (name, argument) == ("to_onnx", "name"):
            return value != ""
        return argument == "prefix" or (value and argument in ("path", "model"))
    return isinstance(value, dict) and argument in ("variables", "state_dict")


@pytest.mark.parametrize(("name", "argument"), CASES)
def test_wrong_types(name, argument, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    weights.write_weights(NPZ, WEIGHTS, "npz")
    for value in [None, *WRONG]:
        if has_valid_type(name, argument, value):
            continue
        with pytest.raises(ValueError, match=CALLED.get(argument, argument)) as error:
            getattr(weights, name)(**{**RIGHT[name], argument: value})
        assert str(error.value).isprintable()
