"""The commands that write a trained model for deployment."""

from __future__ import annotations

import pkgutil
import sys
import typing
from pathlib import Path
from typing import Any

from absl import flags

from tf_gru_addon.cli.command import Flag, command

if typing.TYPE_CHECKING:
    import keras
    import numpy as np


def _targets() -> list[str]:
    """Returns the names of the targets' modules, without importing TensorFlow."""
    folder = Path(__file__).parents[1] / "export" / "targets"
    return [module.name for module in pkgutil.iter_modules([str(folder)])]


@command(
    Flag("workdir", "the folder of a finished run, or"),
    Flag("model", "a .keras file"),
    Flag(
        "format",
        "what to write",
        flags.DEFINE_enum,
        "saved_model",
        choices=_targets,
    ),
    Flag(
        "streaming",
        "write one timestep, with its states as inputs and outputs",
        flags.DEFINE_boolean,
        False,
    ),
    Flag("output", "the file or folder to write", required=True),
    Flag(
        "examples",
        "an .npz file of inputs to compare on: one array for each model input, by "
        "name, or one array per example",
    ),
    Flag(
        "only_examples",
        "compare on --examples instead of random inputs",
        flags.DEFINE_boolean,
        False,
    ),
    Flag(
        "tolerance",
        "the largest error allowed, unless rounding alone makes a larger one",
        flags.DEFINE_float,
    ),
)
def export(
    *,
    workdir: str | None,
    model: str | None,
    format: str,
    streaming: bool,
    output: str,
    examples: str | None,
    only_examples: bool,
    tolerance: float | None,
) -> None:
    """Write a trained model for deployment, and compare the two."""
    from tf_gru_addon.errors import ExportError
    from tf_gru_addon.export import export_streaming
    from tf_gru_addon.export.parity import require_new
    from tf_gru_addon.export.targets import target_of
    from tf_gru_addon.export.whole import export_whole

    if (workdir is None) == (model is None):
        raise ExportError("export needs either --workdir or --model.")
    target = target_of(format)
    require_new(output)
    loaded, options = _load_run(workdir) if workdir else _load_file(model or "")
    if examples is not None:
        keep = {} if only_examples else options.get("examples", {})
        options["examples"] = {**keep, **_examples(examples, loaded)}
    options["only_examples"] = only_examples
    if tolerance is not None:
        options["tolerance"] = tolerance
    try:
        if streaming:
            report = export_streaming(loaded, output, target, **options)
        else:
            report = export_whole(target, loaded, output, **options)
    except ExportError as error:
        if error.report is not None:
            print(error.report)
        raise
    print(report)
    print(
        f"{output}: written; it differs from the trained model by "
        f"{report.max_error:.1e} (allowed: {report.allowed:.0e})"
    )


@command(
    Flag("workdir", "the folder of a finished run", required=True),
    Flag("output", "the folder to write", required=True),
)
def deploy(*, workdir: str, output: str) -> None:
    """Write a trained model in every form, and measure each on the test data."""
    from tf_gru_addon.training.deploy import deploy as write_all
    from tf_gru_addon.training.deployment import print_deployment

    print_deployment(write_all(workdir, output), output)


def _load_run(workdir: str) -> tuple[keras.Model, dict[str, Any]]:
    """Returns the model of a run, and its export options."""
    from tf_gru_addon.training.evaluate import load_run
    from tf_gru_addon.training.workdir import Workdir

    config, model, splits = load_run(Workdir(workdir))
    examples = {"the test data": [splits["test"].frames]}
    return model, {"examples": examples, "tolerance": config.export.tolerance}


def _load_file(path: str) -> tuple[keras.Model, dict[str, Any]]:
    """Returns the model in a .keras file, and no options; warns of omitted classes."""
    from tf_gru_addon.export.keras_files import load_keras_file

    model, left_out = load_keras_file(path)
    if left_out:
        print(
            f"warning: {path}: left out, because they are unknown here and not used in "
            "inference: "
            f"{', '.join(left_out)}",
            file=sys.stderr,
        )
    return model, {}


def _examples(path: str, model: keras.Model) -> dict[str, list[np.ndarray]]:
    """Returns the examples in an .npz file, as an argument for the exports."""
    from tf_gru_addon.errors import ExportError
    from tf_gru_addon.flat_model import flat_model
    from tf_gru_addon.reading import boundary
    from tf_gru_addon.reading.zip_file import open_npz

    what = "--examples must be an .npz file of arrays"
    with boundary(path, ExportError, what), open_npz(path) as file:
        arrays = dict(file)
    names = [tensor.name for tensor in flat_model(model).inputs]
    if set(arrays) == set(names):
        return {path: [arrays[name] for name in names]}
    if len(names) > 1 or not arrays:
        raise ExportError(
            f"{path}: --examples must contain the arrays {', '.join(names)}, one for "
            f"each model input; it contains {', '.join(arrays) or 'none'}."
        )
    return {name: [array] for name, array in arrays.items()}
