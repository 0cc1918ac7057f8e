"""The kinds of values that a config can give as arguments of a layer.

A kind checks a plain value from YAML and turns it into an argument. Numbers and flags
are `Plain`; an argument that is itself written as a name with arguments is a `Catalog`.
For safety, no kind imports a module, looks up a registered object or deserialises one:
a config can express only what these kinds accept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from tf_gru_addon.config.errors import ConfigError, shown
from tf_gru_addon.errors import did_you_mean


class Kind(Protocol):
    """Checks a value from a config, and converts it to an argument."""

    def check(self, value: Any, where: str) -> Any:
        """Returns the value in the form that a resolved config has.

        Raises:
            ConfigError: The value is not of this kind.
        """
        ...

    def make(self, value: Any, where: str) -> Any:
        """Returns the argument that a checked value stands for."""
        ...


@dataclass(frozen=True)
class Plain:
    """Values that are passed on unchanged."""

    expected: str
    accepts: Callable[[Any], bool]

    def check(self, value: Any, where: str) -> Any:
        """Returns the value."""
        if not self.accepts(value):
            raise ConfigError(where, f"expected {self.expected}; got {shown(value)}.")
        return value

    def make(self, value: Any, where: str) -> Any:
        """Returns the value."""
        return value


@dataclass(frozen=True)
class Choice:
    """One of a few words."""

    words: tuple[str, ...]
    or_none: bool = False

    def check(self, value: Any, where: str) -> Any:
        """Returns the word."""
        if value is None and self.or_none:
            return value
        if not isinstance(value, str) or value not in self.words:
            known = did_you_mean(value, self.words)
            raise ConfigError(where, f"expected a name; got {shown(value)}. {known}")
        return value

    def make(self, value: Any, where: str) -> Any:
        """Returns the word."""
        return value


@dataclass(frozen=True)
class Many:
    """A list of one kind, with at least one entry."""

    kind: Kind

    def check(self, value: Any, where: str) -> Any:
        """Returns the list."""
        if not isinstance(value, list) or not value:
            raise ConfigError(
                where, f"expected a list with at least one entry; got {shown(value)}."
            )
        return [self.kind.check(v, f"{where}[{i}]") for i, v in enumerate(value)]

    def make(self, value: Any, where: str) -> Any:
        """Returns the list of the entries' arguments."""
        return [self.kind.make(v, f"{where}[{i}]") for i, v in enumerate(value)]


FLOAT32_MAX = (2 - 2**-23) * 2.0**127


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**31


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and (
        not isinstance(value, bool) and abs(value) <= FLOAT32_MAX
    )


FLAG = Plain("true or false", lambda value: isinstance(value, bool))
TEXT = Plain("text", lambda value: isinstance(value, str) and value != "")
WHOLE = Plain("a whole number below 2147483648", _is_whole)
COUNT = Plain(
    "a whole number from 1 to 2147483647", lambda value: _is_whole(value) and value >= 1
)
SEED = Plain(
    "a whole number from 0 to 2147483647", lambda value: _is_whole(value) and value >= 0
)
NUMBER = Plain("a number that float32 holds", _is_number)
RATE = Plain(
    "a number from 0 to 1", lambda value: _is_number(value) and 0 <= value <= 1
)
ACTIVATION = Choice(
    (
        *("elu", "exponential", "gelu", "hard_sigmoid", "leaky_relu", "linear", "mish"),
        *("relu", "relu6", "selu", "sigmoid", "silu", "softmax", "softplus"),
        *("softsign", "tanh"),
    ),
    or_none=True,  # linear
)
