"""From a layer's entry in a file to a layer."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras

from tf_gru_addon.layers import keras2_masks
from tf_gru_addon.migrate.legacy import catalog, convert, operations, values
from tf_gru_addon.migrate.legacy.entry import Entry
from tf_gru_addon.migrate.legacy.era import Era
from tf_gru_addon.migrate.legacy.errors import LegacyModelError, building
from tf_gru_addon.migrate.legacy.part import Part

MakeModel = Callable[[Entry, "Layers"], keras.Model]


class Layers:
    """Makes layers of entries, of one file.

    Args:
        era: Which Keras wrote the file.
        custom: The user's own classes and functions, by name.
        largest: How many numbers a weight may have; more are not in the file.
        make_model: Makes a model that is a layer of another, by means of this.
    """

    def __init__(
        self, era: Era, custom: values.Custom, largest: int, make_model: MakeModel
    ):
        self.era = era
        self.custom = custom
        self._largest = largest
        self._make_model = make_model
        #: What only training needs, and is neither Keras' own nor in `custom`, and the
        #: layers that have it in the file.
        self.left_out: dict[str, list[str]] = {}
        self._initializers: list[tuple[keras.layers.Layer, str, Any]] = []

    def make(self, entry: Entry) -> keras.layers.Layer:
        """Returns the layer, which draws no weights when it is built.

        Raises:
            LegacyModelError: The class or an argument is not known.
        """
        layer = self._make(entry)
        if isinstance(layer, keras.Model):  # Its layers came from here.
            return layer
        part = self.part(entry, layer)
        if entry.kind in catalog.WITHIN:  # It hands its initializers on.
            part.holder = layer
        for leaf, _ in part.leaves():
            self._draw_nothing(leaf)
        return layer

    def _make(self, entry: Entry) -> keras.layers.Layer:
        if (own := values.find(self.custom, entry.kind)) is not None:
            with building(entry.where):
                layer = own.from_config(dict(entry.config))
                layer.name = keras_name(entry.name)  # which its config may lack
                return layer
        if entry.kind in catalog.MODELS:
            return self._make_model(entry, self)
        self._check_known(entry)
        if entry.kind in catalog.WRAPPERS:
            return self._make_wrapper(entry)
        return self._construct(entry, catalog.LAYERS[entry.kind], entry.config)

    def is_operation(self, entry: Entry) -> bool:
        """Whether an entry is an operation of TensorFlow, and no custom object."""
        known = entry.kind in operations.KINDS and entry.is_of_keras
        return known and values.find(self.custom, entry.kind) is None

    def _check_known(self, entry: Entry) -> None:
        if entry.kind == "TensorFlowOpLayer":
            raise LegacyModelError(
                f"{entry.where} is an operation as a graph of TensorFlow has it, which "
                "tf.keras wrote before 2.4 and which is not supported. Write a layer "
                "that does the same and pass it as custom_objects={"
                f"{entry.kind!r}: the class}}, or build the model with it."
            )
        if entry.kind in catalog.CODE:
            raise LegacyModelError(
                f"{entry.where} holds code, and code within a file is never run. Write "
                "a layer that does the same, and pass it as "
                f"custom_objects={{{entry.kind!r}: the class}}; or build the model "
                "anew and set its weights."
            )
        if not entry.is_of_keras or (
            entry.kind not in catalog.LAYERS and entry.kind not in catalog.WRAPPERS
        ):
            raise LegacyModelError(
                f"{entry.where} is of a class that is not known here. Pass it as "
                f"custom_objects={{{entry.kind!r}: the class}}; known are: "
                f"{', '.join(sorted((*catalog.LAYERS, *catalog.WRAPPERS)))}."
            )
        if entry.kind in catalog.CONVOLUTIONS and (
            self.era.is_keras_1 or self.era.backend == "theano"
        ):
            raise LegacyModelError(
                f"{entry.where} is a convolution of Keras 1 or of Theano, whose "
                "kernels lie otherwise from one version to the next. Load the file "
                "with Keras 2.3 on TensorFlow and save it again."
            )

    def _make_wrapper(self, entry: Entry) -> keras.layers.Layer:
        cls = getattr(keras.layers, entry.kind)
        config = dict(entry.config)
        if entry.kind == "Bidirectional" and not self.era.is_tf_keras:
            cls = keras2_masks.Bidirectional
        elif entry.kind == "TimeDistributed":
            cls = keras2_masks.TimeDistributed
            config["inner_masks"] = self.era.release >= (2, 2)
        if entry.kind == "StackedRNNCells":
            config["cells"] = [self._make(cell) for cell in entry.within("cells")]
            return self._construct(entry, cls, config)
        inner = "cell" if entry.kind == "RNN" else "layer"
        config[inner] = self._make(entry.the(inner))
        if backward := entry.within("backward_layer"):
            config["backward_layer"] = self._make(backward[0])
        return self._construct(entry, cls, config)

    def _construct(self, entry: Entry, cls: type, config: dict) -> keras.layers.Layer:
        given = catalog.arguments(entry.kind, cls, config, entry.where)
        given["name"] = keras_name(entry.name)
        given["dtype"] = values.dtype(given.get("dtype"), self.era.floatx, entry.where)
        for name, value in given.items():
            given[name] = self._value(name, value, entry)
        with building(entry.where):
            return cls(**given)

    def _value(self, name: str, value: Any, entry: Entry) -> Any:
        if name in ("activation", "recurrent_activation"):
            return values.activation(value, self.custom, entry.where)
        if name.endswith(("_initializer", "_regularizer", "_constraint")):
            return values.part_of_layer(
                name, value, self.custom, entry.where, self.left_out
            )
        if isinstance(value, dict):
            raise LegacyModelError(
                f"{entry.where}: the argument {name} must be plain; the file has an "
                "object there. The file is damaged, or was not written by Keras."
            )
        if name == "axis" and isinstance(value, list) and len(value) == 1:
            return value[0]
        return value

    def part(
        self, entry: Entry, layer: keras.layers.Layer, attribute: str = ""
    ) -> Part:
        """Returns the part that says where the arrays of a layer go."""
        part = Part(entry.name, entry.kind, entry.trainable, attribute)
        if values.find(self.custom, entry.kind) is not None:
            part.holder = layer
        elif entry.kind in catalog.MODELS:
            part.children = [
                self.part(inner, layer.get_layer(keras_name(inner.name)), "layers")
                for inner in entry.within("layers")
                if inner.kind != "InputLayer" and not self.is_operation(inner)
            ]
        elif entry.kind in catalog.WITH_CELL:
            cell = Part(entry.name, f"{entry.kind}Cell", True, "cell")
            cell.holder = layer.cell
            self._convert(cell, entry)
            part.children = [cell]
        elif entry.kind in catalog.WITHIN:
            part.children = [
                Part(entry.name, entry.kind, True, name, holder=getattr(layer, name))
                for name in catalog.WITHIN[entry.kind]
                if hasattr(layer, name)  # as it has when it is built
            ]
        elif entry.kind == "StackedRNNCells":
            cells = zip(entry.within("cells"), layer.cells, strict=True)
            part.children = [self.part(e, cell, "cells") for e, cell in cells]
        elif entry.kind in catalog.WRAPPERS:
            part.children = self._parts_of_wrapper(entry, layer)
        else:
            part.holder = layer.cell if entry.kind.startswith("CuDNN") else layer
            self._convert(part, entry)
        return part

    def _parts_of_wrapper(self, entry: Entry, layer) -> list[Part]:
        if entry.kind == "RNN":
            return [self.part(entry.the("cell"), layer.cell, "cell")]
        inner = entry.the("layer")
        if entry.kind == "TimeDistributed":
            return [self.part(inner, layer.layer, "layer")]
        backward = (entry.within("backward_layer") or [inner])[0]
        return [
            self.part(inner, layer.forward_layer, "forward_layer"),
            self.part(backward, layer.backward_layer, "backward_layer"),
        ]

    def _convert(self, part: Part, entry: Entry) -> None:
        if entry.kind == "CuDNNGRU":
            part.convert = convert.cudnn_gru
        elif entry.kind == "CuDNNLSTM":
            part.convert = convert.cudnn_lstm
        elif self.era.is_keras_1 and entry.config.get("implementation") != 2:
            # Keras 1 with consume_less="gpu" had the gates' arrays in one.
            if entry.kind == "GRU":
                part.array_names = convert.KERAS_1_GRU
                part.convert = convert.keras_1_gru
            elif entry.kind == "LSTM":
                part.array_names = convert.KERAS_1_LSTM
                part.convert = convert.keras_1_lstm
        if entry.kind.startswith("CuDNN"):
            part.array_names = ("kernel", "recurrent_kernel", "bias")
        elif names := catalog.ARRAY_NAMES.get(entry.kind):
            biased = entry.config.get("use_bias", True)
            part.array_names = names if biased else names[:-1]

    def _draw_nothing(self, leaf: Part) -> None:
        """Has a layer's weights be zeros until they are filled.

        Drawing them would be for nothing, and a file could ask for any size.
        """
        zeros = _Zeros(f"layer {leaf.name!r} ({leaf.kind})", self._largest)
        for name, value in list(vars(leaf.holder).items()):
            if name.endswith("_initializer") and value is not None:
                self._initializers.append((leaf.holder, name, value))
                setattr(leaf.holder, name, zeros)

    def restore_initializers(self) -> None:
        """Gives the layers back the initializers that they had."""
        # The last first: what was set twice was set to zeros once.
        for layer, name, value in reversed(self._initializers):
            setattr(layer, name, value)
        self._initializers.clear()


class _Zeros(keras.initializers.Initializer):
    """Zeros, as many as the file has numbers at most.

    Args:
        where: The layer, for messages.
        largest: How many numbers the file has.
    """

    def __init__(self, where: str, largest: int):
        self.where = where
        self.largest = largest

    def __call__(self, shape, dtype=None, **kwargs):
        if math.prod(shape) > self.largest:
            raise LegacyModelError(
                f"{self.where} asks for a weight of the shape {tuple(shape)}, and the "
                f"file holds only {self.largest} numbers. The file is damaged."
            )
        return keras.ops.zeros(shape, dtype)

    def get_config(self):
        return {"where": self.where, "largest": self.largest}


def keras_name(name: str) -> str:
    """Returns a name that Keras 3 allows, which is the same but for slashes."""
    return name.replace("/", "_")
