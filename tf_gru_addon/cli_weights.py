"""The commands for files of weights, and for models of older frameworks."""

from __future__ import annotations

import os
import typing
from pathlib import Path

from absl import flags

if typing.TYPE_CHECKING:
    from tf_gru_addon.weights import WeightsFile

#: The format that a file is written in, by the end of its name.
_FORMATS = {
    ".npz": "npz",
    ".pt": "torch",
    ".pth": "torch",
    ".safetensors": "torch",
    ".onnx": "onnx",
    ".ckpt": "tf1",
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

    file = inspect_weights(path, reset_after=values.reset_after)
    print(f"{path}: {file.format}, gates in the order {file.gate_order}")
    print(_table(file))


def define_convert(values: flags.FlagValues) -> None:
    """Defines the flags of `convert`."""
    flags.DEFINE_string("name", None, "which GRU, if there are several", values)
    flags.DEFINE_enum(
        "format",
        None,
        sorted({*_FORMATS.values(), "cudnn_gru"}),
        "what to write, if the name of OUT does not say it",
        values,
    )
    text = "of the candidate, where IN does not hold it"
    flags.DEFINE_string("activation", None, text, values)
    text = "of the gates, where IN does not hold it"
    flags.DEFINE_string("recurrent_activation", None, text, values)
    _define_reset_after(values)


def convert(values: flags.FlagValues, source: str, target: str) -> None:
    """Writes the GRU of a file in another format, and reads it back."""
    from tf_gru_addon.weights import WeightsError, read_weights, write_weights

    if Path(target).suffix == ".keras" and values.format is None:
        from tf_gru_addon import layers as layers  # registers them

        _convert_model(source, target)
        return
    form = values.format or _FORMATS.get(Path(target).suffix)
    if form is None:
        raise WeightsError(
            f"{target}: its name does not say what to write. End it with one of "
            f"{', '.join(_FORMATS)}, .keras, or give --format."
        )
    if os.path.lexists(target):  # before a long conversion, and again after it
        raise FileExistsError(f"{target} exists already. Choose another name.")
    stack = read_weights(
        source,
        values["name"].value,
        activation=values.activation,
        recurrent_activation=values.recurrent_activation,
        reset_after=values.reset_after,
    )
    write_weights(target, stack, form)
    layers = "1 layer" if len(stack) == 1 else f"{len(stack)} layers"
    print(f"{target}: {form}, {layers}; read back, it holds the same weights")


def _convert_model(source: str, target: str) -> None:
    """Writes a whole model of an older Keras as a Keras 3 file, and runs both."""
    import keras

    from tf_gru_addon.export.examples import example_inputs, run_model
    from tf_gru_addon.export.parity import compare, flat_model, new_output, require_new
    from tf_gru_addon.migrate.legacy import load_legacy_model
    from tf_gru_addon.weights import WeightsError

    require_new(target)
    flat = flat_model(model := load_legacy_model(source))
    with new_output(target) as unfinished:
        model.save(unfinished)
        again = flat_model(keras.models.load_model(unfinished))
        errors = compare(
            lambda arrays: run_model(flat, arrays),
            lambda arrays: run_model(again, arrays),
            example_inputs(flat),
        )
        error = max(error for _, error in errors)
        if not error <= 1e-6:
            raise WeightsError(
                f"{target}: the model differs by {error:.2g} when it is loaded again. "
                "It was not put in place."
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
            kinds = f"{layer.activation}, {layer.recurrent_activation}"
            for way in ("forward", "backward"):
                if (weights := getattr(layer, way)) is None:
                    continue
                biases = 0 if weights.bias is None else weights.bias.ndim
                row = (
                    name,
                    index,
                    way,
                    weights.features,
                    weights.units,
                    "after" if weights.reset_after else "before",
                    ("none", "one a gate", "two a gate")[biases],
                    kinds if file.activations_known else "not in the file",
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
