"""The error for configs, and helpers for its messages."""

from __future__ import annotations

import contextlib
import reprlib
from collections.abc import Iterator

from tf_gru_addon.errors import Error


class ConfigError(Error, ValueError):
    """A config that cannot be used.

    Args:
        where: The key concerned, as a path: `model.layers[2].GRU.units`.
        problem: What was expected, what was received, what to do.
        source: The config's file, if known.
    """

    def __init__(self, where: str, problem: str, source: str = ""):
        super().__init__(": ".join(filter(None, (source, where, problem))))
        self.where = where
        self.problem = problem
        self.source = source


def refusals() -> tuple[type[Exception], ...]:
    """Returns the exceptions that Keras and TensorFlow raise for an invalid model."""
    import tensorflow as tf

    plain = (TypeError, ValueError, LookupError, ArithmeticError, MemoryError)
    return (*plain, NotImplementedError, tf.errors.OpError)


@contextlib.contextmanager
def refused(where: str, problem: str) -> Iterator[None]:
    """Turns errors of Keras and TensorFlow into a `ConfigError` that names the key.

    Args:
        where: The key concerned, as a path.
        problem: What failed; the library's reason follows it in the message.

    Raises:
        ConfigError: Keras or TensorFlow raised an error.
    """
    try:
        yield
    except refusals() as error:
        raise ConfigError(where, f"{problem}: {error}") from error


class _Repr(reprlib.Repr):
    """Formats only as much of a value as it shows, however large the value is."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = self.maxdict = 3
        self.maxstring = self.maxlong = self.maxother = 60

    def repr_int(self, x: int, level: int) -> str:
        # Python limits the length of decimal numbers, but not of hexadecimal ones.
        return repr(x) if x.bit_length() < 200 else f"{x:#x}"


_repr = _Repr().repr


def short(value: object) -> str:
    """Returns the repr of a value, truncated to 60 characters."""
    text = _repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def shown(value: object) -> str:
    """Returns the truncated repr of a value and its type, for "got ..." in an error."""
    return f"{short(value)} ({type(value).__name__})"
