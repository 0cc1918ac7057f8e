"""The errors of the whole package, and a sentence that errors share."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class TfGruAddonError(Exception):
    """The base of every error of this package: the message says what to do."""


class RunError(TfGruAddonError, RuntimeError):
    """Work that began well and cannot go on: a full disk, a loss that is NaN."""


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
