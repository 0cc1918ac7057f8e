"""How far rounding alone moves the outputs of a model.

Two right implementations of a model round in different places, so their numbers differ.
How far depends on the model: most damp a rounding error, and a chaotic recurrent model
multiplies it at every timestep. A fixed tolerance therefore refuses right
implementations of some models. Instead the model is run again with its weights and
inputs moved by one unit in the last place. An implementation that is further away than
a small multiple of what this changes computes something else.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

#: An implementation may be this many times as far away as rounding moves the outputs.
#: They differ in every sum and at every timestep, the perturbed runs in the weights.
FACTOR = 10
#: Outputs that rounding moves by more than this do not tell right from wrong.
_DECIDABLE = 1e-2
#: Likewise, in units in the last place, where these are large.
_DECIDABLE_UNITS = 8

_DRAWS = 4
#: One unit in the last place of a number between 1 and 2, by dtype.
_UNITS = {"float64": 2**-52, "float32": 2**-23, "float16": 2**-10, "bfloat16": 2**-7}


def limit(tolerance: float, spread: float) -> float:
    """Returns how far away an implementation may be.

    Args:
        tolerance: What is allowed whatever the model.
        spread: How far `rounding` moves its outputs.
    """
    return max(tolerance, FACTOR * spread)


def decidable(layers: Iterable[keras.layers.Layer]) -> float:
    """Returns how far rounding may move outputs that still tell right from wrong.

    Args:
        layers: The model and the layers in it.
    """
    return max(_DECIDABLE, _DECIDABLE_UNITS * _unit(layers))


class Verdict(NamedTuple):
    """What an error of outputs says.

    Attributes:
        error: How far the outputs are from the model's.
        allowed: How far they may be.
        spread: How far rounding alone moves the model's outputs; 0 where the tolerance
            explains the error, or nothing can.
        decided: Whether outputs that rounding moves so far tell right from wrong.
    """

    error: float
    allowed: float
    spread: float
    decided: bool

    @property
    def passed(self) -> bool:
        """Whether the error is allowed; False where it is NaN."""
        return self.decided and self.error <= self.allowed


def judge(
    error: float,
    tolerance: float,
    spread: Callable[[], float],
    layers: Iterable[keras.layers.Layer],
) -> Verdict:
    """Returns what an error of outputs says.

    Args:
        error: How far the outputs are from the model's.
        tolerance: What is allowed whatever the model.
        spread: Returns how far `rounding` moves the model's outputs. It is called only
            where the tolerance does not explain the error.
        layers: The model and the layers in it.
    """
    moved = spread() if tolerance < error < np.inf else 0.0
    return Verdict(error, limit(tolerance, moved), moved, moved <= decidable(layers))


def rounding(
    run: Callable[[Any], Any],
    inputs: Any,
    layers: Iterable[keras.layers.Layer],
    distance: Callable[[Any, Any], float],
) -> float:
    """Returns how far rounding alone moves the outputs of a model.

    The model's variables keep their values: the runs see others in their place, in this
    thread alone.

    Args:
        run: Runs the model eagerly; it has run on inputs of these shapes before.
        inputs: What `run` takes: arrays, nested as it wants them.
        layers: The model and the layers in it.
        distance: Takes the outputs as they are and those of a perturbed run.

    Returns:
        The largest distance of several perturbed runs; NaN if one is NaN.
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

    expected = run(inputs)
    distances = []
    for _ in range(_DRAWS):
        with _other_values(layers, moved):
            outputs = run(keras.tree.map_structure(moved, inputs))
        distances.append(distance(expected, outputs))
    return float(np.max(distances))


def _unit(layers: Iterable[keras.layers.Layer]) -> float:
    """Returns one unit in the last place of the coarsest dtype computed in."""
    return max(_UNITS.get(layer.compute_dtype, 0) for layer in layers)


@contextlib.contextmanager
def _other_values(
    layers: list[keras.layers.Layer], other: Callable[[Any], Any]
) -> Iterator[None]:
    """Has the layers see other values of their variables within the block."""
    variables = {id(v): v for layer in layers for v in layer.variables}
    values = [
        (v, tf.constant(other(v)))
        for v in variables.values()
        if keras.backend.standardize_dtype(v.dtype) in _UNITS
    ]
    with keras.StatelessScope(state_mapping=values):
        yield
