"""What reading the arrays of any format comes down to: checks, and the gates' order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tf_gru_addon.weights.errors import WeightsError

DTYPES = ("float16", "float32", "float64")


def finite_array(value: Any, name: str) -> np.ndarray:
    """Returns an array, checked to be of finite floating-point numbers.

    Args:
        value: Whatever NumPy makes an array of.
        name: What the format calls it, for the errors.

    Raises:
        WeightsError: It is no array, or of another dtype, or a number in it is infinite
            or not a number.
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
    """Returns the arrays of the expected names, in that order, if there are no others.

    Args:
        given: The arrays by name.
        expected: The names that there must be.
        what: What has these arrays, for the errors.

    Raises:
        WeightsError: One is missing or surplus, or is not an array of finite numbers.
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
        name: What the format calls it.
        shape: The shape it must have; None is any size but 0.
        words: The shape in words: "(features, 3 * units)".

    Raises:
        WeightsError: It has another.
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
    """Returns the units of an array that holds several gates side by side.

    Raises:
        WeightsError: Its size along the axis is no multiple of the gates.
    """
    size = array.shape[axis] if array.ndim >= max(1, -axis, axis + 1) else 0
    if not size or size % gates:
        raise WeightsError(
            f"{name} must have {gates} * units in axis {axis}; received the shape "
            f"{array.shape}."
        )
    return size // gates


def swap_gates(array: np.ndarray, axis: int = -1) -> np.ndarray:
    """Returns the gates z, r, h in the order r, z, h, or these in that of those."""
    first, second, candidate = np.split(array, 3, axis=axis)
    return np.concatenate([second, first, candidate], axis=axis)


def natural(name: str) -> list[str | int]:
    """Returns a key to sort names by, with the numbers in them as numbers.

    Example:
        >>> from tf_gru_addon.weights.arrays import natural
        >>> sorted(["cell_10", "cell_2", "cell_1"], key=natural)
        ['cell_1', 'cell_2', 'cell_10']
    """
    parts = re.split(r"([0-9]{1,18})", name)
    return [int(part) if index % 2 else part for index, part in enumerate(parts)]
