"""The state of a run in one file, written after each epoch, for resuming it."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydantic

from tf_gru_addon.files import whole
from tf_gru_addon.reading.zip_file import open_npz
from tf_gru_addon.training.errors import WorkdirError

if typing.TYPE_CHECKING:
    import keras

History = list[dict[str, float]]


@dataclasses.dataclass
class Progress:
    """The progress of a run.

    Attributes:
        history: The metrics of each finished epoch, by name.
        seconds: The seconds spent in these epochs.
        data: The digest of the data.
    """

    history: History = dataclasses.field(default_factory=list)
    seconds: float = 0.0
    data: str = ""

    @property
    def epochs(self) -> int:
        """The number of finished epochs."""
        return len(self.history)


_PROGRESS = pydantic.TypeAdapter(Progress)


def save_state(path: Path, model: keras.Model, progress: Progress) -> None:
    """Writes the state of a run.

    Args:
        path: The file; an existing one is replaced atomically.
        model: The compiled model. The file holds its weights, its optimizer's state and
            the states of its random generators, which neither a `.keras` file nor
            `tf.train.Checkpoint` holds.
        progress: The progress of the run.

    Raises:
        RunError: The file cannot be written; an older one is unchanged.
    """
    arrays: dict[str, Any] = {k: np.asarray(v) for k, v in _variables(model)}
    text = json.dumps(dataclasses.asdict(progress))
    with whole(path) as unfinished, open(unfinished, "wb") as file:
        np.savez(file, progress=np.array(text), **arrays)


def load_state(path: Path, model: keras.Model) -> Progress:
    """Restores a model and its optimizer from the file that `save_state` wrote.

    Args:
        path: The file.
        model: The compiled model; its variables are assigned.

    Returns:
        The progress of the run.

    Raises:
        WorkdirError: The file is damaged, or belongs to another model.
    """
    model.optimizer.build(model.trainable_variables)
    try:
        with open_npz(path) as file:
            arrays = dict(file)
            text = str(arrays.pop("progress"))
        progress = _PROGRESS.validate_json(text, strict=True)
        if any(row.keys() != progress.history[0].keys() for row in progress.history):
            raise ValueError("its epochs have different metrics")
    except Exception as error:  # damaged files raise many types
        raise WorkdirError(
            f"{path}: damaged ({error}). Delete it to train again from the beginning."
        ) from error
    variables = dict(_variables(model))
    kinds = {key: (tuple(x.shape), x.dtype) for key, x in variables.items()}
    if kinds != {key: (x.shape, x.dtype.name) for key, x in arrays.items()}:
        raise WorkdirError(
            f"{path}: holds the state of another model, or was written by another "
            "version of Keras. Resume with that version, or delete it to train again."
        )
    for key, variable in variables.items():
        variable.assign(arrays[key])
    return progress


def _variables(model: keras.Model) -> Iterator[tuple[str, keras.Variable]]:
    """Yields each variable that training changes, under a unique name."""
    # Unlike `weights`, `variables` includes the states of random generators, and of the
    # metrics, which each epoch resets.
    metrics = {id(variable) for variable in model.metrics_variables}
    lasting = [variable for variable in model.variables if id(variable) not in metrics]
    groups = {"model": lasting, "optimizer": model.optimizer.variables}
    for group, variables in groups.items():
        for index, variable in enumerate(variables):
            # Number them: Keras' names depend on what else the process has built.
            yield f"{group}/{index:04}", variable
