"""The arrays of recurrent layers as Keras 1 and the CuDNN layers had them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tf_gru_addon.weights import from_cudnn_gru, from_keras1_arrays
from tf_gru_addon.weights.keras1 import KERAS1_NAMES as KERAS_1_GRU

__all__ = [
    "KERAS_1_GRU",
    "KERAS_1_LSTM",
    "cudnn_gru",
    "cudnn_lstm",
    "keras_1_gru",
    "keras_1_lstm",
]

Arrays = Sequence[np.ndarray]

#: The names of an LSTM's arrays in Keras 1, in order.
KERAS_1_LSTM = tuple(f"{array}_{gate}" for gate in "icfo" for array in "WUb")


def keras_1_gru(arrays: Arrays) -> list[np.ndarray]:
    """Returns kernel, recurrent kernel and bias of a GRU of Keras 1."""
    return from_keras1_arrays(arrays).arrays()


def cudnn_gru(arrays: Arrays) -> list[np.ndarray]:
    """Returns kernel, recurrent kernel and bias of a `CuDNNGRU` of Keras 2."""
    return from_cudnn_gru(arrays).arrays()


def keras_1_lstm(arrays: Arrays) -> list[np.ndarray]:
    """Returns kernel, recurrent kernel and bias of an LSTM of Keras 1.

    Its gates stood in the order i, c, f, o; Keras' are i, f, c, o.
    """
    gates = [arrays[3 * index : 3 * index + 3] for index in (0, 2, 1, 3)]
    return [np.concatenate(parts, axis=-1) for parts in zip(*gates, strict=True)]


def cudnn_lstm(arrays: Arrays) -> list[np.ndarray]:
    """Returns kernel, recurrent kernel and bias of a `CuDNNLSTM` of Keras 2.

    A gate's kernel is the matrix that cuDNN multiplies by from the left, its numbers
    laid out in the shape of a Keras kernel; of the two biases only the sum matters.
    """
    kernel, recurrent_kernel, bias = arrays
    kernels = [k.T.reshape(k.shape, order="F") for k in np.split(kernel, 4, 1)]
    recurrent_kernels = [k.T for k in np.split(recurrent_kernel, 4, 1)]
    return [np.hstack(kernels), np.hstack(recurrent_kernels), sum(np.split(bias, 2))]
