"""The error of this part of the package, and how its messages are written."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from contextvars import ContextVar

from tf_gru_addon.errors import TfGruAddonError, printable

_LINES = re.compile(r"\s*\n\s*")
_SPELLING = ContextVar("spelling", default="{}=")


class WeightsError(TfGruAddonError, ValueError):
    """Weights that cannot be used, or that a format cannot hold.

    The message says which array or file, what was expected, what was received, and
    what to do. It is one line of printable text, whatever a file's names hold.
    """

    def __init__(self, message: str):
        super().__init__(printable(_LINES.sub(" ", message)))


def argument(name: str) -> str:
    """Returns an argument as the caller writes it: `name=`, or `--name`."""
    return _SPELLING.get().format(name)


@contextlib.contextmanager
def arguments_as_flags() -> Iterator[None]:
    """Has messages name flags of the command line in place of Python's arguments."""
    token = _SPELLING.set("--{}")
    try:
        yield
    finally:
        _SPELLING.reset(token)
