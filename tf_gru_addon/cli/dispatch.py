"""Parses a command line and runs its command.

A command imports what it needs when it runs, so help starts fast and needs no extra.
"""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from collections.abc import Sequence

from absl import flags

from tf_gru_addon.cli.command import COMMANDS, MODULES, Command
from tf_gru_addon.cli.errors import UsageError
from tf_gru_addon.errors import Error, RunError, did_you_mean
from tf_gru_addon.quiet_start import hide_notices
from tf_gru_addon.version import __version__

for _module in MODULES:
    importlib.import_module(f"tf_gru_addon.cli.{_module}")


def main(arguments: Sequence[str]) -> int:
    """Runs a command line.

    Args:
        arguments: The command line, without the program's name.

    Returns:
        The exit code: 0 on success, 1 if a run failed, 2 if the request cannot be
        carried out as given, 130 if the user interrupted it.
    """
    try:
        return _dispatch(arguments)
    except KeyboardInterrupt:
        hint = "; `train --resume` continues it" if arguments[:1] == ["train"] else ""
        print(f"interrupted{hint}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 0  # the reader of the output, such as `head`, has closed the pipe
    except Exception as error:
        code = _exit_code(error)
        if code is None:
            raise
        print(f"error: {error}", file=sys.stderr)
        return code


def run() -> None:
    """Runs the command line of this process, and exits."""
    hide_notices()
    warnings.formatwarning = lambda message, *_args, **_kwargs: f"warning: {message}\n"
    code = main(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # Python would report it on exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def program_name() -> str:
    """Returns what the user typed to start this process."""
    is_module = os.path.basename(sys.argv[0]) == "__main__.py"
    return "python -m tf_gru_addon" if is_module else "tf-gru-addon"


def _dispatch(arguments: Sequence[str]) -> int:
    if not arguments or arguments[0] in ("help", "--help", "-h"):
        print(_help())
        return 0 if arguments else 2
    if arguments[0] == "--version":
        print(f"tf_gru_addon {__version__}")
        return 0
    name, *rest = arguments
    if name not in COMMANDS:
        raise UsageError(f"{name!r} is not a command. {did_you_mean(name, COMMANDS)}")
    command = COMMANDS[name]
    values = flags.FlagValues()
    for flag in command.flags:
        flag.add_to(values)
    if "--help" in rest or "-h" in rest:
        print(_command_help(name, command, values))
        return 0
    see = f"See `{program_name()} {name} --help`."
    try:
        _, *given = values([name, *rest])
    except flags.Error as error:
        problem = str(error)
        stop = "" if problem.endswith((".", "?")) else "."
        raise UsageError(f"{problem}{stop} {see}") from error
    chosen = {flag.name: values[flag.name].value for flag in command.flags}
    missing = [*command.arguments[len(given) :]]
    required = (flag.name for flag in command.flags if flag.required)
    missing += [f"--{flag}" for flag in required if chosen[flag] is None]
    if extra := given[len(command.arguments) :]:
        raise UsageError(f"{name} takes no {extra[0]!r}. {see}")
    if missing:
        raise UsageError(f"{name} needs {missing[0]}. {see}")
    if not command.is_light:
        # Registers the layers for models to load, or says what must be installed.
        from tf_gru_addon import layers as layers
    command.run(*given, **chosen)
    return 0


def _exit_code(error: Exception) -> int | None:
    """Returns the exit code of an error that a user can act on; None for any other."""
    if isinstance(error, (FileNotFoundError, FileExistsError, ImportError)):
        return 2
    if isinstance(error, (RunError, OSError)):
        return 1
    if not isinstance(error, Error):
        return None
    # An export that was written but differs from its model carries a report.
    return 2 if getattr(error, "report", None) is None else 1


def _help() -> str:
    program = program_name()
    lines = [f"usage: {program} COMMAND [--flag ...]", "", "commands:"]
    lines += [f"  {name:10} {command.summary}" for name, command in COMMANDS.items()]
    return "\n".join([*lines, "", f"{program} COMMAND --help lists a command's flags."])


def _command_help(name: str, command: Command, values: flags.FlagValues) -> str:
    usage = " ".join([program_name(), name, *command.arguments])
    lines = [f"usage: {usage} [--flag ...]", "", command.summary, "", "flags:"]
    width = max((len(flag.name) for flag in command.flags), default=0)
    for flag in command.flags:
        text = " ".join(str(values[flag.name].help).split())  # absl wraps lines
        needed = " (required)" if flag.required else ""
        lines.append(f"  --{flag.name:{width}}  {text}{needed}")
    return "\n".join(lines)
