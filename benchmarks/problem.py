"""The problem that every candidate solves: one GRU on one batch of sequences."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Shape(NamedTuple):
    """The sizes of a problem."""

    batch: int
    timesteps: int
    features: int
    units: int

    def __str__(self) -> str:
        return ", ".join(map(str, self))

    def flops(self) -> int:
        """Returns the floating-point operations in a forward pass' matrix products."""
        B, T, F, U = self
        return 2 * B * T * (F + U) * 3 * U


#: The shapes for which matrix products take most of the time.
LARGE = [Shape(32, 100, 64, 128), Shape(64, 100, 128, 256), Shape(128, 50, 256, 512)]
SHAPES = [
    *LARGE,
    Shape(1, 500, 64, 128),
    Shape(8, 20, 32, 32),
    Shape(256, 30, 40, 96),
    Shape(17, 53, 37, 61),
    Shape(1, 1, 64, 128),
]


class Problem(NamedTuple):
    """A GRU with `reset_after`, sigmoid and tanh, and its inputs.

    Attributes:
        inputs: (batch, timesteps, features).
        kernel: (features, 3 * units), with the gates in Keras' order z, r, h.
        recurrent_kernel: (units, 3 * units).
        bias: (2, 3 * units): input biases, recurrent biases.
        upstream: The gradient of the outputs, (batch, timesteps, units).
    """

    inputs: np.ndarray
    kernel: np.ndarray
    recurrent_kernel: np.ndarray
    bias: np.ndarray
    upstream: np.ndarray

    @property
    def shape(self) -> Shape:
        """The sizes."""
        return Shape(*self.inputs.shape, self.upstream.shape[2])

    @property
    def weights(self) -> list[np.ndarray]:
        """The weights, in Keras' order."""
        return [self.kernel, self.recurrent_kernel, self.bias]


def problem(shape: Shape) -> Problem:
    """Returns the problem of a shape; it is the same in every call."""
    B, T, F, U = shape
    random = np.random.default_rng(1729)

    def normal(*sizes, scale=1.0):
        return (scale * random.standard_normal(sizes)).astype(np.float32)

    return Problem(
        inputs=normal(B, T, F),
        kernel=normal(F, 3 * U, scale=F**-0.5),
        recurrent_kernel=normal(U, 3 * U, scale=0.5 * U**-0.5),
        bias=normal(2, 3 * U, scale=0.1),
        upstream=normal(B, T, U),
    )


class Candidate(NamedTuple):
    """One way of computing a problem's outputs, or its gradients.

    Attributes:
        run: The computation to measure; it is already compiled.
        read: Converts the result of `run` to arrays in the problem's layouts: the
            outputs, or the gradients of inputs, kernel and recurrent kernel. None if
            the candidate computes nothing.
        overhead: The name of the empty candidate whose time is subtracted.
    """

    run: Callable[[], Any]
    read: Callable[[Any], list[np.ndarray]] | None
    overhead: str | None = None
