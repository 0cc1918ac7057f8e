"""The weights of Keras layers, for whatever format they are to go to."""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from tf_gru_addon import activations
from tf_gru_addon.layers.gru_cell import GRUCell
from tf_gru_addon.layers.reverse_timesteps import ReverseTimesteps
from tf_gru_addon.weights import GRULayer, GRUWeights, WeightsError, as_stack

_CELLS = (keras.layers.GRUCell, GRUCell)

#: What may stand between two layers of a stack: what changes nothing in inference, and
#: what only says which timesteps to leave out.
_BETWEEN = (
    keras.layers.Dropout,
    keras.layers.GaussianNoise,
    keras.layers.InputLayer,
    keras.layers.Masking,
    keras.layers.SpatialDropout1D,
)


def from_keras(
    layers: keras.layers.Layer | Iterable[keras.layers.Layer],
) -> tuple[GRULayer, ...]:
    """Returns the GRU stack that Keras layers hold.

    Read are `GRU`, `RNN` of a `GRUCell` or of stacked ones, `Bidirectional` of these,
    and the cells themselves, Keras' own and this package's. A layer with `go_backwards`
    becomes one that only runs backward.

    Args:
        layers: A layer; or several that follow each other; or a `keras.Sequential`.
            What stands in front of the first GRU and behind the last, as an `Embedding`
            or a `Dense`, is left out. Between them may be dropout and `Masking`, and
            nothing else: it would be missing from the stack.

    Raises:
        WeightsError: There is no GRU; a layer is not built; something else stands
            between GRUs; or a stack cannot hold what a layer does, as a `merge_mode`
            other than "concat", or an activation that has no name.
        TypeError: `layers` is something else.

    Example:
        >>> import keras
        >>> from tf_gru_addon.migrate import from_keras
        >>> model = keras.Sequential()
        >>> model.add(keras.Input((None, 3)))
        >>> gru = keras.layers.GRU(2, return_sequences=True)
        >>> model.add(keras.layers.Bidirectional(gru))
        >>> model.add(keras.layers.GRU(2))
        >>> model.add(keras.layers.Dense(9))
        >>> [layer.direction for layer in from_keras(model)]
        ['bidirectional', 'forward']
    """
    sequence = _in_order(layers)
    holders = [i for i, layer in enumerate(sequence) if _holds_gru(layer)]
    if not holders:
        names = ", ".join(type(layer).__name__ for layer in sequence)
        raise WeightsError(f"Expected a GRU among the layers; received {names}.")
    stack: list[GRULayer] = []
    reversed_by = None  # The layer whose outputs come in reverse order, so far.
    for layer in sequence[holders[0] : holders[-1] + 1]:
        if isinstance(layer, ReverseTimesteps) and reversed_by is not None:
            reversed_by = None
        elif _holds_gru(layer):
            if reversed_by is not None:
                raise WeightsError(
                    f"{reversed_by.name} has go_backwards=True and gives its outputs "
                    f"in reverse order, and {layer.name} takes them so, which no stack "
                    "does. Put a tf_gru_addon.layers.ReverseTimesteps between them."
                )
            stack += _layers(layer)
            if getattr(layer, "go_backwards", False):
                reversed_by = layer
        elif not isinstance(layer, _BETWEEN):
            raise WeightsError(
                f"{layer.name}, a {type(layer).__name__}, stands between GRUs, and a "
                "stack cannot hold it. Give the layers of each stack by themselves."
            )
    return as_stack(stack)


def _in_order(layers: Any) -> list[keras.layers.Layer]:
    if isinstance(layers, keras.Sequential):
        return list(layers.layers)
    if isinstance(layers, keras.Model):
        raise TypeError(
            f"layers must be layers or a keras.Sequential; {layers.name} is another "
            "model, in which no order is plain. Give its GRU layers in a list: "
            "from_keras([model.get_layer(...), ...])."
        )
    if isinstance(layers, keras.layers.Layer):
        return [layers]
    if isinstance(layers, list | tuple) and layers:
        if all(isinstance(layer, keras.layers.Layer) for layer in layers):
            return list(layers)
        layers = next(x for x in layers if not isinstance(x, keras.layers.Layer))
    raise TypeError(
        "layers must be a Keras 3 layer, a list of layers or a keras.Sequential; "
        f"received: {layers!r}."
    )


def _holds_gru(layer: keras.layers.Layer) -> bool:
    if isinstance(layer, keras.layers.Bidirectional):
        return _holds_gru(layer.forward_layer)
    if isinstance(layer, keras.layers.StackedRNNCells):
        return any(map(_holds_gru, layer.cells))
    if isinstance(layer, keras.layers.RNN):
        return _holds_gru(layer.cell)
    return isinstance(layer, _CELLS)


def _layers(layer: keras.layers.Layer) -> list[GRULayer]:
    if isinstance(layer, keras.layers.Bidirectional):
        return _both_ways(layer)
    cell = layer.cell if isinstance(layer, keras.layers.RNN) else layer
    backwards = getattr(layer, "go_backwards", False)
    cells = cell.cells if isinstance(cell, keras.layers.StackedRNNCells) else [cell]
    return [_one_way(cell, layer, backwards) for cell in cells]


def _one_way(cell: Any, layer: keras.layers.Layer, backwards: bool) -> GRULayer:
    if not isinstance(cell, _CELLS):
        raise WeightsError(
            f"{layer.name} steps a {type(cell).__name__}; expected GRUCells alone."
        )
    names = _activations(cell, layer)
    weights = _weights(cell, layer)
    return GRULayer(*((None, weights) if backwards else (weights, None)), *names)


def _both_ways(layer: keras.layers.Bidirectional) -> list[GRULayer]:
    if layer.merge_mode != "concat":
        raise WeightsError(
            f"{layer.name} has merge_mode={layer.merge_mode!r}, and a stack puts the "
            'outputs of the two directions side by side, as "concat" does.'
        )
    directions = [*_layers(layer.forward_layer), *_layers(layer.backward_layer)]
    if [way.direction for way in directions] != ["forward", "reverse"]:
        raise WeightsError(
            f"{layer.name} must run one GRU forward and then one backward; received "
            f"{', '.join(way.direction for way in directions)}."
        )
    forward, backward = directions
    for name in ("activation", "recurrent_activation"):
        one, two = getattr(forward, name), getattr(backward, name)
        if one != two:
            raise WeightsError(
                f"Both directions of {layer.name} must have the same {name}; received "
                f"{one} and {two}."
            )
    names = forward.activation, forward.recurrent_activation
    return [GRULayer(forward.forward, backward.backward, *names)]


def _weights(cell: Any, layer: keras.layers.Layer) -> GRUWeights:
    if not cell.built:
        raise WeightsError(
            f"{layer.name} has no weights yet: it is not built. Call its model once."
        )
    arrays = [np.asarray(v) for v in (cell.kernel, cell.recurrent_kernel)]
    arrays.append(np.asarray(cell.bias) if cell.use_bias else None)
    if arrays[0].dtype.name == "bfloat16":  # which NumPy knows not; float32 holds it
        arrays = [None if a is None else a.astype("float32") for a in arrays]
    return GRUWeights(*arrays, bool(cell.reset_after))


#: Both have the same name in Keras, or had it.
_HARD_SIGMOIDS = {
    activations.hard_sigmoid: "hard_sigmoid",
    keras.activations.hard_sigmoid: "keras_hard_sigmoid",
}


def _activations(cell: Any, layer: keras.layers.Layer) -> list[str]:
    names = []
    for argument in ("activation", "recurrent_activation"):
        function = getattr(cell, argument)
        name = getattr(function, "__name__", type(function).__name__)
        name = _HARD_SIGMOIDS.get(function, name)
        try:
            same = activations.get(name) is function
        except ValueError:
            same = False
        if not same:
            raise WeightsError(
                f"The {argument} of {layer.name}, {name}, has no name in a stack."
            )
        names.append(name)
    return names
