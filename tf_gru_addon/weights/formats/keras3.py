"""Keras 3's `.weights.h5`, written for a model whose layers are GRUs.

    layers/gru/cell/vars/0, 1, 2                          the arrays, in Keras' order
    layers/bidirectional/forward_layer/cell/vars/0, 1, 2  and backward_layer
    layers/gru_1/...                                      the second GRU

`Sequential([Input(...), GRU(...), ...])`, or a functional model of the same layers,
loads it with `load_weights`. The GRUs are those of `keras.layers` or of this package.
The file does not state activations. The "keras" format reads it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tf_gru_addon.weights.errors import WeightsError
from tf_gru_addon.weights.format import Format, Peer, Stack
from tf_gru_addon.weights.formats.keras_model import run_keras
from tf_gru_addon.weights.gru_layer import GRULayer
from tf_gru_addon.weights.gru_weights import GRUWeights


def _write(path: Path, stack: Stack) -> None:
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
            "Keras' weight files do not state a layer's direction, and this one only "
            "runs backward. Write it as a forward one, for GRU(go_backwards=True)."
        )
    return "gru" if layer.direction == "forward" else "bidirectional"


def _write_layer(group: Any, layer: GRULayer) -> None:
    group.create_group("vars")
    if layer.direction == "forward":
        _write_gru(group, layer.directions[0])
        return
    for name, weights in zip(("forward", "backward"), layer.directions, strict=True):
        inner = group.create_group(f"{name}_layer")
        inner.create_group("vars")
        _write_gru(inner, weights)


def _write_gru(group: Any, weights: GRUWeights) -> None:
    variables = group.create_group("cell/vars")
    for index, array in enumerate(weights.arrays()):
        variables.create_dataset(str(index), data=array)


def _run(path: Path, stack: Stack, x: np.ndarray) -> np.ndarray:
    import keras

    return run_keras(keras, path, stack, x)


FORMAT = Format(
    name="keras3",
    file="Keras 3's weights of a stack of `GRU` and `Bidirectional(GRU)`",
    suffixes=(".weights.h5",),
    write=_write,
    cannot_hold="a layer that only runs backward",
    activations="unstated",
    exclusive_suffix=".weights.h5",
    keeps_order=False,  # Keras 3 names the groups, and so sorts them, by class
    peer=Peer("Keras", "keras", _run),
)
