"""The commands for weight files, and for models of older frameworks."""

from __future__ import annotations

import functools
import os
import re
import typing
from pathlib import Path
from typing import Any

from absl import flags

from tf_gru_addon.cli.command import Flag, command
from tf_gru_addon.errors import printable

if typing.TYPE_CHECKING:
    from tf_gru_addon.weights import GRULayer, WeightsFile

_COLUMNS = (
    "GRU",
    "layer",
    "direction",
    "features",
    "units",
    "reset",
    "bias",
    "activations",
    "dtype",
    "parameters",
)


def _formats() -> list[str]:
    """Returns the formats that can be written."""
    from tf_gru_addon.weights.formats import written

    return sorted(written())


_RESET_AFTER = Flag(
    "reset_after",
    "the convention of a Keras GRU without a bias, whose file does not show it",
    flags.DEFINE_boolean,
)


@command(_RESET_AFTER, arguments=["FILE"], is_light=True)
def inspect(path: str, *, reset_after: bool | None) -> None:
    """Show the GRUs in a file of weights."""
    from tf_gru_addon.weights import inspect_weights
    from tf_gru_addon.weights.errors import arguments_as_flags

    with arguments_as_flags():
        file = inspect_weights(path, reset_after=reset_after)
    order = f"gates in the order {file.gate_order}"
    print(f"{printable(path)}: {file.format}, {order if file.grus else 'no GRU'}")
    if file.grus:
        print(_table(file))
    if unknown := sorted({key for keys in file.unstated.values() for key in keys}):
        names = " and ".join(f"--{key}" for key in unknown)
        print(f"?: the file does not state it; convert takes {names}.")


@command(
    Flag(
        "name",
        "which GRU, if there are several; repeated, or with *, several form a stack",
        flags.DEFINE_multi_string,
        [],
    ),
    Flag(
        "format",
        "what to write, if the name of OUT does not say it",
        flags.DEFINE_enum,
        choices=_formats,
    ),
    Flag("architecture", "the file of model.to_json(), if IN has only weights"),
    Flag("activation", "of the candidate, if IN does not state it (tanh)"),
    Flag("recurrent_activation", "of the gates, if IN does not state it"),
    _RESET_AFTER,
    arguments=["IN", "OUT"],
    is_light=True,
)
def convert(
    source: str,
    target: str,
    *,
    name: list[str],
    format: str | None,
    architecture: str | None,
    **given: Any,
) -> None:
    """Write the weights of a GRU in another format, or an old model as .keras.

    The command reads the written file back and compares. If OUT contains `{name}`, each
    GRU gets a file of its own.
    """
    from tf_gru_addon.weights import WeightsError, inspect_weights
    from tf_gru_addon.weights.errors import arguments_as_flags
    from tf_gru_addon.weights.files import chosen

    if Path(target).suffix == ".keras" and format is None:
        from tf_gru_addon import layers as layers  # registers them

        _convert_model(source, target, architecture)
        return
    if architecture is not None:
        raise WeightsError(
            f"--architecture is for a whole model, and {target} is to hold weights. "
            "End its name with .keras."
        )
    form = format or _format_of(target)
    if form is None:
        raise WeightsError(
            f"{target}: its name does not say what to write. End it with one of "
            f"{', '.join(_suffixes())}, .keras, or give --format."
        )
    if os.path.lexists(target):  # before a long conversion, and again after it
        raise FileExistsError(f"{target} exists already. Choose another name.")
    with arguments_as_flags():
        file = inspect_weights(source, reset_after=given["reset_after"])
        if "{name}" not in target:
            _write(given, source, file, name or None, target, form)
            return
        try:
            names = chosen(file, name or ["*"])
        except WeightsError as error:
            raise WeightsError(f"{source}: {error}") from error
        targets = [target.replace("{name}", _file_name(each)) for each in names]
        for path in targets:
            if targets.count(path) > 1 or os.path.lexists(path):
                raise FileExistsError(
                    f"{path} exists already, or two GRUs would be written to it. "
                    "Choose another name, or write them one by one with --name."
                )
        for each, path in zip(names, targets, strict=True):
            _write(given, source, file, each, path, form)


def _suffixes() -> dict[str, str]:
    """Returns the format that is written for each suffix of OUT."""
    from tf_gru_addon.weights.formats import written

    return {end: name for name, form in written().items() for end in form.suffixes}


def _format_of(target: str) -> str | None:
    suffixes = _suffixes()
    ends = [end for end in suffixes if target.endswith(end)]
    return suffixes[max(ends, key=len)] if ends else None


def _file_name(name: str) -> str:
    """Returns a GRU's name without the characters that a file's name cannot have."""
    return re.sub(r"[^\w.-]+", "_", name)


def _write(
    given: dict[str, Any],
    source: str,
    file: WeightsFile,
    name: str | list[str] | None,
    target: str,
    form: str,
) -> None:
    from tf_gru_addon.weights import WeightsError
    from tf_gru_addon.weights.files import chosen, stack_of
    from tf_gru_addon.weights.write_files import write_and_read_back

    try:
        names = chosen(file, name)
        stack = stack_of(file, names, given)
    except WeightsError as error:
        raise WeightsError(f"{source}: {error}") from error
    reader = write_and_read_back(target, stack, form)
    layers = "1 layer" if len(stack) == 1 else f"{len(stack)} layers"
    print(
        f"{target}: {form}, {layers}; read back by {reader}, it holds the same weights"
    )
    assumed = any("activation" in file.unstated.get(each, ()) for each in names)
    if assumed and given["activation"] is None:
        print("  activation: tanh, as IN does not state one and none is given")
    _print_activations_left_out(stack, form)


def _print_activations_left_out(stack: tuple[GRULayer, ...], form: str) -> None:
    """Prints the activations that the user must give when loading the file."""
    from tf_gru_addon.weights.formats import FORMATS

    if FORMATS[form].activations != "unstated":
        return
    kinds = {(layer.activation, layer.recurrent_activation) for layer in stack}
    for activation, recurrent_activation in sorted(kinds - {("tanh", "sigmoid")}):
        print(
            "  the file does not state activations; load it into a GRU of "
            f"activation={activation!r}, recurrent_activation={recurrent_activation!r}"
        )


def _convert_model(source: str, target: str, architecture: str | None) -> None:
    """Writes a whole model of an older Keras as a Keras 3 file, and compares them."""
    from tf_gru_addon.export.keras_files import load_keras_file
    from tf_gru_addon.export.parity import new_output, require_new
    from tf_gru_addon.flat_model import flat_model
    from tf_gru_addon.migrate.legacy import load_legacy_model
    from tf_gru_addon.verify import compare, example_inputs, run_model
    from tf_gru_addon.weights import WeightsError

    require_new(target)
    model = load_legacy_model(source, architecture=architecture)
    flat = flat_model(model)
    with new_output(target) as unfinished:
        model.save(unfinished)
        again = flat_model(load_keras_file(unfinished)[0])
        comparison = compare(
            functools.partial(run_model, flat),
            functools.partial(run_model, again),
            example_inputs(flat),
            flat,
        )
        if not comparison.passed:
            raise WeightsError(
                f"{target}: loaded again, it {comparison.reason}. It was not "
                "put in place."
            )
    print(
        f"{target}: {model.count_params():,} parameters; loaded again, it is the same"
    )


def _table(file: WeightsFile) -> str:
    rows: list[tuple[str, ...]] = [_COLUMNS]
    for name, stack in file.grus.items():
        for index, layer in enumerate(stack):
            for way in ("forward", "backward"):
                if (weights := getattr(layer, way)) is None:
                    continue
                biases = 0 if weights.bias is None else weights.bias.ndim
                row = (
                    printable(name),
                    index,
                    way,
                    weights.features,
                    weights.units,
                    "after" if weights.reset_after else "before",
                    ("none", "one a gate", "two a gate")[biases],
                    file.activations(name, layer),
                    weights.dtype,
                    f"{weights.parameters:,}",
                )
                rows.append(tuple(map(str, row)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(line.rstrip() for line in lines)
