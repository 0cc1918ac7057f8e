"""SavedModel folders with Keras' metadata, as tf.keras from 2.0 to 2.15 wrote them."""

from __future__ import annotations

import math
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from tf_gru_addon.migrate.legacy import catalog
from tf_gru_addon.migrate.legacy.era import Era, era_of
from tf_gru_addon.migrate.legacy.errors import LegacyModelError, expect
from tf_gru_addon.migrate.legacy.json_text import parse
from tf_gru_addon.migrate.legacy.part import Part
from tf_gru_addon.migrate.legacy.slots import Found, deal
from tf_gru_addon.migrate.legacy.stored import Stored
from tf_gru_addon.reading.boundary import reason
from tf_gru_addon.reading.checkpoint import checkpoint_budget

METADATA = "keras_metadata.pb"


class SavedModelFolder:
    """A whole model in a SavedModel folder.

    Keras wrote the config into `keras_metadata.pb` (before 2.5 into
    `saved_model.pb`), and TensorFlow wrote the arrays as a checkpoint, where those of
    the model's second layer with weights are "layer_with_weights-1/variables/0", ....
    The functions of the SavedModel are not loaded.

    Args:
        folder: The folder.

    Raises:
        LegacyModelError: It holds no Keras model, or one that is damaged.
    """

    def __init__(self, folder: pathlib.Path):
        self._children: dict[int, dict[str, int]] = {}
        metadata = parse(_metadata(folder), "Keras' metadata")
        self.config: dict[str, Any] = _plain(metadata)
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
        except Exception as error:  # damage shows in many ways
            raise LegacyModelError(
                f"the checkpoint in its folder variables cannot be read "
                f"({reason(error)}). It is damaged or cut short: get the folder again."
            ) from error
        #: How many numbers the checkpoint holds.
        self.size = sum(map(math.prod, self._shapes.values()))

    def _read_graph(self):
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

    def arrays(self, model: Part) -> list[Found]:
        """Returns the arrays of each part of a model that has weights.

        Raises:
            LegacyModelError: Arrays are missing or surplus, or not in Keras' order.
        """
        return self._of_model(model, 0)

    def _of_model(self, model: Part, node: int) -> list[Found]:
        layers = [layer for layer in model.children if any(layer.leaves())]
        layers = [layer for layer in layers if layer.in_file_order()]
        found: list[Found] = []
        for index, layer in enumerate(layers):
            layer.trainable = layer.trainable and model.trainable
            inner = self._child(node, f"layer_with_weights-{index}")
            if inner is None:
                arrays: list[Stored] = []
            elif layer.kind in catalog.MODELS:
                found += self._of_model(layer, inner)
                continue
            else:
                arrays = list(self._variables(inner))
            found += deal(layer, arrays, self.era)
        if self._child(node, f"layer_with_weights-{len(layers)}") is not None:
            raise LegacyModelError(
                f"its checkpoint has more layers with arrays than {model.name!r} "
                f"({model.kind}) has in its config. It is damaged, or put together of "
                "two."
            )
        return found

    def _child(self, node: int, name: str) -> int | None:
        if node not in self._children:
            self._children[node] = {
                child.local_name: child.node_id for child in self._nodes[node].children
            }
        found = self._children[node].get(name, -1)
        return found if 0 <= found < len(self._nodes) else None

    def _variables(self, layer: int) -> Iterator[Stored]:
        variables = self._child(layer, "variables")
        index = 0
        while variables is not None:
            variable = self._child(variables, str(index))
            if variable is None:
                return
            for attribute in self._nodes[variable].attributes:
                yield self._stored(attribute.checkpoint_key, attribute.full_name)
            index += 1

    def _stored(self, key: str, name: str) -> Stored:
        if key not in self._shapes:
            raise LegacyModelError(
                f"the array {name!r} is missing in its checkpoint. It is damaged, or "
                "was not written whole: get the folder again."
            )
        dtype = self._dtypes[key].as_numpy_dtype
        shape = tuple(self._shapes[key])
        return Stored(name, shape, np.dtype(dtype), lambda: self._read(key))

    def _read(self, key: str) -> np.ndarray:
        try:
            return self._reader.get_tensor(key)
        except (tf.errors.OpError, RuntimeError, LookupError) as error:
            raise LegacyModelError(
                f"the array {key!r} of its checkpoint cannot be read ({error}). It is "
                "damaged or cut short: get the folder again."
            ) from error


def _metadata(folder: pathlib.Path) -> bytes:
    """Returns the JSON that Keras wrote about the model."""
    if not (folder / "saved_model.pb").is_file():
        raise LegacyModelError(
            "it is a folder, but no SavedModel: it lacks saved_model.pb. Expected an "
            "HDF5 file, a .keras file or a SavedModel folder."
        )
    if (folder / METADATA).is_file():
        for message in _messages((folder / METADATA).read_bytes()):
            if message.get(3) == b"root":
                return message.get(5, b"")
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
                    return node.user_object.metadata.encode()
    raise LegacyModelError(
        "it is a SavedModel without Keras' metadata, which says what it computes but "
        "not of which layers. Write it from the model with the old Keras' "
        'model.save("model.h5").'
    )


def _messages(data: bytes) -> Iterator[dict[int, bytes | int]]:
    """Gives the messages that are field 1 of a protobuf message, by field number."""
    for number, value in _fields(data):
        if number == 1 and isinstance(value, bytes):
            yield dict(_fields(value))


def _fields(data: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Gives the fields of a protobuf message: numbers, and bytes."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        if key & 7 == 0:
            value, position = _varint(data, position)
        elif key & 7 == 2:
            size, position = _varint(data, position)
            value, position = data[position : position + size], position + size
        else:
            size = {1: 8, 5: 4}.get(key & 7, len(data))
            value, position = data[position : position + size], position + size
        if position > len(data):
            raise LegacyModelError(f"its {METADATA} is damaged or cut short.")
        yield key >> 3, value


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(data) and shift < 64:
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, position
    raise LegacyModelError(f"its {METADATA} is damaged or cut short.")


def _plain(value: Any) -> Any:
    """Returns JSON with lists in place of what stood for tuples."""
    if isinstance(value, dict):
        if value.get("class_name") in ("__tuple__", "TensorShape"):
            return _plain(expect(value.get("items"), list, "a shape"))
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
