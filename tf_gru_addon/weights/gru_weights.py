"""The weights of one GRU in the canonical layout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tf_gru_addon import arguments
from tf_gru_addon.weights.arrays import DTYPES, finite_array
from tf_gru_addon.weights.errors import WeightsError
from tf_gru_addon.weights.gate import Gate


@dataclass(frozen=True, eq=False)
class GRUWeights:
    """The weights of one GRU, in one layer and one direction, in the canonical layout.

    The layout is that of Keras and TensorFlow 2: the gates are concatenated in the
    order update (z), reset (r), candidate (h). With the inputs x and the state h:

        z  = sigma(x Wz + h Uz + bz)
        r  = sigma(x Wr + h Ur + br)
        c  = phi(x Wh + bh_input + r * (h Uh + bh_recurrent))   reset_after=True
        c  = phi(x Wh + (r * h) Uh + bh)                        reset_after=False
        h' = z * h + (1 - z) * c

    The arrays are copied, keep their dtype, and are read-only. Two objects are equal if
    `reset_after`, the dtype and every number are equal.

    Args:
        kernel: W, (features, 3 * units). All arrays have one dtype: float16, float32 or
            float64.
        recurrent_kernel: U, (units, 3 * units).
        bias: None; or (3 * units,); or with `reset_after` (2, 3 * units), the biases of
            the input product and those of the recurrent product.
        reset_after: Whether the reset gate is applied after the recurrent product
            (True, as in cuDNN and PyTorch) or before it (False, as in Cho et al. 2014
            and by default in TensorFlow r2.0).

    Raises:
        WeightsError: An array has the wrong shape or dtype, or contains an infinity or
            a NaN.
        ValueError: `reset_after` is not a bool.

    Example:
        >>> import numpy as np
        >>> from tf_gru_addon.weights import GRUWeights
        >>> weights = GRUWeights(
        ...     kernel=np.ones((3, 6)),
        ...     recurrent_kernel=np.ones((2, 6)),
        ...     bias=np.zeros((2, 6)),
        ...     reset_after=True,
        ... )
        >>> weights.units, weights.features, weights.parameters
        (2, 3, 42)
        >>> weights.update.kernel.shape, weights.candidate.bias.shape
        ((3, 2), (2, 2))
    """

    kernel: np.ndarray
    recurrent_kernel: np.ndarray
    bias: np.ndarray | None
    reset_after: bool

    def __post_init__(self) -> None:
        after = arguments.boolean("reset_after", self.reset_after)
        object.__setattr__(self, "reset_after", after)
        for name in ("kernel", "recurrent_kernel", "bias"):
            if name != "bias" or self.bias is not None:
                array = _own_copy(getattr(self, name), name)
                object.__setattr__(self, name, array)
        self._check_shapes()
        for name in ("recurrent_kernel", "bias"):
            array = getattr(self, name)
            if array is not None and array.dtype != self.dtype:
                raise WeightsError(
                    f"{name} must have the dtype of kernel, {self.dtype}; received "
                    f"{array.dtype}. Cast them to one dtype."
                )

    def _check_shapes(self) -> None:
        recurrent = self.recurrent_kernel.shape
        if len(recurrent) != 2 or not recurrent[0] or recurrent[1] != 3 * recurrent[0]:
            raise WeightsError(
                "recurrent_kernel must have the shape (units, 3 * units), with the "
                f"gates z, r, h concatenated; received {recurrent}."
            )
        columns = recurrent[1]
        kernel = self.kernel.shape
        if len(kernel) != 2 or not kernel[0] or kernel[1] != columns:
            raise WeightsError(
                "kernel must have the shape (features, 3 * units), here (features, "
                f"{columns}) as recurrent_kernel is {recurrent}; received {kernel}."
            )
        expected = (2, columns) if self.reset_after else (columns,)
        if self.bias is not None and self.bias.shape != expected:
            shape = "(2, 3 * units)" if self.reset_after else "(3 * units,)"
            raise WeightsError(
                f"bias must be None or, with reset_after={self.reset_after}, have the "
                f"shape {shape}, here {expected}; received {self.bias.shape}."
            )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, GRUWeights):
            return NotImplemented
        mine, theirs = self.arrays(), other.arrays()
        return (
            (self.reset_after, self.dtype, len(mine))
            == (other.reset_after, other.dtype, len(theirs))
        ) and all(map(np.array_equal, mine, theirs))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"GRUWeights({self.describe()})"

    @property
    def units(self) -> int:
        """The size of the state."""
        return int(self.recurrent_kernel.shape[0])

    @property
    def features(self) -> int:
        """The size of the inputs."""
        return int(self.kernel.shape[0])

    @property
    def dtype(self) -> np.dtype:
        """The dtype of the arrays."""
        return self.kernel.dtype

    @property
    def parameters(self) -> int:
        """The number of parameters."""
        return sum(array.size for array in self.arrays())

    @property
    def update(self) -> Gate:
        """The weights of the update gate, z."""
        return self._gate(0)

    @property
    def reset(self) -> Gate:
        """The weights of the reset gate, r."""
        return self._gate(1)

    @property
    def candidate(self) -> Gate:
        """The weights of the candidate, h~."""
        return self._gate(2)

    def _gate(self, index: int) -> Gate:
        columns = slice(index * self.units, (index + 1) * self.units)
        return Gate(
            self.kernel[:, columns],
            self.recurrent_kernel[:, columns],
            None if self.bias is None else self.bias[..., columns],
        )

    def arrays(self) -> list[np.ndarray]:
        """Returns the arrays in the order of Keras' `get_weights`."""
        arrays = [self.kernel, self.recurrent_kernel]
        return arrays if self.bias is None else [*arrays, self.bias]

    def astype(self, dtype: Any) -> GRUWeights:
        """Returns the weights in another dtype: float16, float32 or float64.

        Raises:
            WeightsError: The dtype is another one.
        """
        try:
            name = np.dtype(dtype).name
        except TypeError:
            name = None
        if dtype is None or name not in DTYPES:
            raise WeightsError(
                f"dtype must be one of {', '.join(DTYPES)}; received: {dtype!r}."
            )
        kernel, recurrent_kernel, *bias = (
            array.astype(dtype) for array in self.arrays()
        )
        return GRUWeights(
            kernel, recurrent_kernel, bias[0] if bias else None, self.reset_after
        )

    @property
    def bias_or_zeros(self) -> np.ndarray:
        """The bias; zeros of its shape if there is none."""
        if self.bias is not None:
            return self.bias
        shape = (2, 3 * self.units) if self.reset_after else (3 * self.units,)
        return np.zeros(shape, self.dtype)

    def with_bias(self) -> GRUWeights:
        """Returns these weights, or a copy with a bias of zeros if they have none."""
        if self.bias is not None:
            return self
        bias = self.bias_or_zeros
        return GRUWeights(self.kernel, self.recurrent_kernel, bias, self.reset_after)

    def fold_biases(self) -> GRUWeights:
        """Returns weights with the two biases of z, and of r, added up.

        The equations use only their sums, so the outputs change by rounding only. The
        sum becomes the input bias, and the recurrent bias becomes 0. The candidate's
        biases stay, because the reset gate multiplies only one of them. Weights without
        a bias or without `reset_after` are returned unchanged.

        Example:
            >>> import numpy as np
            >>> from tf_gru_addon.weights import GRUWeights
            >>> bias = np.array([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]])
            >>> weights = GRUWeights(np.ones((1, 3)), np.ones((1, 3)), bias, True)
            >>> weights.fold_biases().bias.tolist()
            [[11.0, 22.0, 3.0], [0.0, 0.0, 30.0]]
        """
        if self.bias is None or not self.reset_after:
            return self
        bias = self.bias.copy()
        gates = slice(0, 2 * self.units)
        bias[0, gates] += bias[1, gates]
        bias[1, gates] = 0
        return GRUWeights(self.kernel, self.recurrent_kernel, bias, True)

    def describe(self) -> str:
        """Returns the sizes, the convention and the number of parameters, in one line.

        Example:
            >>> import numpy as np
            >>> from tf_gru_addon.weights import GRUWeights
            >>> GRUWeights(np.ones((3, 6)), np.ones((2, 6)), None, False).describe()
            '3 features, 2 units, reset before, no bias, float64, 30 parameters'
        """
        if self.bias is None:
            bias = "no bias"
        else:
            bias = "two biases a gate" if self.reset_after else "one bias a gate"
        reset = "after" if self.reset_after else "before"
        return (
            f"{self.features} features, {self.units} units, reset {reset}, {bias}, "
            f"{self.dtype}, {self.parameters} parameters"
        )


def _own_copy(value: Any, name: str) -> np.ndarray:
    """Returns a validated, read-only copy in native byte order and C order."""
    array = finite_array(value, name)
    array = np.array(array, dtype=array.dtype.name, order="C", copy=True)
    array.setflags(write=False)
    return array
