"""How good a model is, on each part of the data."""

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


def load_parts(config: Config) -> dict[str, Sequences]:
    """Loads the data of a config, parted into "train", "validation" (if any), "test".

    Raises:
        FileNotFoundError: a file is not there.
        DataError: a file cannot be used.
    """
    splits = load_data(config.data)
    train, validation = hold_out(
        splits.train, config.training.validation_fraction, config.training.seed
    )
    parts = {"train": train, "validation": validation, "test": splits.test}
    return {name: part for name, part in parts.items() if part is not None}


def require_fit(model: keras.Model, parts: Mapping[str, Sequences]) -> None:
    """Checks that a model can take the data.

    Raises:
        DataError: the data has another number of features, or a label that the model
            has no output for.
    """
    for name, part in parts.items():
        part.require(
            features=model.input_shape[-1],
            classes=model.output_shape[-1],
            source=f"the {name} data",
        )


def measure(
    model: keras.Model, parts: Mapping[str, Sequences], batch_size: int
) -> dict[str, dict[str, float]]:
    """Returns loss, accuracy and the number of sequences, for each part of the data."""
    return {
        name: model.evaluate(
            part.frames,
            part.labels,
            batch_size=batch_size,
            verbose=0,
            return_dict=True,
        )
        | {"sequences": len(part)}
        for name, part in parts.items()
    }


def load_run(workdir: Workdir) -> tuple[Config, keras.Model, dict[str, Sequences]]:
    """Loads the config, the trained model and the data of a finished run.

    Raises:
        WorkdirError: there is no finished run in the folder.
        FileNotFoundError: a data file is not there.
        DataError: a data file cannot be used.
    """
    config = workdir.load_config()
    import keras

    try:
        check_keras_file(workdir.model)
        model = keras.saving.load_model(workdir.model)
    except Exception as error:  # damage shows in many ways
        raise WorkdirError(
            f"{workdir.model}: cannot be loaded ({error}). Delete it, and write it "
            "again with `train --resume`."
        ) from error
    parts = load_parts(config)
    require_fit(model, parts)
    return config, model, parts


def evaluate(workdir: str | os.PathLike) -> dict[str, Any]:
    """Measures the trained model of a run again.

    Args:
        workdir: the folder of a finished run.

    Returns:
        The metrics, as in `metrics.json`: under "parts", loss, accuracy and number of
        sequences of "train", "validation" (if any) and "test".

    Raises:
        WorkdirError: there is no finished run in the folder.
        FileNotFoundError: a data file is not there.
        DataError: a data file cannot be used.

    Example:
        >>> from tf_gru_addon import load_config
        >>> from tf_gru_addon.training import train
        >>> config = load_config("configs/tiny.yaml", ["training.epochs=1"])
        >>> trained = train(config, "runs/tiny")
        epoch 1/1  ...
        >>> evaluate("runs/tiny")["parts"] == trained["parts"]
        True
    """
    config, model, parts = load_run(Workdir(workdir))
    return {
        "parts": measure(model, parts, config.training.batch_size),
        "parameters": model.count_params(),
    }
