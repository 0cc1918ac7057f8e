"""A SavedModel of a trained model, checked by loading it again."""

from __future__ import annotations

import contextlib
import io
import os
import typing
from pathlib import Path
from typing import Any

import numpy as np

from tf_gru_addon.files import whole, writing
from tf_gru_addon.training.errors import RunError, WorkdirError
from tf_gru_addon.training.workdir import Workdir

if typing.TYPE_CHECKING:
    import keras

_BATCH = 256  # sequences at a time, whatever the size of the data


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
        the test data, and "tolerance", what it may be.

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
        {'max_difference': ..., 'tolerance': 1e-05}
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
        sequences: what to compare the numbers on, `(batch, timesteps, features)`.
        tolerance: the largest difference allowed; of numbers above 1, relative.

    Returns:
        "max_difference" and "tolerance".

    Raises:
        RunError: it cannot be written, or the numbers differ; `path` is as it was.
    """
    with whole(path) as unfinished:
        with contextlib.redirect_stdout(io.StringIO()):  # Keras describes its artifact
            model.export(unfinished)
        difference = _difference(model, unfinished, sequences)
        if not difference <= tolerance:  # so that NaN fails too
            raise RunError(
                f"{path}: the reloaded SavedModel differs from the trained model by "
                f"{difference:.2g} on the test data; `export.tolerance` is "
                f"{tolerance:.2g}. It was not put in place."
            )
    return {"max_difference": difference, "tolerance": tolerance}


def _difference(model: keras.Model, path: Path, sequences: np.ndarray) -> float:
    import tensorflow as tf

    # Held by a name: what was loaded lives no longer than the object that holds it.
    loaded = tf.saved_model.load(str(path))
    differences = []
    for start in range(0, len(sequences), _BATCH):
        batch = sequences[start : start + _BATCH]
        expected = np.asarray(model(batch, training=False))
        received = np.asarray(loaded.serve(batch))
        scale = np.maximum(1.0, np.abs(expected))
        differences.append(np.max(np.abs(received - expected) / scale))
    return float(np.max(differences))
