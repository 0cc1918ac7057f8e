"""Keras layers of weights, from wherever these came."""

from collections.abc import Iterable
from typing import Any

import keras

from tf_gru_addon.layers.gru import GRU
from tf_gru_addon.layers.reverse_timesteps import ReverseTimesteps
from tf_gru_addon.weights import GRULayer, GRUWeights, as_stack, to_keras_arrays

_OF_THE_WEIGHTS = (
    "units",
    "activation",
    "recurrent_activation",
    "use_bias",
    "reset_after",
    "go_backwards",
)


def to_keras(
    weights: GRUWeights | GRULayer | Iterable[GRULayer],
    *,
    return_sequences: bool = True,
    **options: Any,
) -> list[keras.layers.Layer]:
    """Returns built layers that hold the weights, to be called one after the other.

    A layer of one direction becomes a `GRU`, one of both a `Bidirectional` of two,
    whose outputs stand side by side, those of the forward direction first. A layer that
    only runs backward becomes a `GRU(go_backwards=True)`; behind it, where it gives
    sequences, a `ReverseTimesteps` brings the outputs back to the order of the inputs,
    in which PyTorch and ONNX have them.

    Args:
        weights: A stack: layers, the first first; or one layer, or one GRU's weights.
        return_sequences: Whether the last layer gives the output of every timestep, and
            not of the last one that it runs alone. The layers before it always do.
        **options: Further arguments of every `GRU`: `return_state`, `dropout`,
            `engine`, ... `dtype` is that of the weights if not given, so that they stay
            bit for bit what they are. Not `stateful`, for whose layers the batch size
            must be known when they are built.

    Returns:
        The layers, as `keras.Sequential` takes them behind an `Input`.

    Raises:
        WeightsError: The layers of a stack do not fit each other.
        TypeError: An option is the weights' to say, or no argument of `GRU`.

    Example:
        >>> import keras
        >>> import numpy as np
        >>> from tf_gru_addon.migrate import to_keras
        >>> from tf_gru_addon.weights import GRULayer, GRUWeights
        >>> arrays = [np.ones(shape, "float32") for shape in [(3, 6), (2, 6), (2, 6)]]
        >>> weights = GRUWeights(*arrays, reset_after=True)
        >>> layers = to_keras(GRULayer(weights, backward=weights))
        >>> model = keras.Sequential([keras.Input((None, 3)), *layers])
        >>> model(np.ones((5, 10, 3), "float32")).shape
        TensorShape([5, 10, 4])
    """
    stack = as_stack(weights)
    for name in _OF_THE_WEIGHTS:
        if name in options:
            raise TypeError(f"{name} is the weights' to say; leave it out of to_keras.")
    if options.get("stateful"):
        raise TypeError(
            "to_keras builds its layers, and a stateful one needs a batch size for "
            "that. Make tf_gru_addon.GRU(..., stateful=True) yourself, and give it "
            "set_weights(to_keras_arrays(weights)) once it is built."
        )
    layers = []
    for index, layer in enumerate(stack):
        sequences = return_sequences or index < len(stack) - 1
        layers += _layers(layer, {**options, "return_sequences": sequences})
    return layers


def _layers(layer: GRULayer, options: dict[str, Any]) -> list[keras.layers.Layer]:
    result = GRU(
        layer.units,
        activation=layer.activation,
        recurrent_activation=layer.recurrent_activation,
        use_bias=layer.use_bias,
        reset_after=layer.reset_after,
        go_backwards=layer.direction == "reverse",
        **{"dtype": layer.dtype.name, **options},
    )
    if layer.direction == "bidirectional":
        result = keras.layers.Bidirectional(result, dtype=result.dtype_policy)
    result.build((None, None, layer.features))
    result.set_weights([a for w in layer.directions for a in to_keras_arrays(w)])
    if layer.direction == "reverse" and options["return_sequences"]:
        return [result, ReverseTimesteps(dtype=result.dtype_policy.name)]
    return [result]
