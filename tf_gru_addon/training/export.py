"""A SavedModel of a trained model, checked by loading it again."""

from __future__ import annotations

import os
import typing
from pathlib import Path
from typing import Any

import numpy as np

from tf_gru_addon.export import ExportError, saved_model
from tf_gru_addon.files import whole, writing
from tf_gru_addon.training.errors import RunError, WorkdirError
from tf_gru_addon.training.workdir import Workdir

if typing.TYPE_CHECKING:
    import keras


def export(workdir: str | os.PathLike, output: str | os.PathLike) -> dict[str, Any]:
    """Exports the trained model of a run.

    The SavedModel loads with TensorFlow alone: `tf.saved_model.load(output).serve(x)`
    takes float32 `(batch, timesteps, features)`, any number of both, padded with the
    `data.padding_value` of the config.

    Args:
        workdir: the folder of a finished run.
        output: the folder to write; it must not exist.

    Returns:
        "max_difference", of the exported model's numbers from the trained model's on
        the test data; "tolerance", what it may be; and "allowed", what it may be where
        rounding explains more.

    Raises:
        WorkdirError: there is no finished run in the folder, or `output` exists.
        RunError: `output` cannot be written, or the numbers differ.

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
    config, model, parts = load_run(Workdir(workdir))
    with writing(output):
        output.parent.mkdir(parents=True, exist_ok=True)
    return export_saved_model(
        model, output, parts["test"].frames, config.export.tolerance
    )


def export_saved_model(
    model: keras.Model, path: Path, sequences: np.ndarray, tolerance: float
) -> dict[str, float]:
    """Writes a SavedModel, and puts it in place if it gives the model's numbers.

    Args:
        model: the trained model.
        path: the folder to write, replaced if there.
        sequences: what to compare the numbers on besides random sequences, `(batch,
            timesteps, features)`.
        tolerance: the largest difference allowed; of numbers above 1, relative.

    Returns:
        "max_difference", "tolerance" and "allowed".

    Raises:
        RunError: it cannot be written, or the numbers differ; `path` is as it was.
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
