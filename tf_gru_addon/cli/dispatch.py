"""The command line: `tf-gru-addon train --config ... --workdir ...`.

A command is an entry of `COMMANDS`: its flags and what it does. Flags live in a
`FlagValues` of their own, so that importing this module leaves absl's global one alone.
What a command needs is imported when it runs, so that help is quick and needs no extra.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from absl import flags

from tf_gru_addon.cli import export, weights
from tf_gru_addon.errors import RunError, TfGruAddonError, did_you_mean
from tf_gru_addon.quiet_start import hide_notices
from tf_gru_addon.version import __version__


@dataclass(frozen=True)
class Command:
    """A command.

    Attributes:
        summary: what it does, in a sentence.
        define: defines its flags.
        required: the flags that must be given.
        run: does it: takes the flags, and the arguments.
        arguments: the names of what stands on the command line without a flag.
        is_light: whether it starts without TensorFlow and the layers, and imports them
            itself where it needs them.
    """

    summary: str
    define: Callable[[flags.FlagValues], None]
    required: tuple[str, ...]
    run: Callable[..., None]
    arguments: tuple[str, ...] = ()
    is_light: bool = False


class UsageError(TfGruAddonError, ValueError):
    """The command line is not understood."""


def _define_train(values: flags.FlagValues) -> None:
    flags.DEFINE_string(
        "config", None, "the config file; with --resume, that of the run", values
    )
    flags.DEFINE_multi_string(
        "set", [], "change a key: --set training.epochs=5", values
    )
    flags.DEFINE_string("workdir", None, "the folder to write to", values)
    flags.DEFINE_boolean("resume", False, "go on with the run in --workdir", values)


def _train(values: flags.FlagValues) -> None:
    from tf_gru_addon.config import load_config
    from tf_gru_addon.config.load import named

    path, overrides = values["config"].value, values["set"].value
    if path is None and values.resume:
        path = os.path.join(values.workdir, "config.yaml")
        if not os.path.exists(path):
            raise UsageError(
                f"{values.workdir}: there is no run to resume. Give --config."
            )
    elif path is None:
        raise UsageError("train needs --config (or --resume).")
    config = load_config(path, overrides)
    from tf_gru_addon.training import train
    from tf_gru_addon.training.report import print_report

    with named(path, overrides):
        metrics = train(config, values.workdir, resume=values.resume)
    print_report(metrics, values.workdir)


def _define_evaluate(values: flags.FlagValues) -> None:
    flags.DEFINE_string("workdir", None, "the folder of a finished run", values)


def _evaluate(values: flags.FlagValues) -> None:
    from tf_gru_addon.training import evaluate
    from tf_gru_addon.training.report import print_report

    print_report(evaluate(values.workdir), values.workdir)


COMMANDS = {
    "train": Command(
        "Train what a config describes.",
        _define_train,
        ("workdir",),
        _train,
        is_light=True,
    ),
    "evaluate": Command(
        "Measure a trained model again.", _define_evaluate, ("workdir",), _evaluate
    ),
    "export": Command(
        "Write a trained model for where it runs, and compare the two.",
        export.define_export,
        ("output",),
        export.export,
    ),
    "deploy": Command(
        "Write a trained model in every form, and measure each on the test data.",
        export.define_deploy,
        ("workdir", "output"),
        export.deploy,
    ),
    "inspect": Command(
        "Say what GRUs a file of weights holds.",
        weights.define_inspect,
        (),
        weights.inspect,
        ("FILE",),
        is_light=True,
    ),
    "convert": Command(
        "Write the weights of a GRU in another format, or an old model as .keras.",
        weights.define_convert,
        (),
        weights.convert,
        ("IN", "OUT"),
        is_light=True,
    ),
}


def main(arguments: Sequence[str]) -> int:
    """Does what a command line says.

    Args:
        arguments: the command line, without the program's name.

    Returns:
        The exit code: 0 if all went well, 1 if a run failed, 2 if what was asked for
        cannot be done.
    """
    try:
        return _dispatch(arguments)
    except KeyboardInterrupt:
        hint = "; `train --resume` goes on" if arguments[:1] == ["train"] else ""
        print(f"interrupted{hint}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 0  # what reads the output, such as `head`, has seen enough
    except Exception as error:
        code = _exit_code(error)
        if code is None:
            raise
        print(f"error: {error}", file=sys.stderr)
        return code


def run() -> None:
    """Runs the command line of this process, and exits."""
    hide_notices()
    warnings.formatwarning = lambda message, *_: f"warning: {message}\n"
    code = main(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # which Python would report when it exits
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


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
    command.define(values)
    if "--help" in rest or "-h" in rest:
        print(_command_help(name, command, values))
        return 0
    try:
        _, *given = values([name, *rest])
    except flags.Error as error:
        problem = str(error)
        stop = "" if problem.endswith((".", "?")) else "."
        raise UsageError(
            f"{problem}{stop} See `{program_name()} {name} --help`."
        ) from error
    count = len(command.arguments)
    missing = [*command.arguments[len(given) :]]
    missing += [f"--{flag}" for flag in command.required if values[flag].value is None]
    if given[count:] or missing:
        wrong = f"takes no {given[count]!r}" if given[count:] else f"needs {missing[0]}"
        raise UsageError(f"{name} {wrong}. See `{program_name()} {name} --help`.")
    if not command.is_light:
        # Registers them for the models to load, or says what must be installed.
        from tf_gru_addon import layers as layers
    command.run(values, *given)
    return 0


def _exit_code(error: Exception) -> int | None:
    """Returns the exit code of an error that a user can act on; None for any other."""
    if isinstance(error, (FileNotFoundError, FileExistsError, ImportError)):
        return 2
    if isinstance(error, (RunError, OSError)):
        return 1
    if not isinstance(error, TfGruAddonError):
        return None
    # An export that was written, and differs from its model, has a report.
    return 2 if getattr(error, "report", None) is None else 1


def program_name() -> str:
    """Returns what was typed to start this process."""
    is_module = os.path.basename(sys.argv[0]) == "__main__.py"
    return "python -m tf_gru_addon" if is_module else "tf-gru-addon"


def _help() -> str:
    program = program_name()
    lines = [f"usage: {program} COMMAND [--flag ...]", "", "commands:"]
    lines += [f"  {name:10} {command.summary}" for name, command in COMMANDS.items()]
    return "\n".join([*lines, "", f"{program} COMMAND --help lists a command's flags."])


def _command_help(name: str, command: Command, values: flags.FlagValues) -> str:
    usage = " ".join([name, *command.arguments])
    lines = [
        f"usage: {program_name()} {usage} [--flag ...]",
        "",
        command.summary,
        "",
        "flags:",
    ]
    width = max((len(flag) for flag in values), default=0)
    for flag in values:
        text = " ".join(values[flag].help.split())  # absl breaks some into lines
        needed = " (required)" if flag in command.required else ""
        lines.append(f"  --{flag:{width}}  {text}{needed}")
    return "\n".join(lines)
