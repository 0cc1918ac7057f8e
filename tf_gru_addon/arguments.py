"""Checks of arguments, with one form of error.

Each check returns the argument as a plain Python value, or raises a ValueError that
names the argument, what was expected and what was received. NumPy scalars count as the
numbers and booleans that they are; text never counts as either.
"""

from __future__ import annotations

import numbers
import operator
import os
import reprlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

#: Shows no more of a value than a line.
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
    """Returns an integer of at least `minimum`; a boolean is none.

    Args:
        name: What the argument is called.
        value: The argument.
        minimum: The smallest that is allowed.
        expected: What the error says instead of "an integer of at least ...".
    """
    try:
        result = operator.index(value)
    except TypeError:
        result = None
    if result is None or isinstance(value, bool | np.bool_) or result < minimum:
        raise _refuse(
            name, expected or f"an integer of at least {minimum}", value
        ) from None
    return result


def number(
    name: str,
    value: Any,
    minimum: float,
    maximum: float = float("inf"),
    expected: str | None = None,
) -> float:
    """Returns a finite number between two bounds, which are allowed themselves.

    Args:
        name: What the argument is called.
        value: The argument.
        minimum: The smallest that is allowed.
        maximum: The largest.
        expected: What the error says instead of "a finite number of at least ...".
    """
    plain = isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_)
    if not (plain and minimum <= value <= maximum and abs(value) != float("inf")):
        upper = "" if maximum == float("inf") else f" and at most {maximum}"
        default = f"a finite number of at least {minimum}{upper}"
        raise _refuse(name, expected or default, value)
    return float(value)


def converted(name: str, convert: Callable[[Any], Any], value: Any, what: str) -> Any:
    """Returns what `convert` makes of the argument, such as `keras.initializers.get`.

    Args:
        name: What the argument is called.
        convert: Raises a ValueError or a TypeError on what it does not understand.
        value: The argument.
        what: What the argument may be the name, the config or an object of.
    """
    try:
        return convert(value)
    except (TypeError, ValueError) as error:
        expected = f"the name or the config of {what}, or one itself"
        raise _refuse(name, expected, value) from error


def path(name: str, value: Any) -> Path:
    """Returns a path, of text or of a path object."""
    if isinstance(value, str | os.PathLike) and os.fspath(value) != "":
        result = os.fspath(value)
        if isinstance(result, str) and "\0" not in result:
            return Path(result)
    raise _refuse(name, "a path: text that is not empty, or a pathlib.Path", value)


def mapping(name: str, value: Any, expected: str) -> Mapping[Any, Any]:
    """Returns a dict, or what is like one.

    Args:
        name: What the argument is called.
        value: The argument.
        expected: What the error says that it must be.
    """
    if not isinstance(value, Mapping):
        raise _refuse(name, expected, value)
    return value


def sequence(name: str, value: Any, expected: str) -> Sequence[Any]:
    """Returns a list, or what is like one; text is not.

    Args:
        name: What the argument is called.
        value: The argument.
        expected: What the error says that it must be.
    """
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise _refuse(name, expected, value)
    return value


def text(name: str, value: Any) -> str:
    """Returns a text that is not empty."""
    if not isinstance(value, str) or not value:
        raise _refuse(name, "text that is not empty", value)
    return value


def array(name: str, value: Any, dtype: Any) -> np.ndarray:
    """Returns an array of a dtype that holds the numbers given.

    Numbers keep their kind: fractions become no integers, and complex numbers no real
    ones. As booleans count booleans, and integers that are 0 or 1.

    Args:
        name: What the argument is called.
        value: The argument: an array, or what `numpy.asarray` takes.
        dtype: The dtype.
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
        holds = np.isin(result, (0, 1)).all()
    if result.dtype.kind in "OSUMmc" or not holds:
        raise ValueError(
            f"{name} must be an array of {dtype.name}; received one of "
            f"{result.dtype.name}."
        )
    return result.astype(dtype)
