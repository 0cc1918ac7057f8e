"""Models in HDF5: `.h5` files, weights with an architecture, and `.keras` files."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_gru_addon.migrate.legacy.config import parse_json
from tf_gru_addon.migrate.legacy.eras import Era, era_of
from tf_gru_addon.migrate.legacy.errors import LegacyModelError
from tf_gru_addon.migrate.legacy.weights import (
    Assignment,
    SavedLayer,
    StoredArray,
    assign,
)
from tf_gru_addon.reading.hdf5 import open_hdf5
from tf_gru_addon.reading.keras_file import CONFIG, WEIGHTS
from tf_gru_addon.reading.zip_file import ZipFile, open_zip
from tf_gru_addon.weights.keras_config import plain_path, snake_case

if TYPE_CHECKING:
    import h5py


class HDF5Model:
    """A whole model in an HDF5 file, or a file of weights with its architecture.

    The attribute `model_config` of a whole model holds the config. Its group
    `model_weights` has a group for each layer, which lists the layer's arrays in order.
    A file of weights has these groups at its root.

    Args:
        file: The open file.
        architecture: The config, if the file only holds weights.

    Attributes:
        config: The model's config.
        era: The Keras that wrote the file.
        size: The number of elements of all arrays.

    Raises:
        LegacyModelError: The file holds no model, or is damaged.
    """

    def __init__(self, file: h5py.File, architecture: dict[str, Any] | None = None):
        self._by_order = architecture is not None
        self._arrays = _arrays_by_layer(_weights_group(file, self._by_order))
        if architecture is None:
            architecture = parse_json(_text(file, "model_config"), "model_config")
        self.config: dict[str, Any] = architecture
        arrays = [array for layer in self._arrays.values() for array in layer]
        self.size = sum(array.size for array in arrays)
        floats = {str(a.dtype) for a in arrays if a.dtype.kind == "f"}
        floatx = floats.pop() if len(floats) == 1 else "float32"
        era = era_of(_text(file, "keras_version"), _text(file, "backend"), floatx)
        self.era = _common_era(era, architecture) if self._by_order else era

    def assignments(self, model: SavedLayer) -> list[Assignment]:
        """Returns each layer with weights, and its arrays.

        Args:
            model: The model.

        Raises:
            LegacyModelError: Arrays are missing, surplus or in another order.
        """
        rest = dict(self._arrays)
        if self._by_order:
            rest = self._in_order_of(model)
        found: list[Assignment] = []
        for layer in model.children:
            layer.trainable = layer.trainable and model.trainable
            found += assign(layer, rest.pop(layer.name, []), self.era)
        _refuse_surplus([repr(name) for name, arrays in rest.items() if arrays])
        return found

    def _in_order_of(self, model: SavedLayer) -> dict[str, list[StoredArray]]:
        """Returns the arrays under the layer names of the model.

        Keras loads weights by the order of the layers. The names can differ, because
        they count the layers that a process has made.
        """
        stored = {name: arrays for name, arrays in self._arrays.items() if arrays}
        layers = [layer.name for layer in model.children if layer.file_order()]
        if set(stored) == set(layers):
            return stored
        if len(stored) != len(layers):
            raise LegacyModelError(
                f"the architecture has {len(layers)} layers with weights "
                f"({', '.join(layers) or 'none'}), and the file of weights has "
                f"{len(stored)} ({', '.join(stored) or 'none'}). Give the architecture "
                "and the weights of the same model."
            )
        return dict(zip(layers, stored.values(), strict=True))


class KerasZip:
    """A whole model in a `.keras` file of Keras 2: a zip of a config and an HDF5 file.

    The HDF5 file holds the arrays of a layer at the path of attributes that leads to
    it: "layers/gru_1/cell/vars/0" is the first array of the second GRU's cell.

    Args:
        archive: The open zip file. Nothing is extracted to disk.
        weights: The open HDF5 file in it.

    Attributes:
        config: The model's config.
        era: The Keras that wrote the file.
        size: The number of elements of all arrays.

    Raises:
        LegacyModelError: The file holds no model, or is damaged.
    """

    def __init__(self, archive: ZipFile, weights: h5py.File):
        self.config: dict[str, Any] = parse_json(_content(archive, CONFIG), CONFIG)
        metadata = parse_json(_content(archive, _METADATA), _METADATA)
        self.era: Era = era_of(metadata.get("keras_version"), "tensorflow", "float32")
        self._arrays = dict(_arrays_by_path(weights, ""))
        self.size = sum(a.size for arrays in self._arrays.values() for a in arrays)

    def assignments(self, model: SavedLayer) -> list[Assignment]:
        """Returns each layer with weights, and its arrays.

        Args:
            model: The model.

        Raises:
            LegacyModelError: Arrays are surplus.
        """
        rest = dict(self._arrays)
        found = [
            (layer, rest.pop(path, []))
            for layer, path in _paths(model, "")
            if layer.holder is not None
        ]
        layers = [p for p in rest if p.partition("/")[0] not in _NOT_LAYERS]
        _refuse_surplus([repr(path) for path in layers if rest[path]])
        return found


_METADATA = "metadata.json"
#: What a model has besides its layers.
_NOT_LAYERS = ("metrics", "_metrics", "optimizer", "compiled_metrics", "compiled_loss")


@contextlib.contextmanager
def open_keras_zip(path: str | os.PathLike[str]) -> Iterator[KerasZip]:
    """Opens a `.keras` file for reading.

    Args:
        path: The file.

    Raises:
        LegacyModelError: A member of the zip is missing.
        Exception: Whatever the libraries raise for a damaged file; `reading.boundary`
            turns it into one error.
    """
    with open_zip(path) as archive:
        content = io.BytesIO(_content(archive, WEIGHTS))
        with open_hdf5(content, archive.budget) as (weights, _):
            yield KerasZip(archive, weights)


def _content(archive: ZipFile, name: str) -> bytes:
    if name not in archive.names:
        raise LegacyModelError(
            f"it is a zip file without {name}, so it is not a .keras file of Keras 2. "
            "Give a file that model.save wrote."
        )
    return archive.read(name)


def _refuse_surplus(names: list[str]) -> None:
    if names:
        raise LegacyModelError(
            f"the file holds arrays for {names[0]}, and its config has no such layer. "
            "The file is damaged, or was put together from two models."
        )


def _arrays_by_path(
    group: h5py.Group, path: str
) -> Iterator[tuple[str, list[StoredArray]]]:
    """Yields the path and the arrays of each layer in the HDF5 file of a zip."""
    import h5py

    for name in group:
        item = _member(group, name)
        inner = f"{path}/{name}".removeprefix("/")
        if inner == "optimizer" or not isinstance(item, h5py.Group):
            continue
        if name == "vars":
            yield (
                plain_path(path),
                [
                    _array(_member(item, str(i)), f"{inner}/{i}")
                    for i in range(len(item))
                ],
            )
        else:
            yield from _arrays_by_path(item, inner)


def _paths(layer: SavedLayer, path: str) -> Iterator[tuple[SavedLayer, str]]:
    """Yields every layer, and the path of its arrays in a zip's HDF5 file."""
    yield layer, path
    counts: dict[str, int] = {}
    for child in layer.children:
        inner = child.attribute
        if inner in ("layers", "cells"):
            name = snake_case(child.kind)
            index = counts[name] = counts.get(name, -1) + 1
            inner = f"{inner}/{name}" + (f"_{index}" if index else "")
        yield from _paths(child, f"{path}/{inner}".removeprefix("/"))


def _common_era(weights: Era, architecture: dict[str, Any]) -> Era:
    """Returns the era of an architecture, which can be older than its weights."""
    version = architecture.get("keras_version")
    if version is None:
        return weights
    era = era_of(version, architecture.get("backend") or weights.backend, "float32")
    if era.is_keras_1 != weights.is_keras_1:
        raise LegacyModelError(
            f"Keras {era.version} wrote the architecture, and Keras {weights.version} "
            "the weights. Give the architecture and the weights of the same model."
        )
    return era._replace(floatx=weights.floatx)


def _weights_group(file: h5py.File, alone: bool) -> h5py.Group:
    """Returns the group that has a group for each layer.

    Args:
        file: The open file.
        alone: Whether the architecture comes from another file.
    """
    weights = _member(file, "model_weights")
    if weights is not None and (alone or _text(file, "model_config") is not None):
        return weights
    if _names(file, "layer_names") is not None:
        if alone:
            return file
        raise LegacyModelError(
            "it holds weights alone, without a model. Also give the file with the "
            'result of model.to_json(): load_legacy_model("weights.h5", '
            'architecture="model.json"), or `tf-gru-addon convert weights.h5 '
            "model.keras --architecture model.json`. Without it, let the old Keras "
            'build the model, load the weights and call model.save("m.h5").'
        )
    if alone:
        raise LegacyModelError(
            "it is an HDF5 file, but does not hold weights by layer: it lacks "
            'layer_names. Give a file that model.save_weights("weights.h5") or '
            'model.save("model.h5") wrote. Files named .weights.h5, which tf.keras '
            "writes differently since 2.12, are not supported."
        )
    raise LegacyModelError(
        "it is an HDF5 file, but no Keras model: it lacks model_config or "
        "model_weights. Give a file that model.save wrote."
    )


def _arrays_by_layer(weights: h5py.Group) -> dict[str, list[StoredArray]]:
    layers = _names(weights, "layer_names")
    if layers is None:
        raise LegacyModelError(
            "its group model_weights lacks the list layer_names. The file is damaged."
        )
    found = {name: _arrays_of_layer(weights, name) for name in layers}
    top = "top_level_model_weights"  # tf.keras has it since 2.6.
    if _member(weights, top) is not None:
        found[top] = _arrays_of_layer(weights, top)
    return found


def _arrays_of_layer(weights: h5py.Group, layer: str) -> list[StoredArray]:
    group = _member(weights, layer)
    if group is None:
        raise LegacyModelError(
            f"the group of the layer {layer!r} is missing. The file is damaged, or was "
            "not written completely: get it again."
        )
    listed = _names(group, "weight_names") or []
    if len(set(listed)) < len(listed):
        raise LegacyModelError(
            f"the layer {layer!r} lists an array twice. The file is damaged, or not "
            "what it seems."
        )
    return [_array(_member(group, name), name) for name in listed]


def _array(dataset: Any, name: str) -> StoredArray:
    """Returns a dataset as an array that can be read, after checking it."""
    import h5py

    if not isinstance(dataset, h5py.Dataset):
        raise LegacyModelError(
            f"the array {name!r} is missing. The file is damaged, or was not written "
            "completely: get it again."
        )
    shape = dataset.shape
    if shape is None or dataset.dtype.kind not in "fiub":
        raise LegacyModelError(
            f"the array {name!r} must hold numbers; it is of the type {dataset.dtype}."
        )
    if dataset.nbytes > 0 and dataset.id.get_storage_size() == 0:
        raise LegacyModelError(
            f"the array {name!r} claims {dataset.nbytes} bytes, and the file holds "
            "none of them. It is damaged, or not what it seems."
        )
    return StoredArray(name, tuple(shape), dataset.dtype, lambda: dataset[()])


def _member(group: h5py.Group, path: str) -> h5py.Group | h5py.Dataset | None:
    """Returns the group or dataset at a path; None if there is none."""
    import h5py

    for name in path.split("/"):
        if not (name and isinstance(group, h5py.Group) and name in group):
            return None
        group = group[name]
    return group


def _text(group: h5py.Group, name: str) -> Any:
    """Returns an attribute, decoded if it is bytes; None if there is none."""
    value = group.attrs.get(name)
    return _decoded(value, name) if isinstance(value, bytes) else value


def _names(group: h5py.Group, name: str) -> list[str] | None:
    """Returns an attribute that is a list of names; None if there is none.

    Keras split a list that is too long for one attribute into name0, name1, ...
    """
    keys = [name]
    if name not in group.attrs:
        keys = []
        while f"{name}{len(keys)}" in group.attrs:
            keys.append(f"{name}{len(keys)}")
        if not keys:
            return None
    values = [value for key in keys for value in np.ravel(group.attrs[key])]
    return [_decoded(value, name) for value in values]


def _decoded(value: Any, name: str) -> str:
    try:
        return value.decode("utf-8") if isinstance(value, bytes) else str(value)
    except UnicodeDecodeError as error:
        raise LegacyModelError(
            f"the attribute {name!r} is not text ({error}). The file is damaged."
        ) from error
