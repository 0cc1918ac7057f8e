"""The error of this part of the package, and checks that raise it."""

from __future__ import annotations

import contextlib
import reprlib
from collections.abc import Iterator
from typing import Any

from tf_gru_addon.errors import TfGruAddonError, without_colours

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 80


class LegacyModelError(TfGruAddonError, ValueError):
    """A model file that cannot be loaded.

    The message says which file and layer, what was expected, what was received, and
    what to do.
    """


def short(value: Any) -> str:
    """Returns a value as Python writes it, cut short."""
    return _short.repr(value)


def expect(value: Any, kind: type | tuple[type, ...], what: str) -> Any:
    """Returns `value`; LegacyModelError unless it is of the type `kind`."""
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        names = " or ".join(_NAMES.get(k, k.__name__) for k in kinds)
        raise LegacyModelError(
            f"{what} must be {names}; the file has {short(value)}. The file is "
            "damaged, or was not written by Keras."
        )
    return value


_NAMES = {
    dict: "a JSON object",
    list: "a list",
    str: "text",
    int: "a whole number",
    bool: "true or false",
}


@contextlib.contextmanager
def building(what: str) -> Iterator[None]:
    """Names the layer when Keras or TensorFlow refuses to make or to call it."""
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
