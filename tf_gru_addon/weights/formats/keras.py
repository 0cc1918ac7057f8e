"""The GRUs in Keras' HDF5 files: of Keras 1, 2 and 3, weights and whole models.

A GRU is recognised by the names and shapes of its arrays, in any group:

    Keras 1    gru_1_W_z, gru_1_U_z, gru_1_b_z, ..., or gru_1_W, gru_1_U, gru_1_b
    Keras 2    kernel:0, recurrent_kernel:0, bias:0; a CuDNNGRU's bias is (6 * units,)
    Keras 3    vars/0, 1, 2 of a cell

The arrays do not state the activations, but the config in a whole-model file does. A
CuDNNGRU has tanh and sigmoid. The slots that an optimizer keeps for each array, often
under the same names, are ignored.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tf_gru_addon.reading import Budget
from tf_gru_addon.reading.hdf5 import open_hdf5
from tf_gru_addon.reading.keras_file import WEIGHTS
from tf_gru_addon.reading.zip_file import ZipFile, open_zip
from tf_gru_addon.weights.directions import FoundGRU, weights_file
from tf_gru_addon.weights.errors import WeightsError
from tf_gru_addon.weights.format import Candidate, Format
from tf_gru_addon.weights.formats.cudnn_gru import from_cudnn_gru
from tf_gru_addon.weights.gru_weights import GRUWeights
from tf_gru_addon.weights.keras1 import KERAS1_NAMES, from_keras1_arrays
from tf_gru_addon.weights.keras_arrays import from_keras_arrays
from tf_gru_addon.weights.keras_config import (
    StatedGRU,
    json_object,
    match,
    plain_path,
    stated_grus,
)
from tf_gru_addon.weights.layouts import LayoutArray
from tf_gru_addon.weights.weights_file import WeightsFile

_HDF5 = b"\x89HDF\r\n\x1a\n"
_KERAS2 = ("kernel", "recurrent_kernel", "bias")
_KERAS1 = re.compile(r"(?P<prefix>.*_)(?P<name>[WUb](?:_[zrh])?)")


def _read_hdf5(
    file: Path | io.BytesIO,
    reset_after: bool | None = None,
    config: tuple[Any, Any] | None = None,
    budget: Budget | None = None,
) -> WeightsFile:
    """Returns the GRUs in an HDF5 file, named by the group of their arrays.

    Args:
        file: The path, or a file object.
        reset_after: The convention of GRUs without a bias, if no config states it.
        config: The model's config, as JSON, and the version of Keras that wrote it.
            None reads both from the file.
        budget: For a file object, the budget of the file that contains it.

    Raises:
        WeightsError: A GRU in it cannot be read.
        FileRefusedError: It refers to other files, or claims more than it can hold.
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
    cudnn = bool(found) and all(map(_is_cudnn, found.values()))
    grus = {
        name: _found(name, arrays, reset_after, stated.get(name))
        for name, arrays in found.items()
    }
    return weights_file("cudnn_gru" if cudnn else "keras", grus)


def _optimizers(h5: Any) -> tuple[str, ...]:
    """Returns the groups that hold the slots of the optimizer."""
    if "model_weights" in h5:  # a whole model
        return ("optimizer_weights",)
    if "layer_names" in h5.attrs:  # Keras 2's weights, whose groups are the layers
        return ()
    return ("optimizer", "_optimizer")


def _grus(group: str, datasets: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Returns the ordered datasets of each GRU in a group, by the GRU's name."""
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
    for prefix, named in by_prefix.items():
        name = "/".join(filter(None, (group, prefix.rstrip("_"))))
        for names in (KERAS1_NAMES, ("W", "U", "b")):
            if set(named) == set(names):
                ordered = [named[key] for key in names]
                if len(names) == 9 or _has_gates(ordered[1]):
                    grus[name] = ordered
    return grus


def _has_gates(recurrent_kernel: Any) -> bool:
    shape = recurrent_kernel.shape
    return len(shape) == 2 and shape[1] == 3 * shape[0]


def _units(arrays: list[np.ndarray]) -> int:
    return arrays[1].shape[0] if arrays[1].ndim else 0


def _is_cudnn(arrays: list[np.ndarray]) -> bool:
    """Whether the arrays of a GRU are those of a `CuDNNGRU`."""
    return len(arrays) == 3 and arrays[2].shape == (2 * arrays[1].shape[1],)


def _found(
    name: str,
    arrays: list[np.ndarray],
    reset_after: bool | None,
    stated: StatedGRU | None,
) -> FoundGRU:
    try:
        weights = _weights(arrays, reset_after, stated)
    except WeightsError as error:
        raise WeightsError(f"{name or 'the GRU'}: {error}") from error
    if stated is not None:
        kinds = stated.activation, stated.recurrent_activation
        return FoundGRU(weights, *kinds, stated.backwards)
    return FoundGRU(weights, *(("tanh", "sigmoid") if _is_cudnn(arrays) else ()))


def _weights(
    arrays: list[np.ndarray], reset_after: bool | None, stated: StatedGRU | None
) -> GRUWeights:
    if len(arrays) == 9:
        return from_keras1_arrays(arrays)
    if _is_cudnn(arrays):
        return from_cudnn_gru(arrays)
    if len(arrays) == 3:
        return from_keras_arrays(arrays)
    if stated is not None and stated.reset_after is not None:
        reset_after = stated.reset_after
    return from_keras_arrays(arrays, reset_after)


def _why_not(candidate: Candidate) -> str | None:
    if candidate.start.startswith(_HDF5):
        return None
    if candidate.zip_names is not None and WEIGHTS in candidate.zip_names:
        return None
    return f"neither HDF5 nor a zip file with {WEIGHTS}"


def _read(path: Path, reset_after: bool | None) -> WeightsFile:
    with path.open("rb") as stream:
        if stream.read(len(_HDF5)) == _HDF5:
            return _read_hdf5(path, reset_after)
    with open_zip(path) as file:
        config, content = _config(file), io.BytesIO(file.read(WEIGHTS))
        return _read_hdf5(content, reset_after, config, file.budget)


def _config(file: ZipFile) -> tuple[bytes, Any] | None:
    """Returns the model's config in a `.keras` file, and the version that wrote it."""
    if "config.json" not in file.names:
        return None
    text = file.read("metadata.json") if "metadata.json" in file.names else b"{}"
    version = json_object(text, "metadata.json").get("keras_version")
    return file.read("config.json"), version


FORMAT = Format(
    name="keras",
    file="weights or a whole model of Keras 1, 2 or 3: `.h5`, `.weights.h5`, `.keras`",
    why_not=_why_not,
    read=_read,
    layouts={
        "Canonical: Keras 2 and 3, TensorFlow 2": (
            LayoutArray("kernel", "(features, 3 units)", ("Wz Wr Wh",)),
            LayoutArray("recurrent_kernel", "(units, 3 units)", ("Uz Ur Uh",)),
            LayoutArray("bias, reset before", "(3 units,)", ("bz br bh",)),
            LayoutArray(
                "bias, reset after", "(2, 3 units)", ("biz bir bih", "boz bor boh")
            ),
        ),
        "Keras 1 (reset before)": tuple(
            LayoutArray(name, "", (name.replace("_", ""),)) for name in KERAS1_NAMES
        ),
    },
)
