"""From a layer's entry in a file to a layer, and to the arrays that belong to it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import keras

from tf_gru_addon.layers import keras2_masks
from tf_gru_addon.migrate.legacy import arguments
from tf_gru_addon.migrate.legacy.catalog import LAYERS, known
from tf_gru_addon.migrate.legacy.config import Entry
from tf_gru_addon.migrate.legacy.eras import Era
from tf_gru_addon.migrate.legacy.errors import LegacyModelError, building
from tf_gru_addon.migrate.legacy.weights import ArrayLayout, SavedLayer

#: The classes of layers that are operations of TensorFlow.
OPERATIONS = ("SlicingOpLambda", "TFOpLambda")


class LayerFactory:
    """Makes the layers of one file.

    Args:
        era: The Keras that wrote the file.
        custom: The user's own classes and functions, by name.
        largest: The number of elements in the file. No weight may have more.
        make_model: Makes a model that is a layer of another model, with this factory.

    Attributes:
        left_out: Objects that only training needs and that are neither Keras' own nor
            in `custom`, with the layers that had them.
    """

    def __init__(
        self,
        era: Era,
        custom: arguments.Custom,
        largest: int,
        make_model: Callable[[Entry, LayerFactory], keras.Model],
    ):
        self.era = era
        self.custom = custom
        self.left_out: dict[str, list[str]] = {}
        self._largest = largest
        self._make_model = make_model
        self._initializers: list[tuple[keras.layers.Layer, str, Any]] = []

    def make(self, entry: Entry) -> keras.layers.Layer:
        """Returns the layer of an entry. Its weights will be zeros until filled.

        Args:
            entry: The layer's entry.

        Raises:
            LegacyModelError: The class or an argument is not supported.
        """
        layer = self._make(entry)
        if isinstance(layer, keras.Model):  # This factory made its layers.
            return layer
        saved = self.saved_layer(entry, layer)
        if not saved.children:  # It makes inner layers when built, if any.
            saved.holder = saved.holder or layer
        for inner, holder, _ in saved.holders():
            self._initialize_with_zeros(holder, inner.where)
        return layer

    def is_custom(self, entry: Entry) -> bool:
        """Returns whether the user provides the class of an entry."""
        return arguments.find_custom(self.custom, entry.kind) is not None

    def is_operation(self, entry: Entry) -> bool:
        """Returns whether an entry is an operation of TensorFlow."""
        is_operation = entry.kind in OPERATIONS and entry.is_of_keras
        return is_operation and not self.is_custom(entry)

    def _make(self, entry: Entry) -> keras.layers.Layer:
        if self.is_custom(entry):
            own = arguments.find_custom(self.custom, entry.kind)
            with building(entry.where):
                layer = own.from_config(dict(entry.config))
                layer.name = keras_name(entry.name)  # The config may lack it.
                return layer
        if entry.is_model:
            return self._make_model(entry, self)
        self._check_supported(entry)
        if known(entry.kind).wraps:
            return self._make_wrapper(entry)
        return self._construct(entry, known(entry.kind).cls, entry.config)

    def _check_supported(self, entry: Entry) -> None:
        custom = f"custom_objects={{{entry.kind!r}: the class}}"
        if entry.kind == "TensorFlowOpLayer":
            raise LegacyModelError(
                f"{entry.where} is an operation as a TensorFlow graph, which tf.keras "
                "wrote before 2.4 and which is not supported. Write a layer that does "
                f"the same and pass it as {custom}, or build the model with it."
            )
        if entry.kind == "Lambda":
            raise LegacyModelError(
                f"{entry.where} holds code, and code in a file is never run. Write a "
                f"layer that does the same and pass it as {custom}; or rebuild the "
                "model and set its weights."
            )
        if not entry.is_of_keras or entry.kind not in LAYERS:
            raise LegacyModelError(
                f"{entry.where} has an unknown class. Pass it as {custom}. Supported "
                f"are: {', '.join(sorted(LAYERS))}."
            )
        if "Conv" in entry.kind and (
            self.era.is_keras_1 or self.era.backend == "theano"
        ):
            raise LegacyModelError(
                f"{entry.where} is a convolution of Keras 1 or of Theano, whose kernel "
                "layout differs from version to version. Load the file with Keras 2.3 "
                "on TensorFlow and save it again."
            )

    def _make_wrapper(self, entry: Entry) -> keras.layers.Layer:
        cls, inner = known(entry.kind).cls, known(entry.kind).wraps
        config = dict(entry.config)
        if entry.kind == "Bidirectional" and not self.era.is_tf_keras:
            cls = keras2_masks.Bidirectional
        elif entry.kind == "TimeDistributed":
            config["inner_masks"] = self.era.release >= (2, 2)
        if entry.kind == "StackedRNNCells":
            config[inner] = [self._make(cell) for cell in entry.all_inner(inner)]
            return self._construct(entry, cls, config)
        config[inner] = self._make(entry.inner(inner))
        if backward := entry.all_inner("backward_layer"):
            config["backward_layer"] = self._make(backward[0])
        return self._construct(entry, cls, config)

    def _construct(
        self, entry: Entry, cls: type[keras.layers.Layer], config: Mapping[str, Any]
    ) -> keras.layers.Layer:
        given = arguments.keras_3_arguments(entry, cls, config)
        given["name"] = keras_name(entry.name)
        given["dtype"] = arguments.dtype(
            given.get("dtype"), self.era.floatx, entry.where
        )
        for name, value in given.items():
            given[name] = self._value(name, value, entry)
        with building(entry.where):
            return cls(**given)

    def _value(self, name: str, value: Any, entry: Entry) -> Any:
        if name in ("activation", "recurrent_activation"):
            return arguments.activation(value, self.custom, entry.where)
        if name.endswith(("_initializer", "_regularizer", "_constraint")):
            return arguments.part(name, value, self.custom, entry.where, self.left_out)
        if isinstance(value, dict):
            raise LegacyModelError(
                f"{entry.where}: the argument {name} must be a plain value; the file "
                "has an object. The file is damaged, or was not written by Keras."
            )
        if name == "axis" and isinstance(value, list) and len(value) == 1:
            return value[0]
        return value

    def saved_layer(
        self, entry: Entry, layer: keras.layers.Layer, attribute: str = ""
    ) -> SavedLayer:
        """Returns a layer as the file has it, which tells the order of its arrays.

        Args:
            entry: The layer's entry.
            layer: The layer that was made for it.
            attribute: The attribute of the layer around it that holds it.
        """
        saved = SavedLayer(entry.name, entry.kind, entry.trainable, attribute)
        legacy = known(entry.kind)
        if self.is_custom(entry):
            saved.holder = layer
        elif entry.is_model:
            saved.children = [
                self.saved_layer(
                    inner, layer.get_layer(keras_name(inner.name)), "layers"
                )
                for inner in entry.all_inner("layers")
                if inner.kind != "InputLayer" and not self.is_operation(inner)
            ]
        elif legacy.wraps:
            saved.children = self._wrapped(entry, layer)
        elif legacy.inner_layers:
            for name in legacy.inner_layers:
                if (holder := getattr(layer, name, None)) is None:
                    continue  # It is made when the layer is built.
                child = SavedLayer(entry.name, type(holder).__name__, True, name)
                child.holder = holder
                child.layout = self._layout(entry)
                saved.children.append(child)
        else:
            saved.holder = layer
            if legacy.cell_arrays:
                saved.holder = getattr(layer, legacy.cell_arrays)
            saved.layout = self._layout(entry)
        return saved

    def _wrapped(self, entry: Entry, layer: keras.layers.Layer) -> list[SavedLayer]:
        name = known(entry.kind).wraps
        if entry.kind == "StackedRNNCells":
            cells = zip(entry.all_inner(name), layer.cells, strict=True)
            return [self.saved_layer(inner, cell, name) for inner, cell in cells]
        inner = entry.inner(name)
        if entry.kind != "Bidirectional":
            return [self.saved_layer(inner, getattr(layer, name), name)]
        backward = (entry.all_inner("backward_layer") or [inner])[0]
        return [
            self.saved_layer(inner, layer.forward_layer, "forward_layer"),
            self.saved_layer(backward, layer.backward_layer, "backward_layer"),
        ]

    def _layout(self, entry: Entry) -> ArrayLayout | None:
        legacy = known(entry.kind)
        layout = legacy.layout
        # Keras 1 with consume_less="gpu" had one array for all gates.
        if self.era.is_keras_1 and entry.config.get("implementation") != 2:
            layout = legacy.keras_1_layout or layout
        if layout is not None and not entry.config.get("use_bias", True):
            layout = layout._replace(names=layout.names[:-1])
        return layout

    def _initialize_with_zeros(self, holder: keras.layers.Layer, where: str) -> None:
        """Replaces the initializers of a layer until its weights are filled.

        Drawing random weights would be wasted, and a file could ask for any size.
        """
        zeros = _Zeros(where, self._largest)
        for name, value in list(vars(holder).items()):
            if name.endswith("_initializer") and value is not None:
                self._initializers.append((holder, name, value))
                setattr(holder, name, zeros)

    def restore_initializers(self) -> None:
        """Gives the layers their own initializers back."""
        # In reverse order: a layer that was changed twice first had its own.
        for layer, name, value in reversed(self._initializers):
            setattr(layer, name, value)
        self._initializers.clear()


class _Zeros(keras.initializers.Initializer):
    """Zeros, at most as many as the file has elements.

    Args:
        where: The layer, for messages.
        largest: The number of elements in the file.
    """

    def __init__(self, where: str, largest: int):
        self.where = where
        self.largest = largest

    def __call__(self, shape: tuple[int, ...], dtype: Any = None, **kwargs: Any) -> Any:
        if math.prod(shape) > self.largest:
            raise LegacyModelError(
                f"{self.where} asks for a weight of the shape {tuple(shape)}, but the "
                f"file only holds {self.largest} numbers. The file is damaged."
            )
        return keras.ops.zeros(shape, dtype)

    def get_config(self) -> dict[str, Any]:
        return {"where": self.where, "largest": self.largest}


def keras_name(name: str) -> str:
    """Returns a name that Keras 3 allows: slashes become underscores."""
    return name.replace("/", "_")
