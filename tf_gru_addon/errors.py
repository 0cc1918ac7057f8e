"""The base of the package's errors, and helpers for their messages."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any


class Error(Exception):
    """The base class of this package's errors; the message says what to do.

    A wrong argument of a layer or a function is a plain `ValueError` or `TypeError`.

    Example:
        >>> import tf_gru_addon
        >>> try:
        ...     tf_gru_addon.load_config("configs/tiny.yaml", ["training.epohcs=1"])
        ... except tf_gru_addon.Error as error:
        ...     print(type(error).__name__)
        ConfigError
    """


#: The name of `Error` in earlier versions.
TfGruAddonError = Error


class RunError(Error, RuntimeError):
    """Work that started and cannot continue: a full disk, say, or a loss of NaN."""


class ExportError(Error, ValueError):
    """A model cannot be exported or streamed, or its export computes other numbers.

    Args:
        message: Names the layer, and says what is wrong and what to do.
        report: The `export.ParityReport` of an export that was written but differs from
            its model; None if nothing was written.
    """

    def __init__(self, message: str, report: Any = None):
        super().__init__(message)
        self.report = report


#: A terminal's colour codes.
_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def without_colours(text: str) -> str:
    """Returns a text without the colour codes that Keras and PyTorch write."""
    return _COLOURS.sub("", text)


def printable(text: str) -> str:
    r"""Returns a text without colour codes, and with control characters escaped.

    Example:
        >>> from tf_gru_addon.errors import printable
        >>> printable("\x1b[31mgru\x1b[0m\n1")
        'gru\\n1'
    """
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode()
        for each in without_colours(text)
    )


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """Returns a hint for an unknown name: the closest known name, and all of them.

    Args:
        word: What was received; it need not be text.
        known: The names that are allowed.

    Example:
        >>> did_you_mean("epohcs", ["epochs", "seed"])
        "Did you mean 'epochs'? Known: epochs, seed."
    """
    names = list(known)
    lowered = {name.lower(): name for name in reversed(names)}
    lower = word.lower() if isinstance(word, str) else ""
    close = difflib.get_close_matches(lower, lowered, n=1)
    guess = f"Did you mean {lowered[close[0]]!r}? " if close else ""
    return f"{guess}Known: {', '.join(names)}."
