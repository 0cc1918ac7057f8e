"""The error of this package, and the words of its messages."""

from __future__ import annotations

import contextlib
import reprlib
from collections.abc import Iterator

from tf_gru_addon.errors import TfGruAddonError


class ConfigError(TfGruAddonError, ValueError):
    """Something in a config that cannot be used.

    Args:
        where: the place, as a path of keys: `model.layers[2].GRU.units`.
        problem: what was expected, what was received, what to do.
        source: the file that the place is in, where that is known.
    """

    def __init__(self, where: str, problem: str, source: str = ""):
        super().__init__(": ".join(filter(None, (source, where, problem))))
        self.where = where
        self.problem = problem
        self.source = source


def refusals() -> tuple[type[Exception], ...]:
    """Returns what Keras and TensorFlow raise for a model that they cannot run."""
    import tensorflow as tf

    plain = (TypeError, ValueError, LookupError, ArithmeticError, MemoryError)
    return (*plain, NotImplementedError, tf.errors.OpError)


@contextlib.contextmanager
def refused(where: str, problem: str) -> Iterator[None]:
    """Names the place when Keras or TensorFlow refuses what a config asks for.

    Args:
        where: the place, as a path of keys.
        problem: what is refused; the reason follows.

    Raises:
        ConfigError: it was refused.
    """
    try:
        yield
    except refusals() as error:
        raise ConfigError(where, f"{problem}: {error}") from error


class _Repr(reprlib.Repr):
    """Looks at no more of a value than it shows."""

    def __init__(self):
        super().__init__()
        self.maxlevel = self.maxdict = 3
        self.maxstring = self.maxlong = self.maxother = 60

    def repr_int(self, x: int, level: int) -> str:
        # Python refuses to write thousands of decimal digits, but not hexadecimal ones.
        return repr(x) if x.bit_length() < 200 else f"{x:#x}"


_repr = _Repr().repr


def short(value: object) -> str:
    """Returns a value as Python writes it, cut short."""
    text = _repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def shown(value: object) -> str:
    """Returns a value, cut short, and its type, for "got ..." in an error."""
    return f"{short(value)} ({type(value).__name__})"
