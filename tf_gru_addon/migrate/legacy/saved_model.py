"""Models in SavedModel folders with Keras' metadata, from tf.keras 2.0 to 2.15."""

from __future__ import annotations

import math
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from tf_gru_addon.migrate.legacy.config import MODELS, parse_json
from tf_gru_addon.migrate.legacy.eras import Era, era_of
from tf_gru_addon.migrate.legacy.errors import LegacyModelError, expect
from tf_gru_addon.migrate.legacy.weights import (
    Assignment,
    SavedLayer,
    StoredArray,
    assign,
)
from tf_gru_addon.reading.boundary import reason
from tf_gru_addon.reading.checkpoint import checkpoint_budget

_METADATA = "keras_metadata.pb"


class SavedModelFolder:
    """A whole model in a SavedModel folder.

    The config is in `keras_metadata.pb`, or in `saved_model.pb` before Keras 2.5. The
    arrays are in a checkpoint, where "layer_with_weights-1/variables/0" is the first
    array of the model's second layer with weights. The functions of the SavedModel are
    not loaded.

    Args:
        folder: The folder.

    Attributes:
        config: The model's config.
        era: The Keras that wrote the folder.
        size: The number of elements of all arrays.

    Raises:
        LegacyModelError: The folder holds no Keras model, or is damaged.
    """

    def __init__(self, folder: pathlib.Path):
        self._children: dict[int, dict[str, int]] = {}
        metadata = parse_json(_metadata(folder), "Keras' metadata")
        self.config: dict[str, Any] = _without_tuples(metadata)
        self.era: Era = era_of(
            metadata.get("keras_version", "2.4"), "tensorflow", "float32"
        )
        prefix = str(folder / "variables" / "variables")
        try:
            budget = checkpoint_budget(prefix)
            self._reader = tf.train.load_checkpoint(prefix)
            self._shapes = self._reader.get_variable_to_shape_map()
            self._dtypes = self._reader.get_variable_to_dtype_map()
            for key, shape in self._shapes.items():
                size = math.prod(shape) * self._dtypes[key].size
                budget.take(size, f"the array {key!r} of its checkpoint")
            self._nodes = self._read_graph()
        except Exception as error:  # TensorFlow raises many types for a damaged file.
            raise LegacyModelError(
                f"the checkpoint in its folder variables cannot be read "
                f"({reason(error)}). It is damaged or cut short: get the folder again."
            ) from error
        self.size = sum(map(math.prod, self._shapes.values()))

    def _read_graph(self) -> Any:
        """Returns the nodes of the checkpoint's object graph."""
        from google.protobuf.message import DecodeError
        from tensorflow.core.protobuf import trackable_object_graph_pb2

        graph = trackable_object_graph_pb2.TrackableObjectGraph()
        try:
            graph.ParseFromString(
                self._reader.get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH")
            )
        except DecodeError as error:
            raise ValueError(f"its object graph is cut short: {error}") from error
        return graph.nodes

    def assignments(self, model: SavedLayer) -> list[Assignment]:
        """Returns each layer with weights, and its arrays.

        Args:
            model: The model.

        Raises:
            LegacyModelError: Arrays are missing, surplus or in another order.
        """
        return self._of_model(model, 0)

    def _of_model(self, model: SavedLayer, node: int) -> list[Assignment]:
        layers = [layer for layer in model.children if layer.file_order()]
        found: list[Assignment] = []
        for index, layer in enumerate(layers):
            layer.trainable = layer.trainable and model.trainable
            inner = self._child(node, f"layer_with_weights-{index}")
            if inner is None:
                arrays: list[StoredArray] = []
            elif layer.kind in MODELS:
                found += self._of_model(layer, inner)
                continue
            else:
                arrays = list(self._variables(inner))
            found += assign(layer, arrays, self.era)
        if self._child(node, f"layer_with_weights-{len(layers)}") is not None:
            raise LegacyModelError(
                f"its checkpoint has more layers with weights than the config of "
                f"{model.where}. It is damaged, or was put together from two models."
            )
        return found

    def _child(self, node: int, name: str) -> int | None:
        """Returns the number of a node's child; None if it has no such child."""
        if node not in self._children:
            self._children[node] = {
                child.local_name: child.node_id for child in self._nodes[node].children
            }
        found = self._children[node].get(name, -1)
        return found if 0 <= found < len(self._nodes) else None

    def _variables(self, layer: int) -> Iterator[StoredArray]:
        variables = self._child(layer, "variables")
        index = 0
        while variables is not None:
            variable = self._child(variables, str(index))
            if variable is None:
                return
            for attribute in self._nodes[variable].attributes:
                yield self._array(attribute.checkpoint_key, attribute.full_name)
            index += 1

    def _array(self, key: str, name: str) -> StoredArray:
        if key not in self._shapes:
            raise LegacyModelError(
                f"the array {name!r} is missing in its checkpoint. It is damaged, or "
                "was not written completely: get the folder again."
            )
        dtype = self._dtypes[key].as_numpy_dtype
        shape = tuple(self._shapes[key])
        return StoredArray(name, shape, np.dtype(dtype), lambda: self._read(key))

    def _read(self, key: str) -> np.ndarray:
        try:
            return np.asarray(self._reader.get_tensor(key))
        except (tf.errors.OpError, RuntimeError, LookupError) as error:
            raise LegacyModelError(
                f"the array {key!r} of its checkpoint cannot be read ({error}). It is "
                "damaged or cut short: get the folder again."
            ) from error


def _metadata(folder: pathlib.Path) -> bytes:
    """Returns the JSON that Keras wrote about the model."""
    if not (folder / "saved_model.pb").is_file():
        raise LegacyModelError(
            "it is a folder, but no SavedModel: it lacks saved_model.pb. Give an "
            "HDF5 file, a .keras file or a SavedModel folder."
        )
    if (folder / _METADATA).is_file():
        for message in _messages((folder / _METADATA).read_bytes()):
            content = message.get(5)
            if message.get(3) == b"root" and isinstance(content, bytes):
                return content
    else:
        from google.protobuf.message import DecodeError
        from tensorflow.core.protobuf import saved_model_pb2

        saved = saved_model_pb2.SavedModel()
        try:
            saved.ParseFromString((folder / "saved_model.pb").read_bytes())
        except DecodeError as error:
            raise LegacyModelError(
                f"its saved_model.pb is damaged or cut short ({error})."
            ) from error
        for graph in saved.meta_graphs:
            for node in graph.object_graph_def.nodes[:1]:
                if node.user_object.metadata:
                    return str(node.user_object.metadata).encode()
    raise LegacyModelError(
        "it is a SavedModel without Keras' metadata, so its layers are not known. Let "
        'the old Keras write the model with model.save("model.h5").'
    )


def _messages(data: bytes) -> Iterator[dict[int, bytes | int]]:
    """Yields the messages in field 1 of a protobuf message, as {number: value}."""
    for number, value in _fields(data):
        if number == 1 and isinstance(value, bytes):
            yield dict(_fields(value))


def _fields(data: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Yields the number and the value of each field of a protobuf message."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        value: bytes | int
        if key & 7 == 0:
            value, position = _varint(data, position)
        elif key & 7 == 2:
            size, position = _varint(data, position)
            value, position = data[position : position + size], position + size
        else:
            size = {1: 8, 5: 4}.get(key & 7, len(data))
            value, position = data[position : position + size], position + size
        if position > len(data):
            raise LegacyModelError(f"its {_METADATA} is damaged or cut short.")
        yield key >> 3, value


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """Returns the integer at a position, and the position behind it."""
    value = shift = 0
    while position < len(data) and shift < 64:
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, position
    raise LegacyModelError(f"its {_METADATA} is damaged or cut short.")


def _without_tuples(value: Any) -> Any:
    """Returns JSON with lists in the place of objects that stand for tuples."""
    if isinstance(value, dict):
        if value.get("class_name") in ("__tuple__", "TensorShape"):
            return _without_tuples(expect(value.get("items"), list, "a shape"))
        return {key: _without_tuples(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_tuples(item) for item in value]
    return value
