"""The arrays of Keras' `GRU` and `GRUCell`: Keras 3, Keras 2, TensorFlow 2.

    kernel            (features, 3 * units)     z | r | h
    recurrent_kernel  (units, 3 * units)
    bias              (3 * units,), or with reset_after (2, 3 * units): input, recurrent

This is the canonical layout, and the order of `get_weights()`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tf_gru_addon import arguments
from tf_gru_addon.weights.arrays import finite_array
from tf_gru_addon.weights.errors import WeightsError, argument
from tf_gru_addon.weights.gru_weights import GRUWeights
from tf_gru_addon.weights.limits import require_weights

_NAMES = ("kernel", "recurrent_kernel", "bias")


def from_keras_arrays(
    arrays: Sequence[Any], reset_after: bool | None = None
) -> GRUWeights:
    """Returns the weights of a Keras GRU.

    Args:
        arrays: What its `get_weights()` returns: the kernel, the recurrent kernel and
            the bias, if it has one.
        reset_after: The convention. None infers it from the shape of the bias; without
            a bias it is required.

    Raises:
        WeightsError: The arrays are not a GRU's, or `reset_after` is None and there is
            no bias.

    Example:
        >>> import keras
        >>> from tf_gru_addon.weights import from_keras_arrays
        >>> layer = keras.layers.GRU(4, reset_after=False)
        >>> layer.build((None, None, 3))
        >>> from_keras_arrays(layer.get_weights()).describe()
        '3 features, 4 units, reset before, one bias a gate, float32, 96 parameters'
    """
    arguments.sequence("arrays", arrays, "a list of arrays")
    if reset_after is not None:
        arguments.boolean("reset_after", reset_after)
    if len(arrays) == 9:
        raise WeightsError(
            "Expected a GRU's 2 or 3 arrays; received 9, as of a GRU of Keras 1. Read "
            "them with from_keras1_arrays."
        )
    if len(arrays) not in (2, 3):
        raise WeightsError(
            "Expected a GRU's arrays: kernel, recurrent_kernel and, with a bias, bias; "
            f"received {len(arrays)}. A Bidirectional or a stack has those of several "
            "GRUs in a row: pass them GRU by GRU."
        )
    arrays = [
        finite_array(array, name) for array, name in zip(arrays, _NAMES, strict=False)
    ]
    bias = arrays[2] if len(arrays) == 3 else None
    if bias is not None and bias.shape == (2 * arrays[1].shape[-1],):
        raise WeightsError(
            f"bias has the shape {bias.shape}, (6 * units,): these are a CuDNNGRU's "
            "arrays, whose contents differ. Read them with from_cudnn_gru."
        )
    if reset_after is None:
        if bias is None:
            raise WeightsError(
                "Without a bias, nothing in the arrays shows whether the reset gate "
                "comes after the recurrent product. Give "
                f"{argument('reset_after')}: Keras 3's and TensorFlow 2's GRU has True "
                "by default; Keras 2's, and TensorFlow r2.0's GRUCell, has False."
            )
        reset_after = bias.ndim == 2
    return GRUWeights(arrays[0], arrays[1], bias, reset_after)


def to_keras_arrays(weights: GRUWeights) -> list[np.ndarray]:
    """Returns the arrays for `set_weights` of a GRU of the same convention.

    Args:
        weights: The weights; the layer must have been made with their `reset_after`,
            and with `use_bias` as they have a bias or not.

    Example:
        >>> import keras
        >>> import numpy as np
        >>> from tf_gru_addon.weights import GRUWeights, to_keras_arrays
        >>> weights = GRUWeights(np.ones((3, 6)), np.ones((2, 6)), np.ones(6), False)
        >>> layer = keras.layers.GRU(2, reset_after=False)
        >>> layer.build((None, None, 3))
        >>> layer.set_weights(to_keras_arrays(weights))
    """
    require_weights(weights)
    return weights.arrays()
