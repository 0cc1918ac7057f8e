"""Making a Keras layer a `GRU` without making another layer."""

from collections.abc import Callable

import keras

from tf_gru_addon.layers.gru import GRU
from tf_gru_addon.layers.gru_cell import GRUCell


def become_gru(layer: keras.layers.RNN) -> Callable[[], None]:
    """Makes a `keras.layers.GRU`, or the `keras.layers.RNN` of a GRU cell, a `GRU`.

    The layer stays the object that it was and keeps all that it holds: its variables,
    with their values, regularizers and constraints, its name, its initializers, its
    activations, its states, its place in a model's graph. Only the code that it runs is
    another. So whatever refers to the layer or to a variable of it, as an optimizer
    does, needs no telling.

    Args:
        layer: A built layer, of one of these two classes itself, whose cell is a
            `keras.layers.GRUCell` or a `tf_gru_addon.GRUCell` itself.

    Returns:
        A function that makes the layer again what it was.
    """
    before = [(it, type(it), dict(vars(it))) for it in (layer, layer.cell)]

    def undo():
        for it, kind, attributes in before:
            _set_class(it, kind)
            vars(it).clear()
            vars(it).update(attributes)

    try:
        if type(layer.cell) is keras.layers.GRUCell:
            _become_cell(layer.cell)
        _set_class(layer, GRU)
        layer.input_spec = None  # The layer says itself what it expects.
        layer._set_engine(getattr(layer, "use_cudnn", "auto"), "auto")
    except BaseException:
        undo()
        raise
    return undo


def _become_cell(cell: keras.layers.GRUCell) -> None:
    # Keras' cell keeps its masks in these, where it has made any.
    for name in ("_dropout_mask", "_recurrent_dropout_mask", "dropout_mask_count"):
        vars(cell).pop(name, None)
    _set_class(cell, GRUCell)
    cell.implementation = 1 if cell.implementation == 1 else 2
    cell._begin_masks()


def _set_class(it, kind: type) -> None:
    # Past the layer's own __setattr__, which is for what a layer holds.
    object.__setattr__(it, "__class__", kind)
