"""The weights of one gate."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Gate(NamedTuple):
    """The weights of one gate, as views of a GRU's arrays.

    Attributes:
        kernel: (features, units).
        recurrent_kernel: (units, units).
        bias: None; or (units,); or with `reset_after` (2, units), the biases of the
            input product and of the recurrent product.
    """

    kernel: np.ndarray
    recurrent_kernel: np.ndarray
    bias: np.ndarray | None
