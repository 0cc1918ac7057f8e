"""The activations of an ONNX `GRU` node, by the names that Keras has for them.

A node names two a direction, that of the gates first. Some take an alpha and a beta,
which come in two lists of their own: a number for each activation that takes one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tf_gru_addon.weights.errors import WeightsError
from tf_gru_addon.weights.gru_layer import GRULayer

#: By ONNX's name: Keras' name, and the alpha and beta with which it is that function.
_KNOWN = {
    "Sigmoid": ("sigmoid", {}),
    "Tanh": ("tanh", {}),
    "Relu": ("relu", {}),
    "Softsign": ("softsign", {}),
    "Softplus": ("softplus", {}),
    "HardSigmoid": ("hard_sigmoid", {"alpha": 0.2, "beta": 0.5}),
    "Elu": ("elu", {"alpha": 1.0}),
    "Affine": ("linear", {"alpha": 1.0, "beta": 0.0}),
}
_BY_LOWER = {name.lower(): name for name in _KNOWN}
_BY_KERAS = {keras: name for name, (keras, _) in _KNOWN.items()}


def activations_of(attributes: dict[str, Any], directions: int) -> tuple[str, str]:
    """Returns the activation and the recurrent activation of a node.

    Args:
        attributes: The node's, of which `activations`, `activation_alpha` and
            `activation_beta` are looked at.
        directions: 1 or 2.

    Raises:
        WeightsError: Keras has no such function, the directions have different ones, or
            the lists do not fit.
    """
    names = attributes.get("activations") or [b"Sigmoid", b"Tanh"] * directions
    names = [name.decode("utf-8", "replace") for name in names]
    if len(names) != 2 * directions:
        raise WeightsError(
            f"activations must name {2 * directions}; received {', '.join(names)}."
        )
    given = {
        kind: list(attributes.get(f"activation_{kind}", ()))
        for kind in ("alpha", "beta")
    }
    keras = [_keras_name(name, given) for name in names]
    if any(given.values()):
        raise WeightsError(
            "activation_alpha or activation_beta has more numbers than the activations "
            f"{', '.join(names)} take."
        )
    if keras[:2] != keras[-2:]:
        raise WeightsError(
            "both directions must have the same activations; received "
            f"{', '.join(names)}."
        )
    return keras[1], keras[0]


def _keras_name(name: str, given: dict[str, list[float]]) -> str:
    known = _BY_LOWER.get(name.lower())
    if known is None:
        raise WeightsError(
            f"the activation {name} has no counterpart. Known: {', '.join(_KNOWN)}."
        )
    keras, wanted = _KNOWN[known]
    for kind, value in wanted.items():
        received = given[kind].pop(0) if given[kind] else value
        if np.float32(received) != np.float32(value):
            raise WeightsError(
                f"{known} with {kind}={received:g} is not {keras}, which has "
                f"{kind}={value:g}."
            )
    return keras


def activations_for(layer: GRULayer) -> dict[str, Any]:
    """Returns the attributes of a node for a layer's activations.

    Raises:
        WeightsError: ONNX has no such function.
    """
    names = []
    for keras in (layer.recurrent_activation, layer.activation):
        if keras not in _BY_KERAS:
            raise WeightsError(
                f"ONNX's GRU has no activation {keras!r}. Known: "
                f"{', '.join(_BY_KERAS)}."
            )
        names.append(_BY_KERAS[keras])
    names *= len(layer.directions)
    attributes: dict[str, Any] = {"activations": names}
    for kind in ("alpha", "beta"):
        values = [_KNOWN[name][1][kind] for name in names if kind in _KNOWN[name][1]]
        if values:
            attributes[f"activation_{kind}"] = values
    return attributes
