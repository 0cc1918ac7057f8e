"""The registry of commands.

A command is a function under `@command`: its docstring's first line is the command's
help, its positional parameters are the arguments, its keywords are the flags. A module
that defines commands is listed in `MODULES`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from absl import flags

#: The modules of this package that define commands, in the order of the help.
MODULES = ("runs", "export", "weights")


@dataclass(frozen=True)
class Flag:
    """A flag of a command.

    Attributes:
        name: The flag without its dashes; also the keyword that gets its value.
        help: What it means, for `--help`.
        define: The absl function that defines a flag of its type.
        default: Its value if it is not given.
        required: Whether it must be given.
        choices: Returns the values allowed, for `define=flags.DEFINE_enum`. It is
            called only when its command runs, so it may import what it needs.
    """

    name: str
    help: str
    define: Callable[..., Any] = flags.DEFINE_string
    default: Any = None
    required: bool = False
    choices: Callable[[], Iterable[str]] | None = None

    def add_to(self, values: flags.FlagValues) -> None:
        """Defines the flag in `values`, and not in absl's global flags."""
        choices = [] if self.choices is None else [list(self.choices())]
        self.define(self.name, self.default, *choices, self.help, flag_values=values)


@dataclass(frozen=True)
class Command:
    """A command.

    Attributes:
        run: The function; takes the arguments by position and the flags by keyword.
        flags: Its flags.
        arguments: The names of its arguments, for help and errors.
        is_light: Whether it starts without TensorFlow and this package's layers, and
            imports them itself where it needs them.
    """

    run: Callable[..., None]
    flags: tuple[Flag, ...] = ()
    arguments: tuple[str, ...] = ()
    is_light: bool = False

    @property
    def summary(self) -> str:
        """What the command does, in one sentence."""
        return (inspect.getdoc(self.run) or "").partition("\n")[0]


#: The commands by name.
COMMANDS: dict[str, Command] = {}


def command(
    *flags: Flag, arguments: Iterable[str] = (), is_light: bool = False
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Makes a function the command of its name.

    Args:
        *flags: The command's flags.
        arguments: The names of its arguments, in upper case.
        is_light: Whether it starts without TensorFlow; see `Command`.

    Returns:
        The decorator; it returns the function unchanged.

    Example:
        >>> from tf_gru_addon.cli.command import COMMANDS, Flag, command
        >>> @command(Flag("name", "whom to greet", default="you"))
        ... def greet(*, name):
        ...     "Print a greeting."
        ...     print(f"Good morning, {name}.")
        >>> COMMANDS.pop("greet").summary
        'Print a greeting.'
    """

    def register(function: Callable[..., None]) -> Callable[..., None]:
        entry = Command(function, flags, tuple(arguments), is_light)
        COMMANDS[function.__name__] = entry
        return function

    return register
