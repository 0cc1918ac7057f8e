"""Checks of the arrays of any format, and the natural order of names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tf_gru_addon.weights.errors import WeightsError

DTYPES = ("float16", "float32", "float64")


def finite_array(value: Any, name: str) -> np.ndarray:
    """Returns a value as an array of finite floating-point numbers.

    Args:
        value: An array, or anything that NumPy converts to one.
        name: Its name in the format, for the errors.

    Raises:
        WeightsError: It is not an array, its dtype is not float16, float32 or float64,
            or it contains an infinity or a NaN.
    """
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:
        raise WeightsError(f"{name} must be an array ({error}).") from error
    if array.dtype.name not in DTYPES:
        raise WeightsError(
            f"{name} must be {', '.join(DTYPES[:-1])} or {DTYPES[-1]}; received "
            f"{array.dtype}. Cast the arrays first (bfloat16 to float32 is exact)."
        )
    if not np.isfinite(array).all():
        place = np.argwhere(~np.isfinite(array))[0].tolist()
        raise WeightsError(
            f"{name} must be finite; {name}{place} is {array[tuple(place)]}."
        )
    return array


def arrays_named(
    given: Mapping[str, Any], expected: Iterable[str], what: str
) -> list[np.ndarray]:
    """Returns the arrays of the expected names, in that order.

    Args:
        given: The arrays by name.
        expected: The names; no others may be given.
        what: The owner of the arrays, for the errors: "flax.nnx.GRUCell".

    Raises:
        WeightsError: An array is missing, surplus, or not one of finite numbers.
    """
    expected = list(expected)
    missing = [name for name in expected if name not in given]
    surplus = sorted(name for name in given if name not in expected)
    for problem, names in (("lacks", missing), ("has the surplus", surplus)):
        if names:
            raise WeightsError(
                f"{what} {problem} {', '.join(map(str, names))}. Expected "
                f"{', '.join(expected)}; received {', '.join(map(str, given))}."
            )
    return [finite_array(given[name], name) for name in expected]


def expect_shape(
    array: np.ndarray, name: str, shape: tuple[int | None, ...], words: str
) -> None:
    """Checks a shape.

    Args:
        array: The array.
        name: Its name in the format.
        shape: The expected shape; None stands for any size except 0.
        words: The shape in words: "(features, 3 * units)".

    Raises:
        WeightsError: The array has another shape.
    """
    if len(array.shape) == len(shape) and all(
        size == wanted or (wanted is None and size)
        for size, wanted in zip(array.shape, shape, strict=True)
    ):
        return
    known = ", ".join("?" if size is None else str(size) for size in shape)
    known += "," if len(shape) == 1 else ""
    raise WeightsError(
        f"{name} must have the shape {words}, here ({known}); received {array.shape}."
    )


def units_of(array: np.ndarray, name: str, gates: int, axis: int = -1) -> int:
    """Returns the units of an array in which gates are concatenated.

    Args:
        array: The array.
        name: Its name in the format.
        gates: The number of gates.
        axis: The axis along which they are concatenated.

    Raises:
        WeightsError: The size of the axis is not a multiple of `gates`.
    """
    size = array.shape[axis] if array.ndim >= max(1, -axis, axis + 1) else 0
    if not size or size % gates:
        raise WeightsError(
            f"{name} must have the size {gates} * units in axis {axis}; received the "
            f"shape {array.shape}."
        )
    return size // gates


def natural(name: str) -> list[str | int]:
    """Returns a sort key that compares the numbers in names as numbers.

    Example:
        >>> from tf_gru_addon.weights.arrays import natural
        >>> sorted(["cell_10", "cell_2", "cell_1"], key=natural)
        ['cell_1', 'cell_2', 'cell_10']
    """
    parts = re.split(r"([0-9]{1,18})", name)
    return [int(part) if index % 2 else part for index, part in enumerate(parts)]
