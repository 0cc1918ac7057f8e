"""This package's own file of weights: an `.npz` in the canonical layout.

    format                   "tf_gru_addon"
    0.forward.kernel         (features, 3 * units), and so on, as in `GRUWeights`
    0.forward.reset_after    a bool
    0.activation             a name, and 0.recurrent_activation

The number is the layer's. It holds all that a stack does, to the last bit.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tf_gru_addon.weights.arrays import arrays_named
from tf_gru_addon.weights.errors import WeightsError
from tf_gru_addon.weights.gru_layer import GRULayer, as_stack
from tf_gru_addon.weights.gru_weights import GRUWeights

MARK = "tf_gru_addon"
_ARRAYS = ("kernel", "recurrent_kernel", "bias")


def to_npz_arrays(stack: tuple[GRULayer, ...]) -> dict[str, np.ndarray]:
    """Returns what the file holds, by name."""
    arrays = {"format": np.array(MARK)}
    for index, layer in enumerate(stack):
        for way in ("forward", "backward"):
            weights = getattr(layer, way)
            if weights is not None:
                scope = f"{index}.{way}."
                arrays[scope + "reset_after"] = np.array(weights.reset_after)
                for name, array in zip(_ARRAYS, weights.arrays(), strict=False):
                    arrays[scope + name] = array
        for name in ("activation", "recurrent_activation"):
            arrays[f"{index}.{name}"] = np.array(getattr(layer, name))
    return arrays


def from_npz_arrays(arrays: Mapping[str, np.ndarray]) -> tuple[GRULayer, ...]:
    """Returns the stack of a file's arrays.

    Raises:
        WeightsError: An array is missing or surplus, or is none of a GRU's.
    """
    rest = {name: array for name, array in arrays.items() if name != "format"}
    layers = []
    while any(name.startswith(f"{len(layers)}.") for name in rest):
        prefix = f"{len(layers)}."
        part = {
            name[len(prefix) :]: rest.pop(name)
            for name in list(rest)
            if name.startswith(prefix)
        }
        names = ("activation", "recurrent_activation")
        activations = [_word(part.pop(name, None), prefix + name) for name in names]
        ways = [_direction(part, prefix, way) for way in ("forward", "backward")]
        if part:
            raise WeightsError(f"surplus array {prefix}{next(iter(part))}.")
        layers.append(GRULayer(*ways, *activations))
    if rest:
        raise WeightsError(f"surplus array {next(iter(rest))}.")
    return as_stack(layers)


def _direction(part: dict[str, np.ndarray], prefix: str, way: str) -> GRUWeights | None:
    scope = f"{way}."
    mine = {k[len(scope) :]: part.pop(k) for k in list(part) if k.startswith(scope)}
    if not mine:
        return None
    after = mine.pop("reset_after", None)
    if after is None or after.shape != () or after.dtype != bool:
        raise WeightsError(f"{prefix}{scope}reset_after must be a single bool.")
    names = [name for name in _ARRAYS if name != "bias" or "bias" in mine]
    kernel, recurrent_kernel, *bias = arrays_named(mine, names, prefix + way)
    bias = bias[0] if bias else None
    return GRUWeights(kernel, recurrent_kernel, bias, bool(after))


def _word(value: np.ndarray | None, name: str) -> str:
    if value is None or value.shape != () or value.dtype.kind != "U" or not str(value):
        raise WeightsError(f"{name} must be a single word.")
    return str(value)
