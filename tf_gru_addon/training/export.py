"""Exports a trained model as a SavedModel, and verifies it."""

from __future__ import annotations

import os
import typing
from pathlib import Path
from typing import Any

import numpy as np

from tf_gru_addon.export import ExportError
from tf_gru_addon.export.targets import saved_model
from tf_gru_addon.files import whole, writing
from tf_gru_addon.training.errors import RunError, WorkdirError
from tf_gru_addon.training.workdir import Workdir

if typing.TYPE_CHECKING:
    import keras


def export(
    workdir: str | os.PathLike[str], output: str | os.PathLike[str]
) -> dict[str, Any]:
    """Exports the trained model of a run.

    The SavedModel loads with TensorFlow alone: `tf.saved_model.load(output).serve(x)`
    takes float32 `(batch, timesteps, features)` with any batch size and number of
    timesteps, padded with the config's `data.padding_value`.

    Args:
        workdir: The folder of a finished run.
        output: The folder to write; it must not exist.

    Returns:
        "max_difference", the largest difference between the outputs of the exported
        and the trained model on the test data; "tolerance", the limit that the config
        sets; and "allowed", the limit used, which is larger if rounding explains more.

    Raises:
        WorkdirError: There is no finished run in the folder, or `output` exists.
        RunError: `output` cannot be written, or the outputs differ.

    Example:
        >>> from tf_gru_addon import load_config
        >>> from tf_gru_addon.training import train
        >>> config = load_config("configs/tiny.yaml", ["training.epochs=1"])
        >>> trained = train(config, "runs/tiny")
        epoch 1/1  ...
        >>> export("runs/tiny", "served/tiny")
        {'max_difference': ..., 'tolerance': 1e-05, 'allowed': 1e-05}
    """
    from tf_gru_addon.training.evaluate import load_run

    output = Path(output)
    if output.exists():
        raise WorkdirError(f"{output}: exists already. Choose another --output.")
    config, model, splits = load_run(Workdir(workdir))
    with writing(output):
        output.parent.mkdir(parents=True, exist_ok=True)
    return export_saved_model(
        model, output, splits["test"].frames, config.export.tolerance
    )


def export_saved_model(
    model: keras.Model, path: Path, sequences: np.ndarray, tolerance: float
) -> dict[str, float]:
    """Writes a SavedModel, and keeps it if its outputs match the model's.

    Args:
        model: The trained model.
        path: The folder to write; an existing one is replaced.
        sequences: Inputs to compare on besides random ones, `(batch, timesteps,
            features)`.
        tolerance: The largest difference allowed, relative for outputs above 1.

    Returns:
        "max_difference", "tolerance" and "allowed"; see `export`.

    Raises:
        RunError: It cannot be written, or the outputs differ; `path` is unchanged.
    """
    with whole(path) as unfinished:
        try:
            report = saved_model.export_saved_model(
                model,
                unfinished,
                tolerance=tolerance,
                examples={"the test data": [sequences]},
                beside_keras=False,
            )
        except ExportError as error:
            if error.report is None:
                raise
            raise RunError(
                f"{path}: the reloaded SavedModel {error.report.comparison.reason}; "
                f"`export.tolerance` is {tolerance:.2g}. It was not put in place."
            ) from error
    return {
        "max_difference": report.max_error,
        "tolerance": tolerance,
        "allowed": report.allowed,
    }
