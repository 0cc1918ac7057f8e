"""How far rounding alone moves the outputs of a model.

Two correct implementations of a model round in different places, so their numbers
differ. How far depends on the model: most models damp a rounding error, a chaotic
recurrent one multiplies it at every timestep. A fixed tolerance would refuse correct
implementations of a chaotic model. So the model runs again with its weights and inputs
moved by one unit in the last place. An implementation whose error is more than a small
multiple of that change computes something else.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_gru_addon.verify.difference import difference, severity
from tf_gru_addon.verify.inputs import Arrays

#: The allowed error is this many times what rounding changes: implementations differ in
#: every sum and at every timestep, the perturbed runs only in the weights and inputs.
FACTOR = 10
#: The error allowed for any model, by the dtype that it computes in.
_TOLERANCES = {"float64": 1e-9, "float32": 1e-5, "float16": 2e-2, "bfloat16": 1e-1}
#: Outputs that rounding moves further than this cannot tell right from wrong,
_DECIDABLE = 1e-2
#: nor can those that it moves by more than so many units in the last place.
_DECIDABLE_UNITS = 8

_DRAWS = 4
#: One unit in the last place of a number between 1 and 2, by dtype.
_UNITS = {"float64": 2**-52, "float32": 2**-23, "float16": 2**-10, "bfloat16": 2**-7}


def tolerance(layers: Iterable[keras.layers.Layer]) -> float:
    """Returns the error allowed whatever rounding changes in the model.

    Args:
        layers: The model and the layers in it.
    """
    return max(_TOLERANCES.get(layer.compute_dtype, 0.0) for layer in layers)


def decidable(layers: Iterable[keras.layers.Layer]) -> float:
    """Returns how far rounding may move outputs that still tell right from wrong.

    Args:
        layers: The model and the layers in it.
    """
    return max(_DECIDABLE, _DECIDABLE_UNITS * _unit(layers))


def rounding(
    run: Callable[[Any], Arrays],
    inputs: Any,
    outputs: Arrays,
    layers: Iterable[keras.layers.Layer],
) -> float:
    """Returns how far rounding alone moves the outputs of a model.

    The model's variables keep their values. Only this thread sees the moved ones.

    Args:
        run: Runs the model eagerly.
        inputs: The argument of `run`: arrays, in any nested structure.
        outputs: What `run` returned for `inputs`.
        layers: The model and the layers in it.

    Returns:
        The largest `difference` of several perturbed runs; NaN if one is NaN.
    """
    layers = list(layers)
    unit = _unit(layers)
    rng = np.random.default_rng(0)

    def moved(value: Any) -> Any:
        array = np.asarray(value)
        if array.dtype.name not in _UNITS:
            return value
        signs = rng.choice([-1, 1], array.shape)
        return (array * (1 + unit * signs)).astype(array.dtype)

    differences = []
    for _ in range(_DRAWS):
        with _values(layers, moved):
            perturbed = run(keras.tree.map_structure(moved, inputs))
        differences.append(difference(outputs, perturbed))
    return max(differences, key=severity)


def _unit(layers: Iterable[keras.layers.Layer]) -> float:
    """Returns one unit in the last place of the coarsest dtype computed in."""
    return max(_UNITS.get(layer.compute_dtype, 0) for layer in layers)


@contextlib.contextmanager
def _values(
    layers: list[keras.layers.Layer], moved: Callable[[Any], Any]
) -> Iterator[None]:
    """Makes the layers read moved values of their variables within the block."""
    variables = {id(v): v for layer in layers for v in layer.variables}
    values = [
        (v, tf.constant(moved(v)))
        for v in variables.values()
        if keras.backend.standardize_dtype(v.dtype) in _UNITS
    ]
    with keras.StatelessScope(state_mapping=values):
        yield
