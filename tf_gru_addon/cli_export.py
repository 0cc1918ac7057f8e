"""The commands that write a trained model for where it runs."""

from __future__ import annotations

import typing
import zipfile
from pathlib import Path
from typing import Any

from absl import flags

if typing.TYPE_CHECKING:
    import keras


def define_export(values: flags.FlagValues) -> None:
    """Defines the flags of `export`."""
    flags.DEFINE_string("workdir", None, "the folder of a finished run, or", values)
    flags.DEFINE_string("model", None, "a .keras file", values)
    flags.DEFINE_string(
        "format", "saved_model", "what to write: saved_model, onnx, litert", values
    )
    flags.DEFINE_boolean(
        "streaming", False, "one step, whose states go in and out", values
    )
    flags.DEFINE_string("output", None, "the file or folder to write", values)


def export(values: flags.FlagValues) -> None:
    """Writes a model, and prints how it compares with what it was made of."""
    from tf_gru_addon.export.errors import ExportError
    from tf_gru_addon.export.parity import require_new
    from tf_gru_addon.export.targets import target_of

    if (values.workdir is None) == (values.model is None):
        raise ExportError("export needs either --workdir or --model.")
    target = target_of(values.format, streaming=values.streaming)
    require_new(values.output)
    model, options = _run(values.workdir) if values.workdir else _file(values.model)
    try:
        report = target.export(model, values.output, **options)
    except ExportError as error:
        if error.report is not None:
            print(error.report)
        raise
    print(report)
    print(
        f"{values.output}: written; it differs from the trained model by "
        f"{report.max_error:.1e} (allowed: {report.tolerance:.0e})"
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
    if not Path(path).exists():
        raise FileNotFoundError(f"{path}: there is no such file.")
    from tf_gru_addon.export.errors import ExportError

    if Path(path).suffix != ".keras" or not zipfile.is_zipfile(path):
        raise ExportError(
            f"{path}: not a .keras file. Save the model with model.save('NAME.keras')."
        )
    import keras

    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True), {}
    except Exception as error:  # damage, and layers of others, show in many ways
        raise ExportError(f"{path}: cannot be loaded: {error}") from error
