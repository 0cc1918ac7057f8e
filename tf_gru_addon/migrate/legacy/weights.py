"""From the arrays in a file to the weights of layers."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tf_gru_addon.migrate.legacy.eras import Era
from tf_gru_addon.migrate.legacy.errors import LegacyModelError
from tf_gru_addon.weights import from_cudnn_gru, from_keras1_arrays
from tf_gru_addon.weights.keras1 import KERAS1_NAMES

if TYPE_CHECKING:
    import keras

Arrays = Sequence[np.ndarray]


class StoredArray(NamedTuple):
    """An array in a file, not yet read.

    Attributes:
        name: Its name in the file.
        shape: Its shape.
        dtype: Its dtype.
        read: Reads it.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[], np.ndarray]

    @property
    def size(self) -> int:
        """The number of its elements."""
        return math.prod(self.shape)


class ArrayLayout(NamedTuple):
    """The arrays of a layer in a file, if they differ from those of the new layer.

    Attributes:
        names: Their names in file order. The last one is absent if `use_bias` is False.
        convert: Computes the new layer's weights from them; None if they are the same.
    """

    names: tuple[str, ...]
    convert: Callable[[Arrays], Arrays] | None = None


@dataclasses.dataclass
class SavedLayer:
    """A layer in a file, and the layer that takes its place.

    Attributes:
        name: Its name in the file.
        kind: Its class in the file.
        trainable: Its own flag. It is trained if the layers around it are trained, too.
        attribute: The attribute of the layer around it that holds it, such as "cell";
            "layers" or "cells" if it is one of several.
        children: The layers inside it.
        holder: The new layer with its weights; None if only its children have weights.
        layout: Its arrays in the file; None if they are the holder's weights.
    """

    name: str
    kind: str
    trainable: bool = True
    attribute: str = ""
    children: list[SavedLayer] = dataclasses.field(default_factory=list)
    holder: keras.layers.Layer | None = None
    layout: ArrayLayout | None = None

    @property
    def where(self) -> str:
        """The layer, for messages."""
        return f"layer {self.name!r} ({self.kind})"

    def holders(
        self, trainable: bool = True
    ) -> Iterator[tuple[SavedLayer, keras.layers.Layer, bool]]:
        """Yields each saved layer with weights, its holder and whether it is trained.

        Args:
            trainable: Whether the layers around this one are trained.
        """
        trainable = trainable and self.trainable
        if self.holder is not None:
            yield self, self.holder, trainable
        for child in self.children:
            yield from child.holders(trainable)

    def array_names(self) -> tuple[str, ...]:
        """Returns the names of its arrays in file order, once its holder is built."""
        if self.layout is not None:
            return self.layout.names
        weights = [] if self.holder is None else self.holder.weights
        return tuple(weight.name for weight in weights)

    def file_order(self) -> list[tuple[SavedLayer, str]]:
        """Returns (layer, array name) pairs in the order of Keras' HDF5 files.

        Keras wrote the trainable weights first, then the others.
        """
        trained: list[tuple[SavedLayer, str]] = []
        rest: list[tuple[SavedLayer, str]] = []
        for saved, _, trainable in self.holders():
            for name in saved.array_names():
                is_trained = trainable and name not in _STATISTICS
                (trained if is_trained else rest).append((saved, name))
        return trained + rest


#: Weights that training updates without gradients.
_STATISTICS = ("moving_mean", "moving_variance")

#: A saved layer with weights, and its arrays.
Assignment = tuple[SavedLayer, list[StoredArray]]

#: The array names of Keras 1, by those of Keras 2.
_KERAS_1_NAMES = {
    "bias": "b",
    "embeddings": "W",
    "kernel": "W",
    "moving_mean": "running_mean",
    "moving_variance": "running_std",
    "recurrent_kernel": "U",
}


def assign(layer: SavedLayer, arrays: list[StoredArray], era: Era) -> list[Assignment]:
    """Assigns the arrays that a file lists for a layer to the layers inside it.

    Args:
        layer: The layer.
        arrays: Its arrays in the order of the file.
        era: The Keras that wrote the file.

    Raises:
        LegacyModelError: Arrays are missing, surplus or in another order.
    """
    slots = layer.file_order()
    if len(slots) != len(arrays):
        raise LegacyModelError(
            f"{layer.where} has {len(slots)} arrays "
            f"({', '.join(name for _, name in slots) or 'none'}), and the file holds "
            f"{len(arrays)} ({', '.join(a.name for a in arrays) or 'none'}). The file "
            "is damaged, or was not written completely."
        )
    found: dict[int, Assignment] = {}
    for (saved, name), array in zip(slots, arrays, strict=True):
        if not _is_named(array.name, name, era):
            raise LegacyModelError(
                f"{layer.where}: the file has the array {array.name!r} where {name!r} "
                "was expected. The contents would be a guess, so the file is not "
                "loaded."
            )
        found.setdefault(id(saved), (saved, []))[1].append(array)
    return list(found.values())


def _is_named(full_name: str, name: str, era: Era) -> bool:
    # "gru/gru_cell/kernel_1:0" is the second "kernel" of a graph.
    last = re.sub(r"(_\d+)?(:\d+)?$", "", full_name.rpartition("/")[2])
    if era.is_keras_1:
        return last.endswith("_" + _KERAS_1_NAMES.get(name, name))
    return last == name


def fill(layer: SavedLayer, arrays: Sequence[StoredArray]) -> None:
    """Sets the weights of a layer to its arrays in the file.

    Args:
        layer: The layer, with a holder that is built.
        arrays: Its arrays in the order of the file.

    Raises:
        LegacyModelError: An array is missing or surplus, has another shape or dtype, or
            is not finite.
    """
    where, names = layer.where, layer.array_names()
    weights = [] if layer.holder is None else layer.holder.weights
    convert = layer.layout and layer.layout.convert
    if len(arrays) != len(names):
        raise LegacyModelError(
            f"{where} has {len(names)} arrays ({', '.join(names) or 'none'}), and the "
            f"file holds {len(arrays)} for it. The file is damaged, or the layer does "
            "not match its class. Or the layer is shared by two models, and a .keras "
            "file of Keras 2 holds the arrays of such a layer only once: let Keras 2 "
            "save HDF5 instead."
        )
    if convert is None:
        for weight, array in zip(weights, arrays, strict=True):
            _check_shape(where, array.name, array.shape, tuple(weight.shape))
    values: Arrays = [_read_finite(where, array) for array in arrays]
    if convert is not None:
        try:
            values = convert(values)
        except ValueError as error:
            raise LegacyModelError(f"{where}: {error}") from error
    for weight, value in zip(weights, values, strict=True):
        _check_shape(where, weight.name, value.shape, tuple(weight.shape))
        _check_dtype(where, weight.name, value.dtype, weight.dtype)
        weight.assign(value)


def _check_shape(
    where: str, name: str, received: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    if received != expected:
        raise LegacyModelError(
            f"{where}: the array {name!r} must have the shape {expected}; the file has "
            f"{received}. The file is damaged, or its config belongs to another model."
        )


def _check_dtype(where: str, name: str, received: Any, expected: str) -> None:
    import tensorflow as tf

    if not np.can_cast(received, tf.as_dtype(expected).as_numpy_dtype, "safe"):
        raise LegacyModelError(
            f"{where}: the array {name!r} is {received}, but the layer's weights are "
            f"{expected}, which cannot hold every value of it. Write the file with "
            f"{expected}."
        )


def _read_finite(where: str, array: StoredArray) -> np.ndarray:
    value = array.read()
    if value.dtype.kind == "f" and not np.isfinite(value).all():
        raise LegacyModelError(
            f"{where}: the array {array.name!r} holds numbers that are infinite or "
            "not a number. Training diverged, or the file is damaged."
        )
    return value


def _keras_1_lstm(arrays: Arrays) -> Arrays:
    # Keras 1 had the gates in the order i, c, f, o; Keras 3 has i, f, c, o.
    gates = [arrays[3 * index : 3 * index + 3] for index in (0, 2, 1, 3)]
    return [np.concatenate(kind, axis=-1) for kind in zip(*gates, strict=True)]


def _cudnn_lstm(arrays: Arrays) -> Arrays:
    # A gate's kernel is the matrix that cuDNN multiplies from the left, with its
    # elements laid out in the shape of a Keras kernel. The two biases are summed.
    kernel, recurrent_kernel, bias = arrays
    kernels = [k.T.reshape(k.shape, order="F") for k in np.split(kernel, 4, 1)]
    recurrent_kernels = [k.T for k in np.split(recurrent_kernel, 4, 1)]
    summed = np.add(*np.split(bias, 2))
    return [np.hstack(kernels), np.hstack(recurrent_kernels), summed]


_CUDNN_NAMES = ("kernel", "recurrent_kernel", "bias")
CUDNN_GRU = ArrayLayout(_CUDNN_NAMES, lambda arrays: from_cudnn_gru(arrays).arrays())
CUDNN_LSTM = ArrayLayout(_CUDNN_NAMES, _cudnn_lstm)
KERAS_1_GRU = ArrayLayout(
    KERAS1_NAMES, lambda arrays: from_keras1_arrays(arrays).arrays()
)
KERAS_1_LSTM = ArrayLayout(
    tuple(f"{array}_{gate}" for gate in "icfo" for array in "WUb"), _keras_1_lstm
)
