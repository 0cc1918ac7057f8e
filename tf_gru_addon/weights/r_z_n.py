"""The arrays that cuDNN's frameworks share: r, z, n, one below the other.

    input weights      (3 * units, features)
    recurrent weights  (3 * units, units)
    input bias         (3 * units,)
    recurrent bias     (3 * units,)

The reset gate is applied after the recurrent product; the activations are sigmoid and
tanh. The frameworks differ in the names of these arrays alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tf_gru_addon.weights.arrays import (
    arrays_named,
    expect_shape,
    units_of,
)
from tf_gru_addon.weights.errors import WeightsError
from tf_gru_addon.weights.gru_layer import GRULayer, as_stack
from tf_gru_addon.weights.gru_weights import GRUWeights
from tf_gru_addon.weights.layouts import GateOrder
from tf_gru_addon.weights.limits import (
    require_activations,
    require_alike,
    require_reset,
)

Stack = tuple[GRULayer, ...]
_ORDER = GateOrder("rzh")
#: The kinds of arrays, in the order of `from_r_z_n` and `to_r_z_n`.
KINDS = ("input weights", "recurrent weights", "input bias", "recurrent bias")


#: What `require_r_z_n` refuses, for `Format.cannot_hold`.
CANNOT_HOLD = (
    "reset before; activations other than tanh and sigmoid; layers that differ in "
    "units, direction or bias; a layer that only runs backward"
)


def require_r_z_n(stack: Stack, who: str) -> None:
    """Checks that a framework of this kind can hold a stack.

    Args:
        stack: The layers.
        who: The framework's GRU, as the error names it.

    Raises:
        WeightsError: It cannot; `CANNOT_HOLD` says what it cannot hold.
    """
    for layer in stack:
        require_reset(layer, who, after=True)
        require_activations(layer, who)
    require_alike(stack, who)


class Part(NamedTuple):
    """Where one array belongs.

    Attributes:
        gru: The name of the GRU, a stack of layers.
        layer: The layer, counted from 0.
        backward: Whether it belongs to the backward direction.
        kind: One of `KINDS`.
    """

    gru: str
    layer: int
    backward: bool
    kind: str


def from_r_z_n(arrays: Mapping[str, Any], names: Sequence[str]) -> GRUWeights:
    """Returns the weights of one layer and direction.

    Args:
        arrays: Arrays by their names.
        names: The names of the arrays in the order of `KINDS`; two, without biases, or
            four.

    Raises:
        WeightsError: An array has another shape or dtype.
    """
    ih, hh, *biases = (arrays[name] for name in names)
    units = units_of(hh, names[1], 3, axis=0)
    expect_shape(hh, names[1], (3 * units, units), "(3 * units, units)")
    expect_shape(ih, names[0], (3 * units, None), "(3 * units, features)")
    for bias, name in zip(biases, names[2:], strict=True):
        expect_shape(bias, name, (3 * units,), "(3 * units,)")
    return GRUWeights(
        _ORDER.to_canonical(ih.T),
        _ORDER.to_canonical(hh.T),
        _ORDER.to_canonical(np.stack(biases)) if biases else None,
        reset_after=True,
    )


def to_r_z_n(weights: GRUWeights) -> list[np.ndarray]:
    """Returns the arrays of one layer and direction, in the order of `KINDS`.

    Args:
        weights: Weights with `reset_after`; without a bias, they give two arrays.
    """
    arrays = [_ORDER.from_canonical(array) for array in weights.arrays()]
    arrays = [arrays[0].T, arrays[1].T, *(arrays[2] if len(arrays) == 3 else ())]
    return [array.copy(order="C") for array in arrays]


def stacks_of(parts: Mapping[str, Part], arrays: Mapping[str, Any]) -> dict[str, Stack]:
    """Returns the GRUs of named arrays; those of LSTMs and simple RNNs are left out.

    Args:
        parts: Where each array of a recurrent layer belongs, by its name.
        arrays: The arrays by their names.

    Raises:
        WeightsError: A layer, a direction or an array is missing, or an array has
            another shape or dtype.
    """
    grus: dict[str, dict[tuple[int, bool, str], str]] = {}
    for name, part in parts.items():
        mine = grus.setdefault(part.gru, {})
        other = mine.setdefault((part.layer, part.backward, part.kind), name)
        if other != name:
            raise WeightsError(f"{other} and {name} are two names of the same array.")
    return {
        gru: _stack(gru, mine, arrays)
        for gru, mine in grus.items()
        if _gates(mine, arrays) == 3
    }


def _gates(mine: Mapping[tuple[int, bool, str], str], arrays: Mapping[str, Any]) -> int:
    """Returns how many gates a layer has; 0 if its recurrent weights are missing."""
    for (_, _, kind), name in mine.items():
        shape = np.shape(arrays[name])
        if kind == KINDS[1] and len(shape) == 2 and shape[1]:
            return 0 if shape[0] % shape[1] else shape[0] // shape[1]
    return 0


def _stack(
    gru: str, mine: Mapping[tuple[int, bool, str], str], arrays: Mapping[str, Any]
) -> Stack:
    count = 1 + max(layer for layer, _, _ in mine)
    if count > len(mine):
        raise WeightsError(f"{gru}: layers below layer {count - 1} are missing.")
    ways = (False, True) if any(backward for _, backward, _ in mine) else (False,)
    kinds = [kind for kind in KINDS if any(kind == place[2] for place in mine)]
    layers = []
    for layer in range(count):
        directions = []
        for reverse in ways:
            places = [(layer, reverse, kind) for kind in kinds]
            missing = [place[2] for place in places if place not in mine]
            if missing or KINDS[0] not in kinds or len(kinds) == 3:
                way = "backward" if reverse else "forward"
                received = ", ".join(mine.values())
                missing = missing or [kind for kind in KINDS if kind not in kinds]
                raise WeightsError(
                    f"{gru}: layer {layer}, {way}, lacks its {' and '.join(missing)}; "
                    f"received {received}."
                )
            names = [mine[place] for place in places]
            checked = arrays_named({name: arrays[name] for name in names}, names, gru)
            found = dict(zip(names, checked, strict=True))
            directions.append(from_r_z_n(found, names))
        backward = directions[1] if len(directions) == 2 else None
        layers.append(GRULayer(directions[0], backward))
    return as_stack(layers)
