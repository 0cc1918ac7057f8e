"""The GRUs in Keras' HDF5 files: of Keras 1, 2 and 3, weights and whole models.

A GRU is told by the names and shapes of its arrays, wherever they stand:

    Keras 1    gru_1_W_z, gru_1_U_z, gru_1_b_z, ..., or gru_1_W, gru_1_U, gru_1_b
    Keras 2    kernel:0, recurrent_kernel:0, bias:0; a CuDNNGRU's bias is (6 * units,)
    Keras 3    vars/0, 1, 2 of a cell

No array says what the activations are, but a whole-model file has the model's config,
which does. Those of a CuDNNGRU are known. What an optimizer keeps for each array, often
under the array's own name, is left out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from tf_gru_addon.reading import Budget
from tf_gru_addon.reading.hdf5 import open_hdf5
from tf_gru_addon.weights.cudnn_gru import from_cudnn_gru, to_cudnn_gru
from tf_gru_addon.weights.errors import WeightsError
from tf_gru_addon.weights.gru_weights import GRUWeights
from tf_gru_addon.weights.keras1 import KERAS1_NAMES, from_keras1_arrays
from tf_gru_addon.weights.keras_arrays import from_keras_arrays, to_keras_arrays
from tf_gru_addon.weights.keras_config import (
    StatedGRU,
    match,
    plain_path,
    stated_grus,
)

_KERAS2 = ("kernel", "recurrent_kernel", "bias")
_KERAS1 = re.compile(r"(?P<prefix>.*_)(?P<name>[WUb](?:_[zrh])?)")


class KerasGRU(NamedTuple):
    """A GRU in a file.

    Attributes:
        weights: Its weights.
        backwards: Whether it runs backwards; None if the file does not state it.
        activation: Its activation; None if the file does not state it.
        recurrent_activation: Its recurrent activation; None likewise.
        cudnn: Whether it is a `CuDNNGRU`.
    """

    weights: GRUWeights
    backwards: bool | None
    activation: str | None
    recurrent_activation: str | None
    cudnn: bool


def read_keras_h5(
    file: str | os.PathLike | Any,
    reset_after: bool | None = None,
    config: tuple[Any, Any] | None = None,
    budget: Budget | None = None,
) -> dict[str, KerasGRU]:
    """Returns all the GRUs in a file, by the group that they stand in.

    Args:
        file: The file, or a file object of its bytes.
        reset_after: The convention of those without a bias, where no config states it.
        config: The model's config, as JSON, and the version of Keras that wrote it, if
            they stand elsewhere.
        budget: Of a file object, the budget of the file that it came from.

    Raises:
        WeightsError: A GRU in it cannot be read.
        FileRefusedError: It reads other files, or claims more than it can hold.
        Exception: Anything that h5py raises for a damaged file; see `boundary`.
    """
    groups: dict[str, dict[str, Any]] = {}
    found = {}
    with open_hdf5(file, budget) as (h5, paths):
        skipped = _optimizers(h5)
        if config is None and "model_config" in h5.attrs:
            config = h5.attrs["model_config"], h5.attrs.get("keras_version")
        for path in paths:
            if path.partition("/")[0] in skipped:
                continue
            group, _, last = plain_path(path).rpartition("/")
            groups.setdefault(group, {})[last] = h5[path]
        for group, datasets in groups.items():
            for name, arrays in _grus(group, datasets).items():
                found[name] = [np.asarray(array[()]) for array in arrays]
    units = {name: _units(arrays) for name, arrays in found.items()}
    stated = match(units, stated_grus(*config)) if config else {}
    return {
        name: _read(name, arrays, reset_after, stated.get(name))
        for name, arrays in found.items()
    }


def _optimizers(h5: Any) -> tuple[str, ...]:
    """Returns the groups of the optimizer's arrays, one of which each GRU array has."""
    if "model_weights" in h5:  # a whole model
        return ("optimizer_weights",)
    if "layer_names" in h5.attrs:  # Keras 2's weights, whose groups are the layers
        return ()
    return ("optimizer", "_optimizer")


def _grus(group: str, datasets: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Returns by name the datasets, in order, of the GRUs that stand in a group."""
    plain = {name.removesuffix(":0"): array for name, array in datasets.items()}
    if set(plain) in ({*_KERAS2}, {*_KERAS2[:2]}):
        arrays = [plain[name] for name in _KERAS2[: len(plain)]]
        return {group: arrays} if _has_gates(arrays[1]) else {}
    if group.rpartition("/")[2] == "vars" and sorted(plain) in (["0", "1"], [*"012"]):
        arrays = [plain[name] for name in sorted(plain)]
        name = f"/{group}".removesuffix("/vars").removesuffix("/cell")[1:]
        return {name: arrays} if _has_gates(arrays[1]) else {}
    by_prefix: dict[str, dict[str, Any]] = {}
    for name, array in plain.items():
        match = _KERAS1.fullmatch(name)
        if match:
            by_prefix.setdefault(match["prefix"], {})[match["name"]] = array
    grus = {}
    for prefix, arrays in by_prefix.items():
        name = "/".join(filter(None, (group, prefix.rstrip("_"))))
        for names in (KERAS1_NAMES, ("W", "U", "b")):
            if set(arrays) == set(names):
                ordered = [arrays[key] for key in names]
                if len(names) == 9 or _has_gates(ordered[1]):
                    grus[name] = ordered
    return grus


def _has_gates(recurrent_kernel: Any) -> bool:
    shape = recurrent_kernel.shape
    return len(shape) == 2 and shape[1] == 3 * shape[0]


def _units(arrays: list[np.ndarray]) -> int:
    return arrays[1].shape[0] if arrays[1].ndim else 0


def _read(
    name: str,
    arrays: list[np.ndarray],
    reset_after: bool | None,
    stated: StatedGRU | None,
) -> KerasGRU:
    try:
        weights, cudnn = _weights(arrays, reset_after, stated)
    except WeightsError as error:
        raise WeightsError(f"{name or 'the GRU'}: {error}") from error
    kinds = ("tanh", "sigmoid") if cudnn else (None, None)
    if stated is not None:
        kinds = stated.activation, stated.recurrent_activation
    return KerasGRU(weights, stated and stated.backwards, *kinds, cudnn)


def _weights(
    arrays: list[np.ndarray], reset_after: bool | None, stated: StatedGRU | None
) -> tuple[GRUWeights, bool]:
    """Returns the weights, and whether they are a `CuDNNGRU`'s."""
    if len(arrays) == 9:
        return from_keras1_arrays(arrays), False
    if len(arrays) == 3:
        if arrays[2].shape == (2 * arrays[1].shape[1],):
            return from_cudnn_gru(arrays), True
        return from_keras_arrays(arrays), False
    if stated is not None and stated.reset_after is not None:
        reset_after = stated.reset_after
    return from_keras_arrays(arrays, reset_after), False


def write_keras2_h5(
    path: str | os.PathLike, weights: GRUWeights, *, cudnn: bool = False
) -> None:
    """Writes a weights file of Keras 2 for a model of one GRU.

    Args:
        path: The file, which is overwritten.
        weights: The weights.
        cudnn: Whether the layer is a `CuDNNGRU`.

    Raises:
        WeightsError: A CuDNNGRU cannot hold the weights.
    """
    import h5py

    name = "cu_dnngru" if cudnn else "gru"
    arrays = to_cudnn_gru(weights) if cudnn else to_keras_arrays(weights)
    names = [f"{name}/{kind}:0" for kind in _KERAS2[: len(arrays)]]
    with h5py.File(path, "w") as h5:
        h5.attrs["layer_names"] = [name.encode()]
        h5.attrs["backend"] = b"tensorflow"
        h5.attrs["keras_version"] = b"2.3.1"
        group = h5.create_group(name)
        group.attrs["weight_names"] = [key.encode() for key in names]
        for key, array in zip(names, arrays, strict=True):
            group.create_dataset(key, data=array)
