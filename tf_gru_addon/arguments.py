"""Checks of arguments, with uniform error messages.

Each check returns the argument as a plain Python value, or raises a ValueError that
names the argument, what was expected and what was received. NumPy scalars are accepted
as numbers and booleans; text never is.
"""

from __future__ import annotations

import contextlib
import numbers
import operator
import os
import reprlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

#: Truncates the repr of a value to about a line.
_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxlong = _REPR.maxother = 200


def _refuse(name: str, expected: str, value: Any) -> ValueError:
    return ValueError(f"{name} must be {expected}; received: {_REPR.repr(value)}.")


def boolean(name: str, value: Any) -> bool:
    """Returns True or False.

    Example:
        >>> from tf_gru_addon import arguments
        >>> arguments.boolean("use_bias", "False")
        Traceback (most recent call last):
        ...
        ValueError: use_bias must be True or False; received: 'False'.
    """
    if not isinstance(value, bool | np.bool_):
        raise _refuse(name, "True or False", value)
    return bool(value)


def integer(name: str, value: Any, minimum: int, expected: str | None = None) -> int:
    """Returns an integer of at least `minimum`; booleans are refused.

    Args:
        name: The argument's name, for the error.
        value: The argument.
        minimum: The smallest value allowed.
        expected: Replaces "an integer of at least ..." in the error.
    """
    result = None
    if not isinstance(value, bool | np.bool_):  # NumPy 1 warns of it as an index
        with contextlib.suppress(TypeError):
            result = operator.index(value)
    if result is None or result < minimum:
        raise _refuse(name, expected or f"an integer of at least {minimum}", value)
    return result


def number(
    name: str,
    value: Any,
    minimum: float,
    maximum: float = float("inf"),
    expected: str | None = None,
) -> float:
    """Returns a finite number between two inclusive bounds.

    Args:
        name: The argument's name, for the error.
        value: The argument.
        minimum: The smallest value allowed.
        maximum: The largest value allowed.
        expected: Replaces "a finite number of at least ..." in the error.
    """
    plain = isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_)
    if not (plain and minimum <= value <= maximum and abs(value) != float("inf")):
        upper = "" if maximum == float("inf") else f" and at most {maximum}"
        default = f"a finite number of at least {minimum}{upper}"
        raise _refuse(name, expected or default, value)
    return float(value)


def converted(name: str, convert: Callable[[Any], Any], value: Any, what: str) -> Any:
    """Returns `convert(value)`, where `convert` is like `keras.initializers.get`.

    Args:
        name: The argument's name, for the error.
        convert: The conversion; it raises a ValueError or a TypeError.
        value: The argument.
        what: What the argument describes, for the error: "a Keras initializer".
    """
    try:
        return convert(value)
    except (TypeError, ValueError) as error:
        expected = f"the name or the config of {what}, or one itself"
        refusal = _refuse(name, expected, value)
        # Only the library knows what is wrong in a config.
        raise (
            ValueError(f"{refusal} {error}") if isinstance(value, dict) else refusal
        ) from error


def path(name: str, value: Any) -> Path:
    """Returns a path, given text or a path object."""
    if isinstance(value, str | os.PathLike) and os.fspath(value) != "":
        result = os.fspath(value)
        if isinstance(result, str) and "\0" not in result:
            return Path(result)
    raise _refuse(name, "a path: text that is not empty, or a pathlib.Path", value)


def mapping(name: str, value: Any, expected: str) -> Mapping[Any, Any]:
    """Returns a dict, or another mapping.

    Args:
        name: The argument's name, for the error.
        value: The argument.
        expected: What the argument must be, for the error.
    """
    if not isinstance(value, Mapping):
        raise _refuse(name, expected, value)
    return value


def sequence(name: str, value: Any, expected: str) -> Sequence[Any]:
    """Returns a list, or another sequence; text is refused.

    Args:
        name: The argument's name, for the error.
        value: The argument.
        expected: What the argument must be, for the error.
    """
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise _refuse(name, expected, value)
    return value


def text(name: str, value: Any) -> str:
    """Returns non-empty text."""
    if not isinstance(value, str) or not value:
        raise _refuse(name, "text that is not empty", value)
    return value


def array(name: str, value: Any, dtype: Any) -> np.ndarray:
    """Returns an array converted to a dtype.

    A conversion that loses information in kind is refused: from fractions to integers,
    or from complex to real. Integers convert to booleans if they are all 0 or 1.

    Args:
        name: The argument's name, for the error.
        value: The argument: an array, or an object that `numpy.asarray` accepts.
        dtype: The dtype to convert to.
    """
    dtype = np.dtype(dtype)
    try:
        result = np.asarray(value)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name} must be an array of {dtype.name}; received something else: {error}"
        ) from None
    truths = dtype.kind == "b" and result.dtype.kind in "iu"
    holds = np.can_cast(result.dtype, dtype, "same_kind")
    if truths:
        holds = bool(np.isin(result, (0, 1)).all())
    if result.dtype.kind in "OSUMmc" or not holds:
        raise ValueError(
            f"{name} must be an array of {dtype.name}; received one of "
            f"{result.dtype.name}."
        )
    return result.astype(dtype)
