"""From weights to Keras layers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras

from tf_gru_addon.layers.gru import GRU
from tf_gru_addon.layers.reverse_timesteps import ReverseTimesteps
from tf_gru_addon.weights import GRULayer, GRUWeights, as_stack, to_keras_arrays

#: Arguments of `GRU` that the weights determine.
_FROM_WEIGHTS = (
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
    """Returns built layers with the given weights, to be called one after the other.

    A layer with one direction becomes a `GRU`. A bidirectional layer becomes a
    `Bidirectional` that concatenates the outputs, the forward ones first. A layer that
    only runs backward becomes a `GRU(go_backwards=True)`; if it returns sequences, a
    `ReverseTimesteps` behind it restores the order of the inputs, as in PyTorch and
    ONNX.

    Args:
        weights: A stack of layers, the first layer first; or one layer, or the weights
            of one GRU.
        return_sequences: Whether the last layer returns the outputs of all timesteps,
            `(batch, timesteps, units)`, or only of the last timestep that it computes,
            `(batch, units)`. The layers before it always return sequences.
        **options: Further arguments for every `GRU`: `return_state`, `dropout`,
            `engine`, ... `dtype` defaults to that of the weights, so that the weights
            stay the same bit for bit. `stateful` is not supported, because a stateful
            layer must know the batch size to be built.

    Returns:
        The layers. `keras.Sequential` takes them behind an `Input`.

    Raises:
        WeightsError: The layers of the stack do not fit each other.
        TypeError: The weights determine an option, or `GRU` does not take it.

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
    for name in _FROM_WEIGHTS:
        if name in options:
            raise TypeError(
                f"{name} is determined by the weights; do not pass it to to_keras."
            )
    if options.get("stateful"):
        raise TypeError(
            "stateful must be False: to_keras builds its layers, and a stateful layer "
            "needs a batch size for that. Construct tf_gru_addon.GRU(..., "
            "stateful=True) yourself, and call set_weights(to_keras_arrays(weights)) "
            "once it is built."
        )
    layers = []
    for index, layer in enumerate(stack):
        sequences = return_sequences or index < len(stack) - 1
        layers += _layers(layer, {**options, "return_sequences": sequences})
    return layers


def _layers(layer: GRULayer, options: dict[str, Any]) -> list[keras.layers.Layer]:
    result: Any = GRU(
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
