"""From Keras layers to weights."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from tf_gru_addon import activations
from tf_gru_addon.layers.gru_cell import GRUCell
from tf_gru_addon.layers.reverse_timesteps import ReverseTimesteps
from tf_gru_addon.weights import GRULayer, GRUWeights, WeightsError, as_stack

_CELLS = (keras.layers.GRUCell, GRUCell)

#: Layers that may stand between two GRUs: in inference they change nothing, or only
#: the mask.
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
    """Returns the weights of Keras layers as a GRU stack.

    Supported are `GRU`, `RNN` with one or more `GRUCell`s, `Bidirectional` of these,
    and bare cells, both Keras' own and this package's. A layer with `go_backwards`
    becomes a layer that only runs backward.

    Args:
        layers: A layer, several layers in order, or a `keras.Sequential`. Layers before
            the first GRU and behind the last one, such as an `Embedding` or a `Dense`,
            are left out. Between GRUs, only dropout, noise and `Masking` are allowed:
            other layers would be missing from the stack.

    Returns:
        The layers of the stack, the first layer first.

    Raises:
        WeightsError: There is no GRU, a layer is not built, another layer stands
            between GRUs, or a stack cannot represent a layer: its `merge_mode` is not
            "concat", or an activation has no name.
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
    reversed_by = None  # The layer whose reversed outputs reach this point.
    for layer in sequence[holders[0] : holders[-1] + 1]:
        if isinstance(layer, ReverseTimesteps) and reversed_by is not None:
            reversed_by = None
        elif _holds_gru(layer):
            if reversed_by is not None:
                raise WeightsError(
                    f"{reversed_by.name} has go_backwards=True and returns its outputs "
                    f"in reverse order to {layer.name}, which a stack cannot do. Put a "
                    "tf_gru_addon.layers.ReverseTimesteps between them."
                )
            stack += _layers(layer)
            if getattr(layer, "go_backwards", False):
                reversed_by = layer
        elif not isinstance(layer, _BETWEEN):
            raise WeightsError(
                f"{layer.name}, a {type(layer).__name__}, stands between GRUs, and a "
                "stack cannot hold it. Pass the layers of each stack separately."
            )
    return as_stack(stack)


def _in_order(layers: Any) -> list[keras.layers.Layer]:
    if isinstance(layers, keras.Sequential):
        return list(layers.layers)
    if isinstance(layers, keras.Model):
        raise TypeError(
            f"layers must be layers or a keras.Sequential; {layers.name} is another "
            "model, whose layers have no defined order. Pass its GRU layers in a list: "
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
            f"{layer.name} has a {type(cell).__name__}; expected only GRUCells."
        )
    names = _activations(cell, layer)
    weights = _weights(cell, layer)
    return GRULayer(*((None, weights) if backwards else (weights, None)), *names)


def _both_ways(layer: keras.layers.Bidirectional) -> list[GRULayer]:
    if layer.merge_mode != "concat":
        raise WeightsError(
            f"{layer.name} has merge_mode={layer.merge_mode!r}; a stack can only "
            'concatenate the outputs of both directions ("concat").'
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
    kernel, recurrent_kernel = map(_array, (cell.kernel, cell.recurrent_kernel))
    bias = _array(cell.bias) if cell.use_bias else None
    return GRUWeights(kernel, recurrent_kernel, bias, bool(cell.reset_after))


def _array(variable: Any) -> np.ndarray:
    array = np.asarray(variable)
    # NumPy itself has no bfloat16; float32 holds all its values.
    return array.astype("float32") if array.dtype.name == "bfloat16" else array


#: Keras has, or had, the name "hard_sigmoid" for both.
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
                f"The {argument} of {layer.name}, {name}, is not one that a stack can "
                "name. Use one of Keras' or of this package's functions."
            )
        names.append(name)
    return names
