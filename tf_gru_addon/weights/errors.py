"""The error of this part of the package, and how its messages are written."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from contextvars import ContextVar

from tf_gru_addon.errors import Error, printable

_LINES = re.compile(r"\s*\n\s*")
_SPELLING = ContextVar("spelling", default="{}=")


class WeightsError(Error, ValueError):
    """Weights that cannot be used, or that a format cannot hold.

    The message names the array or file, what was expected, what was received, and what
    to do. It is one line of printable text, even if names in a file contain others.
    """

    def __init__(self, message: str):
        super().__init__(printable(_LINES.sub(" ", message)))


def argument(name: str) -> str:
    """Returns an argument in the caller's spelling: `name=`, or `--name`."""
    return _SPELLING.get().format(name)


@contextlib.contextmanager
def arguments_as_flags() -> Iterator[None]:
    """Spells arguments in messages as flags of the command line."""
    token = _SPELLING.set("--{}")
    try:
        yield
    finally:
        _SPELLING.reset(token)
