"""cuDNN's parameter buffer: all weights of a stack of GRUs in one array.

The matrices of all layers and directions come first:

    layer 0 forward, layer 0 backward, layer 1 forward, ...
        three input matrices      (units, features) each, r, z, h
        three recurrent matrices  (units, units) each, r, z, h

Then all biases follow in the same order, (units,) each. `tf.raw_ops.CudnnRNNV3` takes
this buffer, with `rnn_mode="gru"` and no projection. NVIDIA calls the layout opaque;
TensorFlow and PyTorch have relied on this one since cuDNN 5. The reset gate comes after
the recurrent product; the activations are tanh and sigmoid.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from tf_gru_addon import arguments
from tf_gru_addon.weights.arrays import finite_array
from tf_gru_addon.weights.errors import WeightsError
from tf_gru_addon.weights.gru_layer import GRULayer, as_stack
from tf_gru_addon.weights.gru_weights import GRUWeights
from tf_gru_addon.weights.layouts import GateOrder, LayoutArray, Layouts
from tf_gru_addon.weights.limits import (
    require_activations,
    require_alike,
    require_reset,
)

_ORDER = GateOrder("rzh")
LAYOUTS: Layouts = {
    "cuDNN buffer (reset after), one strip": (
        LayoutArray("matrices of the inputs", "each flattened", ("Wrt Wzt Wht",)),
        LayoutArray("matrices of the state", "each flattened", ("Urt Uzt Uht",)),
        LayoutArray("biases, of all layers last", "", ("bir biz bih bor boz boh",)),
    )
}


def from_cudnn_buffer(
    buffer: Any,
    *,
    features: int,
    units: int,
    layers: int = 1,
    bidirectional: bool = False,
) -> tuple[GRULayer, ...]:
    """Returns the layers in a buffer.

    Args:
        buffer: The buffer, of shape (parameters,).
        features: The size of the inputs.
        units: The size of the state.
        layers: The number of layers.
        bidirectional: Whether each layer runs in both directions.

    Raises:
        WeightsError: Such layers have another number of parameters.
        ValueError: A size is not a positive integer.

    Example:
        >>> import numpy as np
        >>> from tf_gru_addon.weights import from_cudnn_buffer
        >>> (layer,) = from_cudnn_buffer(np.ones(42), features=3, units=2)
        >>> layer.forward.describe()
        '3 features, 2 units, reset after, two biases a gate, float64, 42 parameters'
    """
    features = arguments.integer("features", features, 1)
    units = arguments.integer("units", units, 1)
    layers = arguments.integer("layers", layers, 1)
    bidirectional = arguments.boolean("bidirectional", bidirectional)
    buffer = finite_array(buffer, "buffer")
    ways = 2 if bidirectional else 1
    inputs = [features if k == 0 else ways * units for k in range(layers)]
    size = sum(ways * 3 * units * (n + units + 2) for n in inputs)
    if buffer.shape != (size,):
        raise WeightsError(
            f"buffer must have the shape ({size},): {layers} layer(s) of {units} units "
            f"on {features} features, {ways} direction(s); received {buffer.shape}."
        )
    sides = [n for n in inputs for _ in range(ways)]
    kernels = np.cumsum([3 * units * (n + units) for n in sides])
    matrices = np.split(buffer[: kernels[-1]], kernels[:-1])
    biases = buffer[kernels[-1] :].reshape(len(sides), 2, 3 * units)
    weights = [
        _weights(*parts, units) for parts in zip(matrices, biases, sides, strict=True)
    ]
    return as_stack(
        GRULayer(weights[k], weights[k + 1] if bidirectional else None)
        for k in range(0, len(weights), ways)
    )


def _weights(
    matrices: np.ndarray, bias: np.ndarray, features: int, units: int
) -> GRUWeights:
    inputs, state = np.split(matrices, [3 * units * features])
    return GRUWeights(
        _ORDER.to_canonical(inputs.reshape(3 * units, features).T),
        _ORDER.to_canonical(state.reshape(3 * units, units).T),
        _ORDER.to_canonical(bias),
        reset_after=True,
    )


def to_cudnn_buffer(
    stack: GRUWeights | GRULayer | Iterable[GRULayer],
) -> np.ndarray:
    """Returns the buffer of one GRU or of a stack.

    Args:
        stack: The layers, a layer, or one GRU's weights. A missing bias becomes zeros.

    Raises:
        WeightsError: cuDNN has no such GRU: `reset_after=False`, activations other than
            tanh and sigmoid, layers of different sizes, ...

    Example:
        >>> import numpy as np
        >>> from tf_gru_addon.weights import GRUWeights, to_cudnn_buffer
        >>> weights = GRUWeights(np.ones((3, 6)), np.ones((2, 6)), None, True)
        >>> to_cudnn_buffer(weights).shape
        (42,)
    """
    stack = as_stack(stack)
    for layer in stack:
        require_reset(layer, "cuDNN's GRU", after=True)
        require_activations(layer, "cuDNN's GRU")
    require_alike(stack, "cuDNN's GRU")
    sides = [weights for layer in stack for weights in layer.directions]
    matrices = [
        _ORDER.from_canonical(kernel).T
        for weights in sides
        for kernel in (weights.kernel, weights.recurrent_kernel)
    ]
    biases = [_ORDER.from_canonical(weights.bias_or_zeros) for weights in sides]
    return np.concatenate([array.reshape(-1) for array in (*matrices, *biases)])
