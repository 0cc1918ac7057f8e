"""The error of this package, and "did you mean"."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ConfigError(ValueError):
    """Something in a config that cannot be used.

    Args:
        where: the place, as a path of keys: `model.layers[2].GRU.units`.
        problem: what was expected, what was received, what to do.
    """

    def __init__(self, where: str, problem: str):
        super().__init__(f"{where}: {problem}" if where else problem)
        self.where = where
        self.problem = problem


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """Returns the names that were meant, as a sentence and all of them.

    Example:
        >>> did_you_mean("epohcs", ["epochs", "seed"])
        "Did you mean 'epochs'? Known: epochs, seed."
    """
    known = list(known)
    lowered = {name.lower(): name for name in reversed(known)}
    close = difflib.get_close_matches(str(word).lower(), lowered, n=1)
    guess = f"Did you mean {lowered[close[0]]!r}? " if close else ""
    return f"{guess}Known: {', '.join(known)}."


def shown(value: object) -> str:
    """Returns a value and its type, cut short, for "got ..." in an error."""
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({type(value).__name__})"
