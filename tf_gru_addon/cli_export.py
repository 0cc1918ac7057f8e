"""The commands that write a trained model for where it runs."""

from __future__ import annotations

import sys
import typing
from typing import Any

from absl import flags

from tf_gru_addon.reading import boundary
from tf_gru_addon.reading.zip_file import open_npz

if typing.TYPE_CHECKING:
    import keras


def define_export(values: flags.FlagValues) -> None:
    """Defines the flags of `export`."""
    flags.DEFINE_string("workdir", None, "the folder of a finished run, or", values)
    flags.DEFINE_string("model", None, "a .keras file", values)
    from tf_gru_addon.export.targets import targets

    text = f"what to write: {', '.join(targets())}"
    flags.DEFINE_string("format", "saved_model", text, values)
    flags.DEFINE_boolean(
        "streaming", False, "one step, whose states go in and out", values
    )
    flags.DEFINE_string("output", None, "the file or folder to write", values)
    text = "an .npz file of inputs to compare on: arrays named as the model's inputs"
    flags.DEFINE_string("examples", None, f"{text}, or one array an example", values)
    text = "compare on --examples instead of random inputs"
    flags.DEFINE_boolean("only_examples", False, text, values)
    text = "the largest error allowed where rounding does not explain more"
    flags.DEFINE_float("tolerance", None, text, flag_values=values)


def export(values: flags.FlagValues) -> None:
    """Writes a model, and prints how it compares with what it was made of."""
    from tf_gru_addon.errors import ExportError
    from tf_gru_addon.export import export_streaming
    from tf_gru_addon.export.parity import require_new
    from tf_gru_addon.export.targets import target_of
    from tf_gru_addon.export.whole import export_whole

    if (values.workdir is None) == (values.model is None):
        raise ExportError("export needs either --workdir or --model.")
    target = target_of(values.format)
    require_new(values.output)
    model, options = _run(values.workdir) if values.workdir else _file(values.model)
    if values.examples is not None:
        given = _examples(values.examples, model)
        keep = {} if values.only_examples else options.get("examples", {})
        options["examples"] = {**keep, **given}
    options["only_examples"] = values.only_examples
    if values.tolerance is not None:
        options["tolerance"] = values.tolerance
    try:
        if values.streaming:
            report = export_streaming(model, values.output, target, **options)
        else:
            report = export_whole(target, model, values.output, **options)
    except ExportError as error:
        if error.report is not None:
            print(error.report)
        raise
    print(report)
    print(
        f"{values.output}: written; it differs from the trained model by "
        f"{report.max_error:.1e} (allowed: {report.allowed:.0e})"
    )


def define_deploy(values: flags.FlagValues) -> None:
    """Defines the flags of `deploy`."""
    flags.DEFINE_string("workdir", None, "the folder of a finished run", values)
    flags.DEFINE_string("output", None, "the folder to write", values)


def deploy(values: flags.FlagValues) -> None:
    """Writes a run's model in every form, and prints how each does on the test data."""
    from tf_gru_addon.training.deploy import deploy as write_all
    from tf_gru_addon.training.deploy import print_deployment

    print_deployment(write_all(values.workdir, values.output), values.output)


def _run(workdir: str) -> tuple[keras.Model, dict[str, Any]]:
    """Returns the model of a run, and the options to export it with."""
    from tf_gru_addon.training.evaluate import load_run
    from tf_gru_addon.training.workdir import Workdir

    config, model, parts = load_run(Workdir(workdir))
    examples = {"the test data": [parts["test"].frames]}
    return model, {"examples": examples, "tolerance": config.export.tolerance}


def _file(path: str) -> tuple[keras.Model, dict[str, Any]]:
    """Returns the model in a file, and no options."""
    from tf_gru_addon.export.keras_files import load_keras_file

    model, left_out = load_keras_file(path)
    if left_out:
        print(
            f"warning: {path}: left out, as unknown here and of no use in inference: "
            f"{', '.join(left_out)}",
            file=sys.stderr,
        )
    return model, {}


def _examples(path: str, model: keras.Model) -> dict[str, list]:
    """Returns the examples in an .npz file, as the exports take them."""
    from tf_gru_addon.errors import ExportError
    from tf_gru_addon.flat_model import flat_model

    what = "--examples must be an .npz file of arrays"
    with boundary(path, ExportError, what), open_npz(path) as file:
        arrays = dict(file)
    names = [tensor.name for tensor in flat_model(model).inputs]
    if set(arrays) == set(names):
        return {path: [arrays[name] for name in names]}
    if len(names) > 1 or not arrays:
        raise ExportError(
            f"{path}: --examples must hold the arrays {', '.join(names)}, as the "
            f"model's inputs are named; it holds {', '.join(arrays) or 'none'}."
        )
    return {name: [array] for name, array in arrays.items()}
