"""TensorFlow 2's checkpoints of objects: Keras 2's and Keras 3's GRUs in them.

`model.save_weights("ckpt")` of Keras 2 and `tf.train.Checkpoint(model=model)` write the
graph of a model's objects. The cell of a `GRU`, or a `GRUCell`, has

    kernel            (features, 3 * units)     z, r, h
    recurrent_kernel  (units, 3 * units)
    bias              (3 * units,), or with reset_after (2, 3 * units)

at a path such as `layer_with_weights-0/cell`. A Keras 2 `CuDNNGRU` has no cell, and a
bias of (6 * units,). `variables/variables` in the folder of a SavedModel is such a
checkpoint too. Nothing in it states the activations.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tf_gru_addon.reading.checkpoint import OBJECT_GRAPH, ObjectCheckpoint
from tf_gru_addon.weights.directions import FoundGRU, weights_file
from tf_gru_addon.weights.errors import WeightsError
from tf_gru_addon.weights.format import Candidate, Format, Peer, Stack
from tf_gru_addon.weights.formats import sonnet
from tf_gru_addon.weights.formats.cudnn_gru import from_cudnn_gru
from tf_gru_addon.weights.formats.keras_model import keras_2
from tf_gru_addon.weights.gru_layer import GRULayer
from tf_gru_addon.weights.gru_weights import GRUWeights
from tf_gru_addon.weights.keras_arrays import from_keras_arrays
from tf_gru_addon.weights.weights_file import WeightsFile

_NAMES = ("kernel", "recurrent_kernel", "bias")


def _why_not(candidate: Candidate) -> str | None:
    if candidate.variables is None:
        return "not a TensorFlow checkpoint"
    if OBJECT_GRAPH not in candidate.variables:
        return "a checkpoint of variables, without TensorFlow 2's graph of objects"
    if sonnet.why_not(candidate) is None:
        return "a checkpoint of Sonnet"
    return None


def _read(path: Path, reset_after: bool | None) -> WeightsFile:
    checkpoint = ObjectCheckpoint(path)
    grus: dict[str, FoundGRU] = {}
    for place, variables in checkpoint.objects():
        names = [variables[name] for name in _NAMES if name in variables]
        if variables.keys() >= {*_NAMES[:2]} and _is_gru(checkpoint.shape(names[1])):
            name = place.removesuffix("/cell") or "gru"
            try:
                gru = _gru([checkpoint.read(name) for name in names], reset_after)
            except WeightsError as error:
                raise WeightsError(f"{name}: {error}") from error
            if name in grus:
                raise WeightsError(f"two GRUs have the name {name!r}.")
            grus[name] = gru
    return weights_file("tf2", grus)


def _is_gru(recurrent: tuple[int, ...]) -> bool:
    return len(recurrent) == 2 and recurrent[1] == 3 * recurrent[0]


def _gru(arrays: list[np.ndarray], reset_after: bool | None) -> FoundGRU:
    if len(arrays) == 3 and arrays[2].shape == (2 * arrays[1].shape[1],):
        return FoundGRU(from_cudnn_gru(arrays), "tanh", "sigmoid")
    if len(arrays) == 3:
        reset_after = None  # the bias shows it
    return FoundGRU(from_keras_arrays(arrays, reset_after))


def _write(path: Path, stack: Stack) -> None:
    import tensorflow as tf

    layers = {}
    for index, layer in enumerate(stack):
        if layer.forward is None:
            raise WeightsError(
                "A checkpoint does not say that a GRU runs backward alone. Write it as "
                "a forward one, and create the layer with go_backwards=True."
            )
        cells = [_cell(weights) for weights in layer.directions]
        ways = ("forward_layer", "backward_layer") if len(cells) == 2 else ("",)
        parts = dict(zip(ways, cells, strict=True))
        layers[f"layer_with_weights-{index}"] = parts.get("") or tf.train.Checkpoint(
            **parts
        )
    tf.train.Checkpoint(**layers).write(str(path))


def _cell(weights: GRUWeights) -> Any:
    """Returns an object whose `cell` has the variables of a GRU's."""
    import tensorflow as tf

    with tf.device("CPU"):
        variables = map(tf.Variable, weights.arrays())
        cell = tf.train.Checkpoint(**dict(zip(_NAMES, variables, strict=False)))
    return tf.train.Checkpoint(cell=cell)


def _run(path: Path, stack: Stack, x: np.ndarray) -> np.ndarray:
    keras = keras_2()
    # A checkpoint loads into variables of its own dtype only.
    model = _model(keras, stack, [layer.dtype.name for layer in stack])
    model.load_weights(str(path)).assert_existing_objects_matched()
    exact = _model(keras, stack, ["float64"] * len(stack))
    exact.set_weights(model.get_weights())
    return np.asarray(exact(x))


def _model(keras: Any, stack: tuple[GRULayer, ...], dtypes: list[str]) -> Any:
    layers = [keras.Input((None, stack[0].features), dtype=dtypes[0])]
    for layer, dtype in zip(stack, dtypes, strict=True):
        gru = keras.layers.GRU(
            layer.units,
            use_bias=layer.use_bias,
            reset_after=layer.reset_after,
            return_sequences=True,
            dtype=dtype,
        )
        both = layer.direction == "bidirectional"
        layers.append(keras.layers.Bidirectional(gru, dtype=dtype) if both else gru)
    return keras.Sequential(layers)


FORMAT = Format(
    name="tf2",
    file="a TensorFlow 2 checkpoint of objects, by its name without `.index`: "
    '`model.save_weights("ckpt")` of Keras 2, `tf.train.Checkpoint(model=model)`',
    why_not=_why_not,
    read=_read,
    write=_write,
    cannot_hold="a layer that only runs backward",
    activations="unstated",
    peer=Peer("tf_keras", keras_2, _run),
)
