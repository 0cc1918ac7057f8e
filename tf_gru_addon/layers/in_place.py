"""Turns a Keras layer into a `GRU` in place."""

from __future__ import annotations

from collections.abc import Callable

import keras

from tf_gru_addon.layers.gru import GRU
from tf_gru_addon.layers.gru_cell import GRUCell


def become_gru(layer: keras.layers.RNN) -> Callable[[], None]:
    """Turns a `keras.layers.GRU`, or a `keras.layers.RNN` of a GRU cell, into a `GRU`.

    The layer remains the same object, with its variables and their values, its
    regularizers, constraints, initializers, activations, states and name, and its place
    in a model's graph. Only its class changes, and so the code that it runs. References
    to the layer or its variables, such as an optimizer's, stay valid.

    Args:
        layer: A built layer. Its class is one of these two, and its cell's class is
            `keras.layers.GRUCell` or `tf_gru_addon.GRUCell`; no subclasses.

    Returns:
        A function that undoes the change.
    """
    before = [(it, type(it), dict(vars(it))) for it in (layer, layer.cell)]

    def undo() -> None:
        for it, kind, attributes in before:
            _set_class(it, kind)
            vars(it).clear()
            vars(it).update(attributes)

    try:
        if type(layer.cell) is keras.layers.GRUCell:
            _become_cell(layer.cell)
        _set_class(layer, GRU)
        layer.input_spec = None  # `GRU` checks its inputs itself.
        layer._set_engine(getattr(layer, "use_cudnn", "auto"), "auto")
    except BaseException:
        undo()
        raise
    return undo


def _become_cell(cell: keras.layers.GRUCell) -> None:
    # Keras' cell caches its dropout masks in these.
    for name in ("_dropout_mask", "_recurrent_dropout_mask", "dropout_mask_count"):
        vars(cell).pop(name, None)
    _set_class(cell, GRUCell)
    cell.implementation = 1 if cell.implementation == 1 else 2
    cell._begin_masks()


def _set_class(it: keras.layers.Layer, kind: type) -> None:
    # Bypasses Keras' __setattr__, which tracks what a layer holds.
    object.__setattr__(it, "__class__", kind)
