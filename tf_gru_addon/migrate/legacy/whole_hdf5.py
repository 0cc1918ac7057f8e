"""Whole models in HDF5, as `model.save("model.h5")` wrote them."""

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
    """A whole model in an HDF5 file.

    Its attribute `model_config` has the config, and its group `model_weights` has a
    group a layer with the layer's arrays in order.

    Args:
        file: The file, open.

    Raises:
        LegacyModelError: It holds no model, or one that is damaged.
    """

    def __init__(self, file: h5py.File):
        self._arrays = _arrays_by_layer(_weights_group(file))
        config = hdf5.attribute(file, "model_config")
        self.config: dict[str, Any] = parse(config, "model_config")
        arrays = [array for layer in self._arrays.values() for array in layer]
        #: How many numbers the file holds.
        self.size = sum(array.size for array in arrays)
        floats = {str(a.dtype) for a in arrays if a.dtype.kind == "f"}
        self.era: Era = era_of(
            hdf5.attribute(file, "keras_version"),
            hdf5.attribute(file, "backend"),
            floats.pop() if len(floats) == 1 else "float32",
        )

    def arrays(self, model: Part) -> list[Found]:
        """Returns the arrays of each part of a model that has weights.

        Raises:
            LegacyModelError: Arrays are missing or surplus, or not in Keras' order.
        """
        rest = dict(self._arrays)
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


def _weights_group(file: h5py.File) -> h5py.Group:
    weights = hdf5.member(file, "model_weights")
    if hdf5.attribute(file, "model_config") is not None and weights is not None:
        return weights
    if hdf5.names(file, "layer_names") is not None:
        raise LegacyModelError(
            "it holds weights alone, and no model. Build the model with `import keras` "
            "and tf_gru_addon's layers and set its weights by hand, or have the old "
            "Keras build it, load the weights and save the whole with "
            'model.save("model.h5").'
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
