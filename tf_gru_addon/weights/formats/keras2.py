"""Keras 2's `.h5` of the weights of one GRU. The "keras" format reads it."""

from __future__ import annotations

from pathlib import Path

from tf_gru_addon.weights.format import Format, Stack
from tf_gru_addon.weights.formats.keras_model import KERAS_2, write_keras2_h5
from tf_gru_addon.weights.keras_arrays import to_keras_arrays
from tf_gru_addon.weights.limits import only_forward


def _write(path: Path, stack: Stack) -> None:
    weights = only_forward(stack, "A Keras 2 weights file")
    write_keras2_h5(path, "gru", to_keras_arrays(weights))


FORMAT = Format(
    name="keras2",
    file="Keras 2's weights of a `GRU`",
    suffixes=(".h5", ".hdf5"),
    write=_write,
    cannot_hold="several layers; a layer that runs backward",
    activations="unstated",
    peer=KERAS_2,
)
