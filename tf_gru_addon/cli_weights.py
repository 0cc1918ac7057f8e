"""The commands for files of weights, and for models of older frameworks."""

from __future__ import annotations

import functools
import os
import re
import typing
from pathlib import Path

from absl import flags

from tf_gru_addon.errors import printable

if typing.TYPE_CHECKING:
    from tf_gru_addon.weights import GRULayer, WeightsFile

#: The format that a file is written in, by the end of its name.
_FORMATS = {
    ".npz": "npz",
    ".pt": "torch",
    ".pth": "torch",
    ".safetensors": "torch",
    ".onnx": "onnx",
    ".ckpt": "tf1",
    ".weights.h5": "keras3",
    ".h5": "keras2",
    ".hdf5": "keras2",
}
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


def define_inspect(values: flags.FlagValues) -> None:
    """Defines the flags of `inspect`."""
    _define_reset_after(values)


def inspect(values: flags.FlagValues, path: str) -> None:
    """Prints what GRUs a file holds."""
    from tf_gru_addon.weights import inspect_weights
    from tf_gru_addon.weights.errors import arguments_as_flags

    with arguments_as_flags():
        file = inspect_weights(path, reset_after=values.reset_after)
    order = f"gates in the order {file.gate_order}"
    print(f"{printable(path)}: {file.format}, {order if file.grus else 'no GRU'}")
    if file.grus:
        print(_table(file))
    if unknown := sorted({key for keys in file.unstated.values() for key in keys}):
        flags_ = " and ".join(f"--{key}" for key in unknown)
        print(f"?: the file does not state it; convert takes {flags_}.")


def define_convert(values: flags.FlagValues) -> None:
    """Defines the flags of `convert`."""
    text = "which GRU, if there are several; given again, or with *, joined to a stack"
    flags.DEFINE_multi_string("name", [], text, values)
    flags.DEFINE_enum(
        "format",
        None,
        sorted({*_FORMATS.values(), "cudnn_gru"}),
        "what to write, if the name of OUT does not say it",
        values,
    )
    text = "the file of model.to_json(), where IN is an old Keras' weights alone"
    flags.DEFINE_string("architecture", None, text, values)
    text = "of the candidate, where IN does not state it (tanh)"
    flags.DEFINE_string("activation", None, text, values)
    text = "of the gates, where IN does not state it"
    flags.DEFINE_string("recurrent_activation", None, text, values)
    _define_reset_after(values)


def convert(values: flags.FlagValues, source: str, target: str) -> None:
    """Writes GRUs of a file in another format, and reads what was written back.

    Where OUT contains `{name}`, each GRU is written to a file of its own.
    """
    from tf_gru_addon.weights import WeightsError, inspect_weights
    from tf_gru_addon.weights.errors import arguments_as_flags
    from tf_gru_addon.weights.files import chosen

    if Path(target).suffix == ".keras" and values.format is None:
        from tf_gru_addon import layers as layers  # registers them

        _convert_model(source, target, values.architecture)
        return
    if values.architecture is not None:
        raise WeightsError(
            f"--architecture is for a whole model, and {target} is to hold weights. "
            "End its name with .keras."
        )
    form = values.format or _format_of(target)
    if form is None:
        raise WeightsError(
            f"{target}: its name does not say what to write. End it with one of "
            f"{', '.join(_FORMATS)}, .keras, or give --format."
        )
    if os.path.lexists(target):  # before a long conversion, and again after it
        raise FileExistsError(f"{target} exists already. Choose another name.")
    with arguments_as_flags():
        file = inspect_weights(source, reset_after=values.reset_after)
        names = values["name"].value
        if "{name}" not in target:
            _write(values, source, file, names or None, target, form)
            return
        try:
            names = chosen(file, names or ["*"])
        except WeightsError as error:
            raise WeightsError(f"{source}: {error}") from error
        targets = [target.replace("{name}", _file_name(name)) for name in names]
        for path in targets:
            if targets.count(path) > 1 or os.path.lexists(path):
                raise FileExistsError(
                    f"{path} exists already, or two GRUs would be written to it. "
                    "Choose another name, or write them one by one with --name."
                )
        for name, path in zip(names, targets, strict=True):
            _write(values, source, file, name, path, form)


def _format_of(target: str) -> str | None:
    ends = [end for end in _FORMATS if target.endswith(end)]
    return _FORMATS[max(ends, key=len)] if ends else None


def _file_name(name: str) -> str:
    """Returns a GRU's name without what cannot stand in a file's."""
    return re.sub(r"[^\w.-]+", "_", name)


def _write(
    values: flags.FlagValues,
    source: str,
    file: WeightsFile,
    name: str | list[str] | None,
    target: str,
    form: str,
) -> None:
    from tf_gru_addon.weights import WeightsError
    from tf_gru_addon.weights.files import chosen, stack_of
    from tf_gru_addon.weights.write_files import write_and_read_back

    keys = ("activation", "recurrent_activation", "reset_after")
    given = {key: values[key].value for key in keys}
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
    if assumed and values.activation is None:
        print("  activation: tanh, as IN does not state one and none is given")
    _print_activations_left_out(stack, form)


def _print_activations_left_out(stack: tuple[GRULayer, ...], form: str) -> None:
    """Says which activations whoever loads the file has to know."""
    if form not in ("keras2", "keras3", "tf1"):
        return
    kinds = {(layer.activation, layer.recurrent_activation) for layer in stack}
    for activation, recurrent_activation in sorted(kinds - {("tanh", "sigmoid")}):
        print(
            "  the file does not state activations; load it into a GRU of "
            f"activation={activation!r}, recurrent_activation={recurrent_activation!r}"
        )


def _convert_model(source: str, target: str, architecture: str | None) -> None:
    """Writes a whole model of an older Keras as a Keras 3 file, and runs both."""
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
            1e-6,
        )
        if not comparison.passed:
            raise WeightsError(
                f"{target}: loaded again, it {comparison.reason}. It was not "
                "put in place."
            )
    print(
        f"{target}: {model.count_params():,} parameters; loaded again, it is the same"
    )


def _define_reset_after(values: flags.FlagValues) -> None:
    text = "the convention of a Keras GRU without a bias, whose file does not show it"
    flags.DEFINE_boolean("reset_after", None, text, values)


def _table(file: WeightsFile) -> str:
    rows = [_COLUMNS]
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
