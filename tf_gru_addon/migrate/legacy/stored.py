"""An array in a file."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Stored(NamedTuple):
    """An array in a file, that is not read until it is needed.

    Attributes:
        name: Its name in the file.
        shape: Its shape.
        dtype: Its dtype.
        read: Reads it.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[], np.ndarray]

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)
