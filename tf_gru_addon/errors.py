"""The errors of the whole package, and how their messages are written."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any


class TfGruAddonError(Exception):
    """The base of every error of this package: the message says what to do."""


class RunError(TfGruAddonError, RuntimeError):
    """Work that began well and cannot go on: a full disk, a loss that is NaN."""


class ExportError(TfGruAddonError, ValueError):
    """A model cannot be exported or streamed, or its export computes other numbers.

    Args:
        message: Names the layer, and says what is wrong and what to do.
        report: The `export.ParityReport` of an export that was written but differs from
            its model; None if nothing was written.
    """

    def __init__(self, message: str, report: Any = None):
        super().__init__(message)
        self.report = report


#: What colours a terminal's text.
_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def without_colours(text: str) -> str:
    """Returns a text without the codes that Keras and PyTorch put in for terminals."""
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
    """Returns the names that were meant, as a sentence and all of them.

    Example:
        >>> did_you_mean("epohcs", ["epochs", "seed"])
        "Did you mean 'epochs'? Known: epochs, seed."
    """
    known = list(known)
    lowered = {name.lower(): name for name in reversed(known)}
    word = word.lower() if isinstance(word, str) else ""
    close = difflib.get_close_matches(word, lowered, n=1)
    guess = f"Did you mean {lowered[close[0]]!r}? " if close else ""
    return f"{guess}Known: {', '.join(known)}."
