"""Models in HDF5, as `model.save("model.h5")` and `save_weights` wrote them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tf_gru_addon.migrate.legacy import hdf5
from tf_gru_addon.migrate.legacy.era import Era, era_of
from tf_gru_addon.migrate.legacy.errors import LegacyModelError
from tf_gru_addon.migrate.legacy.json_text import parse
from tf_gru_addon.migrate.legacy.part import Part
from tf_gru_addon.migrate.legacy.slots import Found, deal
from tf_gru_addon.migrate.legacy.stored import Stored

if TYPE_CHECKING:
    import h5py


class WholeHDF5:
    """A whole model in an HDF5 file, or its weights beside its architecture.

    A whole model's attribute `model_config` has the config, and its group
    `model_weights` has a group a layer with the layer's arrays in order. A file of
    weights has these groups at its root.

    Args:
        file: The file, open.
        architecture: What `model.to_json()` gave, which takes the config's place.

    Raises:
        LegacyModelError: It holds no model, or one that is damaged.
    """

    def __init__(self, file: h5py.File, architecture: dict[str, Any] | None = None):
        self._by_order = architecture is not None
        self._arrays = _arrays_by_layer(_weights_group(file, self._by_order))
        config = architecture
        if config is None:
            config = parse(hdf5.attribute(file, "model_config"), "model_config")
        self.config: dict[str, Any] = config
        arrays = [array for layer in self._arrays.values() for array in layer]
        #: How many numbers the file holds.
        self.size = sum(array.size for array in arrays)
        floats = {str(a.dtype) for a in arrays if a.dtype.kind == "f"}
        floatx = floats.pop() if len(floats) == 1 else "float32"
        attributes = [hdf5.attribute(file, key) for key in ("keras_version", "backend")]
        self.era: Era = era_of(*attributes, floatx)
        if architecture is not None:
            self.era = _era_of_both(self.era, architecture)

    def arrays(self, model: Part) -> list[Found]:
        """Returns the arrays of each part of a model that has weights.

        Raises:
            LegacyModelError: Arrays are missing or surplus, or not in Keras' order.
        """
        rest = dict(self._arrays)
        if self._by_order:
            rest = self._in_order_of(model)
        found: list[Found] = []
        for layer in model.children:
            layer.trainable = layer.trainable and model.trainable
            found += deal(layer, rest.pop(layer.name, []), self.era)
        if surplus := [name for name, arrays in rest.items() if arrays]:
            raise LegacyModelError(
                f"the file holds arrays for {surplus[0]!r}, and its config has no such "
                "layer. The file is damaged, or put together of two."
            )
        return found

    def _in_order_of(self, model: Part) -> dict[str, list[Stored]]:
        """Returns the arrays under the names that the model has for its layers.

        Keras loaded weights by the order of the layers, whose names may be others: they
        count the layers that a process has made.
        """
        stored = {name: arrays for name, arrays in self._arrays.items() if arrays}
        layers = [layer.name for layer in model.children if layer.in_file_order()]
        if set(stored) == set(layers):
            return stored
        if len(stored) != len(layers):
            raise LegacyModelError(
                f"the architecture has {len(layers)} layers with weights "
                f"({', '.join(layers) or 'none'}), and the file of weights has "
                f"{len(stored)} ({', '.join(stored) or 'none'}). Give the architecture "
                "and the weights of one model."
            )
        return dict(zip(layers, stored.values(), strict=True))


def _era_of_both(weights: Era, architecture: dict[str, Any]) -> Era:
    """Returns the era of an architecture, whose weights may be later, but not much."""
    version = architecture.get("keras_version")
    if version is None:
        return weights
    era = era_of(version, architecture.get("backend") or weights.backend, "float32")
    if weights.version and era.is_keras_1 != weights.is_keras_1:
        raise LegacyModelError(
            f"Keras {era.version} wrote the architecture, and Keras {weights.version} "
            "the weights. Give the architecture and the weights of one model."
        )
    return era._replace(floatx=weights.floatx)


def _weights_group(file: h5py.File, alone: bool) -> h5py.Group:
    weights = hdf5.member(file, "model_weights")
    if weights is not None and (
        alone or hdf5.attribute(file, "model_config") is not None
    ):
        return weights
    if hdf5.names(file, "layer_names") is not None:
        if alone:
            return file
        raise LegacyModelError(
            "it holds weights alone, and no model. Give the file of what "
            'model.to_json() returned, too: load_legacy_model("weights.h5", '
            'architecture="model.json"), or `tf-gru-addon convert weights.h5 '
            "model.keras --architecture model.json`. Without it, have the old Keras "
            'build the model, load the weights and save all with model.save("m.h5").'
        )
    if alone:
        raise LegacyModelError(
            "it is an HDF5 file, but not one of weights by layers: it lacks "
            'layer_names. Give one that model.save_weights("weights.h5") or '
            'model.save("model.h5") wrote; files named .weights.h5, which tf.keras '
            "from 2.12 on wrote otherwise, are not read."
        )
    raise LegacyModelError(
        "it is an HDF5 file, but no Keras model: it lacks model_config or "
        "model_weights. Give a file that model.save wrote."
    )


def _arrays_by_layer(group: h5py.Group) -> dict[str, list[Stored]]:
    layers = hdf5.names(group, "layer_names")
    if layers is None:
        raise LegacyModelError(
            "its group model_weights lacks the list layer_names. The file is damaged."
        )
    return {
        name: _arrays_of_group(group, name)
        for name in [*layers, "top_level_model_weights"]
    }


def _arrays_of_group(weights: h5py.Group, layer: str) -> list[Stored]:
    group = hdf5.member(weights, layer)
    if group is None:
        if layer == "top_level_model_weights":  # Only tf.keras from 2.6 on has it.
            return []
        raise LegacyModelError(
            f"the group of the layer {layer!r} is missing. The file is damaged, or was "
            "not written whole: get it again."
        )
    listed = hdf5.names(group, "weight_names") or []
    if len(set(listed)) < len(listed):
        raise LegacyModelError(
            f"the layer {layer!r} lists an array twice. The file is damaged, or not "
            "what it seems."
        )
    return [hdf5.stored(hdf5.member(group, name), name) for name in listed]
