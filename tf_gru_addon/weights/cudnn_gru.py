"""The arrays of Keras 2's `CuDNNGRU`.

    kernel            (features, 3 * units)     z | r | h
    recurrent_kernel  (units, 3 * units)
    bias              (6 * units,): three input biases, three recurrent ones

The shapes are Keras' own, the contents are not: a gate's recurrent kernel is
transposed, and a gate's kernel is too, but with its numbers laid out in the shape that
it had before. The reset gate comes after the recurrent product, the activations are
tanh and sigmoid, and there always is a bias.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tf_gru_addon import arguments
from tf_gru_addon.weights.arrays import expect_shape, finite_array, units_of
from tf_gru_addon.weights.errors import WeightsError
from tf_gru_addon.weights.gru_weights import GRUWeights
from tf_gru_addon.weights.limits import require_reset, require_weights


def from_cudnn_gru(arrays: Sequence[Any]) -> GRUWeights:
    """Returns the weights of what `get_weights()` of a CuDNNGRU gave.

    A CuDNNGRU's weights file holds the same arrays.

    Args:
        arrays: The kernel, the recurrent kernel and the bias.

    Raises:
        WeightsError: The arrays are not a CuDNNGRU's.

    Example:
        >>> import numpy as np
        >>> from tf_gru_addon.weights import from_cudnn_gru
        >>> arrays = [np.ones((3, 6)), np.ones((2, 6)), np.ones(12)]
        >>> from_cudnn_gru(arrays).describe()
        '3 features, 2 units, reset after, two biases a gate, float64, 42 parameters'
    """
    arguments.sequence("arrays", arrays, "a list of arrays")
    if len(arrays) != 3:
        raise WeightsError(
            "CuDNNGRU has the three arrays kernel, recurrent_kernel and bias; received "
            f"{len(arrays)}."
        )
    kernel, recurrent_kernel, bias = (
        finite_array(array, name)
        for array, name in zip(
            arrays, ("kernel", "recurrent_kernel", "bias"), strict=True
        )
    )
    units = units_of(bias, "bias of a CuDNNGRU", 6)
    expect_shape(bias, "bias", (6 * units,), "(6 * units,)")
    expect_shape(kernel, "kernel", (None, 3 * units), "(features, 3 * units)")
    expect_shape(
        recurrent_kernel, "recurrent_kernel", (units, 3 * units), "(units, 3 * units)"
    )
    return GRUWeights(
        _each_gate(kernel, lambda gate: gate.reshape(gate.shape[::-1]).T),
        _each_gate(recurrent_kernel, np.transpose),
        bias.reshape(2, -1),
        reset_after=True,
    )


def to_cudnn_gru(weights: GRUWeights) -> list[np.ndarray]:
    """Returns the arrays for `set_weights` of a CuDNNGRU.

    Args:
        weights: The weights; a bias that there is not becomes zeros.

    Raises:
        WeightsError: The weights have the reset gate before the recurrent product,
            which cuDNN cannot.

    Example:
        >>> import numpy as np
        >>> from tf_gru_addon.weights import GRUWeights, to_cudnn_gru
        >>> weights = GRUWeights(np.ones((3, 6)), np.ones((2, 6)), None, True)
        >>> [array.shape for array in to_cudnn_gru(weights)]
        [(3, 6), (2, 6), (12,)]
    """
    require_weights(weights)
    require_reset(weights, "CuDNNGRU", after=True)
    weights = weights.with_bias()
    return [
        _each_gate(weights.kernel, lambda gate: gate.T.reshape(gate.shape)),
        _each_gate(weights.recurrent_kernel, np.transpose),
        weights.bias.flatten(),
    ]


def _each_gate(
    array: np.ndarray, change: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    return np.concatenate([change(gate) for gate in np.split(array, 3, -1)], axis=-1)
