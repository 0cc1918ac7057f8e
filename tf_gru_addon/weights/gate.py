"""The weights of one gate."""

from typing import NamedTuple

import numpy as np


class Gate(NamedTuple):
    """The weights of one of a GRU's gates, as views of its arrays.

    Attributes:
        kernel: (features, units).
        recurrent_kernel: (units, units).
        bias: None; (units,); or with `reset_after` (2, units), the bias of the input
            product and that of the recurrent product.
    """

    kernel: np.ndarray
    recurrent_kernel: np.ndarray
    bias: np.ndarray | None
