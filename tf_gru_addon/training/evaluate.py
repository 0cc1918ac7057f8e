"""Evaluates a model on each split of the data: training, validation, test."""

from __future__ import annotations

import os
import typing
from collections.abc import Mapping
from typing import Any

from tf_gru_addon.datasets import Sequences
from tf_gru_addon.reading.keras_file import check_keras_file
from tf_gru_addon.training.data import hold_out, load_data
from tf_gru_addon.training.errors import WorkdirError
from tf_gru_addon.training.workdir import Workdir

if typing.TYPE_CHECKING:
    import keras

    from tf_gru_addon.config import Config


def load_splits(config: Config) -> dict[str, Sequences]:
    """Loads the data of a config, as "train", "validation" (if any) and "test".

    Raises:
        FileNotFoundError: A file does not exist.
        DataError: A file cannot be used.
    """
    given, test = load_data(config.data)
    train, validation = hold_out(
        given, config.training.validation_fraction, config.training.seed
    )
    splits = {"train": train, "validation": validation, "test": test}
    return {name: split for name, split in splits.items() if split is not None}


def require_fit(model: keras.Model, splits: Mapping[str, Sequences]) -> None:
    """Checks that a model accepts the data.

    Raises:
        DataError: The number of features differs, or the model has no output for a
            label.
    """
    for name, split in splits.items():
        split.require(
            features=model.input_shape[-1],
            classes=model.output_shape[-1],
            source=f"the {name} data",
        )


def measure(
    model: keras.Model, splits: Mapping[str, Sequences], batch_size: int
) -> dict[str, dict[str, float]]:
    """Returns loss, accuracy and number of sequences, by split."""
    return {
        name: model.evaluate(
            split.frames,
            split.labels,
            batch_size=batch_size,
            verbose=0,
            return_dict=True,
        )
        | {"sequences": len(split)}
        for name, split in splits.items()
    }


def load_run(workdir: Workdir) -> tuple[Config, keras.Model, dict[str, Sequences]]:
    """Loads the config, the trained model and the data of a finished run.

    Raises:
        WorkdirError: There is no finished run in the folder.
        FileNotFoundError: A data file does not exist.
        DataError: A data file cannot be used.
    """
    config = workdir.load_config()
    import keras

    try:
        check_keras_file(workdir.model)
        model = keras.saving.load_model(workdir.model)
    except Exception as error:  # Keras raises many types for damaged files
        raise WorkdirError(
            f"{workdir.model}: cannot be loaded ({error}). Delete it; `train --resume` "
            "writes it again."
        ) from error
    splits = load_splits(config)
    require_fit(model, splits)
    return config, model, splits


def evaluate(workdir: str | os.PathLike[str]) -> dict[str, Any]:
    """Evaluates the trained model of a run.

    Args:
        workdir: The folder of a finished run.

    Returns:
        The metrics, as in `metrics.json`: "parts" holds the loss, the accuracy and the
        number of sequences of "train", "validation" (if any) and "test".

    Raises:
        WorkdirError: There is no finished run in the folder.
        FileNotFoundError: A data file does not exist.
        DataError: A data file cannot be used.

    Example:
        >>> from tf_gru_addon import load_config
        >>> from tf_gru_addon.training import train
        >>> config = load_config("configs/tiny.yaml", ["training.epochs=1"])
        >>> trained = train(config, "runs/tiny")
        epoch 1/1  ...
        >>> evaluate("runs/tiny")["parts"] == trained["parts"]
        True
    """
    config, model, splits = load_run(Workdir(workdir))
    return {
        "parts": measure(model, splits, config.training.batch_size),
        "parameters": model.count_params(),
    }
