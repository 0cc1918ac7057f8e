"""What Keras' weight files share: the model that loads them, and Keras 2's HDF5."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tf_gru_addon.weights.format import Peer, Stack

_NAMES = ("kernel:0", "recurrent_kernel:0", "bias:0")


def run_keras(keras: Any, path: Path, stack: Stack, x: np.ndarray) -> np.ndarray:
    """Returns what a model of GRUs computes with the weights of a file.

    Args:
        keras: Keras 2 or Keras 3.
        path: The weights file.
        stack: The layers that the file holds.
        x: The inputs, (batch, timesteps, features), float64.

    Returns:
        The outputs, (batch, timesteps, units).
    """
    layers = [keras.Input((None, stack[0].features), dtype="float64")]
    for layer in stack:
        gru = keras.layers.GRU(
            layer.units,
            use_bias=layer.use_bias,
            reset_after=layer.reset_after,
            return_sequences=True,
            dtype="float64",
        )
        if layer.direction == "bidirectional":
            gru = keras.layers.Bidirectional(gru, dtype="float64")
        layers.append(gru)
    model = keras.Sequential(layers)
    model.load_weights(str(path))
    return np.asarray(model(x))


def keras_2() -> Any:
    """Returns `tf_keras`, or None if it is not installed."""
    from tf_gru_addon import _compat

    return _compat.keras_2()


def _run_keras_2(path: Path, stack: Stack, x: np.ndarray) -> np.ndarray:
    return run_keras(keras_2(), path, stack, x)


KERAS_2 = Peer("tf_keras", keras_2, _run_keras_2)


def write_keras2_h5(path: Path, layer: str, arrays: list[np.ndarray]) -> None:
    """Writes a weights file of Keras 2 for a model of one GRU.

    Args:
        path: The file, which is overwritten.
        layer: The layer's name.
        arrays: Its kernel, recurrent kernel and, if there is one, bias.
    """
    import h5py

    names = [f"{layer}/{name}" for name in _NAMES[: len(arrays)]]
    with h5py.File(path, "w") as h5:
        h5.attrs["layer_names"] = [layer.encode()]
        h5.attrs["backend"] = b"tensorflow"
        h5.attrs["keras_version"] = b"2.3.1"
        group = h5.create_group(layer)
        group.attrs["weight_names"] = [name.encode() for name in names]
        for name, array in zip(names, arrays, strict=True):
            group.create_dataset(name, data=array)
