"""Converts the activations of an ONNX `GRU` node to names of this package, and back.

A node names two activations per direction, that of the gates first. Some have an alpha
and a beta, which two further attributes list: a number for each activation that has
one. About missing numbers ONNX says: "Default values are the same as of corresponding
ONNX operators". `Affine` and `ScaledTanh` are no longer operators, and ONNX Runtime
uses 0 for them, and also for the alpha of `ThresholdedRelu`, whose operator has 1. So a
missing number is an error where the two differ. (`onnx.reference` cannot decide: it
ignores the attribute, and computes sigmoid and tanh.)
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tf_gru_addon.weights.errors import WeightsError
from tf_gru_addon.weights.gru_layer import GRULayer


class _Function(NamedTuple):
    """An ONNX activation, and the numbers that make it one of this package."""

    onnx: str
    name: str
    alpha: float | None = None
    beta: float | None = None


_FUNCTIONS = (
    _Function("Sigmoid", "sigmoid"),
    _Function("Tanh", "tanh"),
    _Function("Relu", "relu"),
    _Function("Softsign", "softsign"),
    _Function("Softplus", "softplus"),
    _Function("HardSigmoid", "hard_sigmoid", 0.2, 0.5),
    _Function("HardSigmoid", "keras_hard_sigmoid", 1 / 6, 0.5),
    _Function("Elu", "elu", 1.0),
    _Function("LeakyRelu", "leaky_relu", 0.2),
    _Function("Affine", "linear", 1.0, 0.0),
    _Function("ThresholdedRelu", "relu", 0.0),
    _Function("ScaledTanh", "tanh", 1.0, 1.0),
)
_BY_LOWER = {function.onnx.lower(): function.onnx for function in _FUNCTIONS}
#: For writing: the first function of each name.
_BY_NAME = {function.name: function for function in reversed(_FUNCTIONS)}
#: Numbers that a node may omit: ONNX and ONNX Runtime agree on their defaults.
_DEFAULTS = {
    "alpha": {"HardSigmoid": 0.2, "Elu": 1.0, "LeakyRelu": 0.01},
    "beta": {"HardSigmoid": 0.5, "Affine": 0.0},
}


def activations_of(attributes: dict[str, Any], directions: int) -> tuple[str, str]:
    """Returns the activation and the recurrent activation of a node.

    Args:
        attributes: The node's attributes. `activations`, `activation_alpha` and
            `activation_beta` are used.
        directions: The number of directions, 1 or 2.

    Raises:
        WeightsError: A function has no counterpart here, the two directions differ, or
            a list has the wrong length.
    """
    names = attributes.get("activations") or [b"Sigmoid", b"Tanh"] * directions
    names = [name.decode("utf-8", "replace") for name in names]
    if len(names) != 2 * directions:
        raise WeightsError(
            f"activations must have {2 * directions} names; received "
            f"{', '.join(names)}."
        )
    given = {
        kind: list(attributes.get(f"activation_{kind}", ()))
        for kind in ("alpha", "beta")
    }
    found = [_name(name, given) for name in names]
    if any(given.values()):
        raise WeightsError(
            "activation_alpha or activation_beta has more numbers than the activations "
            f"{', '.join(names)} take."
        )
    if found[:2] != found[-2:]:
        raise WeightsError(
            "both directions must have the same activations; received "
            f"{', '.join(names)}."
        )
    return found[1], found[0]


def _name(onnx: str, given: dict[str, list[float]]) -> str:
    known = _BY_LOWER.get(onnx.lower())
    if known is None:
        raise WeightsError(
            f"the activation {onnx} has no counterpart. Known: "
            f"{', '.join(dict.fromkeys(_BY_LOWER.values()))}."
        )
    functions = [function for function in _FUNCTIONS if function.onnx == known]
    numbers = {
        kind: _number(known, kind, given[kind])
        for kind in given
        if getattr(functions[0], kind) is not None
    }
    for function in functions:
        if all(
            np.float32(getattr(function, kind)) == np.float32(number)
            for kind, number in numbers.items()
        ):
            return function.name
    received = " and ".join(f"{kind}={x:g}" for kind, x in numbers.items())
    possible = " or ".join(_described(function) for function in functions)
    raise WeightsError(
        f"{known} with {received} has no counterpart. Possible: {possible}."
    )


def _number(onnx: str, kind: str, given: list[float]) -> float:
    """Removes and returns the number of a function from those of a node."""
    if given:
        return given.pop(0)
    if onnx not in _DEFAULTS[kind]:
        raise WeightsError(
            f"{onnx} needs activation_{kind}: ONNX and ONNX Runtime differ about its "
            "default. Write the number into the node."
        )
    return _DEFAULTS[kind][onnx]


def _described(function: _Function) -> str:
    numbers = {"alpha": function.alpha, "beta": function.beta}
    text = ", ".join(f"{k}={x:g}" for k, x in numbers.items() if x is not None)
    return f"{text} ({function.name})"


def activations_for(layer: GRULayer) -> dict[str, Any]:
    """Returns the attributes by which a node states a layer's activations.

    Raises:
        WeightsError: ONNX lacks one of them.
    """
    functions = []
    for name in (layer.recurrent_activation, layer.activation):
        if name not in _BY_NAME:
            raise WeightsError(
                f"ONNX's GRU has no activation {name!r}. Known: "
                f"{', '.join(dict.fromkeys(f.name for f in _FUNCTIONS))}."
            )
        functions.append(_BY_NAME[name])
    functions *= len(layer.directions)
    attributes: dict[str, Any] = {"activations": [each.onnx for each in functions]}
    for kind in ("alpha", "beta"):
        numbers = [getattr(each, kind) for each in functions]
        if numbers := [number for number in numbers if number is not None]:
            attributes[f"activation_{kind}"] = numbers
    return attributes
