"""Keras 3's `.weights.h5` of a model whose layers are GRUs.

    layers/gru/cell/vars/0, 1, 2                          the arrays, in Keras' order
    layers/bidirectional/forward_layer/cell/vars/0, 1, 2  and backward_layer
    layers/gru_1/...                                      the second GRU

`Sequential([Input(...), GRU(...), ...])`, or a functional model of the same layers,
loads it with `load_weights`; the GRUs are those of `keras.layers` or of this package.
Such a file does not state activations.
"""

from __future__ import annotations

import os

from tf_gru_addon.weights.errors import WeightsError
from tf_gru_addon.weights.gru_layer import GRULayer
from tf_gru_addon.weights.gru_weights import GRUWeights


def write_keras3_h5(path: str | os.PathLike, stack: tuple[GRULayer, ...]) -> None:
    """Writes a weights file of Keras 3 for a model of the stack's layers.

    Args:
        path: The file, which is overwritten.
        stack: The layers.

    Raises:
        WeightsError: A layer runs backward alone.
    """
    import h5py

    counts: dict[str, int] = {}
    with h5py.File(path, "w") as h5:
        h5.create_group("vars")
        for layer in stack:
            kind = _kind(layer)
            index = counts[kind] = counts.get(kind, -1) + 1
            group = h5.create_group(f"layers/{kind}" + (f"_{index}" if index else ""))
            _write_layer(group, layer)


def _kind(layer: GRULayer) -> str:
    if layer.direction == "reverse":
        raise WeightsError(
            "Keras' weights do not state that a layer runs backward, and this one runs "
            "backward alone. Write it as a forward one, for a GRU of go_backwards=True."
        )
    return "gru" if layer.direction == "forward" else "bidirectional"


def _write_layer(group, layer: GRULayer) -> None:
    group.create_group("vars")
    if layer.direction == "forward":
        _write_gru(group, layer.forward)
        return
    for name, weights in zip(("forward", "backward"), layer.directions, strict=True):
        inner = group.create_group(f"{name}_layer")
        inner.create_group("vars")
        _write_gru(inner, weights)


def _write_gru(group, weights: GRUWeights) -> None:
    variables = group.create_group("cell/vars")
    for index, array in enumerate(weights.arrays()):
        variables.create_dataset(str(index), data=array)
