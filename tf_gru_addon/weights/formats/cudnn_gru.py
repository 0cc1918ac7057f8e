"""Keras 2's `CuDNNGRU`: its arrays, and its `.h5`, which the "keras" format reads.

    kernel            (features, 3 * units)     z | r | h
    recurrent_kernel  (units, 3 * units)
    bias              (6 * units,): three input biases, three recurrent ones

The shapes are those of a `GRU`, but each gate's block differs: the recurrent kernel is
transposed; the kernel is transposed and then reshaped to its former shape. The reset
gate comes after the recurrent product, the activations are tanh and sigmoid, and the
bias is always there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tf_gru_addon import arguments
from tf_gru_addon.weights.arrays import expect_shape, finite_array, units_of
from tf_gru_addon.weights.errors import WeightsError
from tf_gru_addon.weights.format import Format, Stack
from tf_gru_addon.weights.formats.keras_model import KERAS_2, write_keras2_h5
from tf_gru_addon.weights.gru_weights import GRUWeights
from tf_gru_addon.weights.layouts import LayoutArray
from tf_gru_addon.weights.limits import (
    only_forward,
    require_activations,
    require_reset,
    require_weights,
)


def from_cudnn_gru(arrays: Sequence[Any]) -> GRUWeights:
    """Returns the weights of a CuDNNGRU.

    Args:
        arrays: What its `get_weights()` returns: the kernel (features, 3 * units), the
            recurrent kernel (units, 3 * units) and the bias (6 * units,).

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
        weights: The weights, with `reset_after=True`. A missing bias becomes zeros.

    Raises:
        WeightsError: The weights have `reset_after=False`, which cuDNN does not
            support.

    Example:
        >>> import numpy as np
        >>> from tf_gru_addon.weights import GRUWeights, to_cudnn_gru
        >>> weights = GRUWeights(np.ones((3, 6)), np.ones((2, 6)), None, True)
        >>> [array.shape for array in to_cudnn_gru(weights)]
        [(3, 6), (2, 6), (12,)]
    """
    require_weights(weights)
    require_reset(weights, "CuDNNGRU", after=True)
    return [
        _each_gate(weights.kernel, lambda gate: gate.T.reshape(gate.shape)),
        _each_gate(weights.recurrent_kernel, np.transpose),
        weights.bias_or_zeros.flatten(),
    ]


def _each_gate(
    array: np.ndarray, change: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    return np.concatenate([change(gate) for gate in np.split(array, 3, -1)], axis=-1)


def _write(path: Path, stack: Stack) -> None:
    weights = only_forward(stack, "CuDNNGRU")
    require_activations(stack[0], "CuDNNGRU")
    write_keras2_h5(path, "cu_dnngru", to_cudnn_gru(weights))


FORMAT = Format(
    name="cudnn_gru",
    file="Keras 2's weights of a `CuDNNGRU`",
    write=_write,
    cannot_hold=(
        "reset before; activations other than tanh and sigmoid; several layers; a "
        "layer that runs backward"
    ),
    activations="fixed",
    peer=KERAS_2,
    layouts={
        "Keras 2 CuDNNGRU (reset after)": (
            LayoutArray("kernel", "(features, 3 units)", ("Wzx Wrx Whx",)),
            LayoutArray("recurrent_kernel", "(units, 3 units)", ("Uzt Urt Uht",)),
            LayoutArray("bias", "(6 units,)", ("biz bir bih boz bor boh",)),
        )
    },
)
