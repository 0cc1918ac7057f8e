"""The error of the legacy loader, and the checks that raise it."""

from __future__ import annotations

import contextlib
import reprlib
from collections.abc import Iterator
from typing import Any

from tf_gru_addon.errors import Error, without_colours

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 80

_NAMES = {
    dict: "a JSON object",
    list: "a list",
    str: "text",
    int: "a whole number",
    bool: "true or false",
}


class LegacyModelError(Error, ValueError):
    """A model file that cannot be loaded.

    The message names the file and the layer, and says what was expected, what was
    received and what to do.
    """


def short(value: Any) -> str:
    """Returns the repr of a value, shortened for a message."""
    return _short.repr(value)


def expect(value: Any, kind: type | tuple[type, ...], what: str) -> Any:
    """Returns a value after checking its type.

    Args:
        value: A value from a file.
        kind: The expected type, or a tuple of types. `int` excludes booleans.
        what: What the value is, for the message.

    Raises:
        LegacyModelError: The value has another type.
    """
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        names = " or ".join(_NAMES.get(k, k.__name__) for k in kinds)
        raise LegacyModelError(
            f"{what} must be {names}; the file has {short(value)}. The file is "
            "damaged, or was not written by Keras."
        )
    return value


@contextlib.contextmanager
def building(what: str) -> Iterator[None]:
    """Turns errors of Keras and TensorFlow into a LegacyModelError that names a layer.

    Args:
        what: The layer that is constructed or called, for the message.

    Raises:
        LegacyModelError: Keras or TensorFlow refused.
    """
    import tensorflow as tf

    refusals = (
        *(TypeError, ValueError, LookupError, ArithmeticError, AttributeError),
        *(MemoryError, RuntimeError, tf.errors.OpError),
    )
    try:
        yield
    except LegacyModelError:
        raise
    except refusals as error:
        text = without_colours(str(error))
        raise LegacyModelError(f"{what} cannot be built: {text}") from error
