"""The nine arrays of Keras 1's `GRU`.

    W_z, U_z, b_z, W_r, U_r, b_r, W_h, U_h, b_h

W is (features, units), U is (units, units), b is (units,). The reset gate comes before
the recurrent product, and the bias is always there. `get_weights()` and a weights file
have this order. With `consume_less="gpu"`, Keras 1 has the three arrays of
`from_keras_arrays` instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tf_gru_addon import arguments
from tf_gru_addon.weights.arrays import expect_shape, finite_array
from tf_gru_addon.weights.errors import WeightsError
from tf_gru_addon.weights.gru_weights import GRUWeights
from tf_gru_addon.weights.limits import require_reset, require_weights

KERAS1_NAMES = tuple(f"{kind}_{gate}" for gate in "zrh" for kind in "WUb")


def from_keras1_arrays(arrays: Sequence[Any]) -> GRUWeights:
    """Returns the weights of a Keras 1 GRU.

    Args:
        arrays: What its `get_weights()` returns: W_z, U_z, b_z, W_r, U_r, b_r, W_h,
            U_h, b_h.

    Raises:
        WeightsError: There are not nine arrays, or one has the wrong shape.

    Example:
        >>> import numpy as np
        >>> from tf_gru_addon.weights import from_keras1_arrays
        >>> gate = [np.ones((3, 2)), np.ones((2, 2)), np.ones(2)]
        >>> from_keras1_arrays([*gate, *gate, *gate]).describe()
        '3 features, 2 units, reset before, one bias a gate, float64, 36 parameters'
    """
    arguments.sequence("arrays", arrays, "a list of arrays")
    if len(arrays) != 9:
        raise WeightsError(
            f"Keras 1's GRU has the nine arrays {', '.join(KERAS1_NAMES)}; received "
            f"{len(arrays)}."
        )
    arrays = [
        finite_array(array, name)
        for array, name in zip(arrays, KERAS1_NAMES, strict=True)
    ]
    expect_shape(arrays[0], "W_z", (None, None), "(features, units)")
    features, units = arrays[0].shape
    shapes = {
        "W": ((features, units), "(features, units)"),
        "U": ((units, units), "(units, units)"),
        "b": ((units,), "(units,)"),
    }
    for array, name in zip(arrays, KERAS1_NAMES, strict=True):
        expect_shape(array, name, *shapes[name[0]])
    kernel, recurrent_kernel, bias = (
        np.concatenate(arrays[kind::3], axis=-1) for kind in range(3)
    )
    return GRUWeights(kernel, recurrent_kernel, bias, reset_after=False)


def to_keras1_arrays(weights: GRUWeights) -> list[np.ndarray]:
    """Returns the arrays for `set_weights` of a Keras 1 GRU.

    Args:
        weights: The weights, with `reset_after=False`. A missing bias becomes zeros.

    Raises:
        WeightsError: The weights have `reset_after=True`, which Keras 1 does not
            support.

    Example:
        >>> import numpy as np
        >>> from tf_gru_addon.weights import GRUWeights, to_keras1_arrays
        >>> weights = GRUWeights(np.ones((3, 6)), np.ones((2, 6)), np.ones(6), False)
        >>> [array.shape for array in to_keras1_arrays(weights)[:3]]
        [(3, 2), (2, 2), (2,)]
    """
    require_weights(weights)
    require_reset(weights, "Keras 1's GRU", after=False)
    weights = weights.with_bias()
    return [
        array.copy()
        for gate in (weights.update, weights.reset, weights.candidate)
        for array in gate
        if array is not None
    ]
