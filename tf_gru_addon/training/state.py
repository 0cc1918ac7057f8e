"""Everything a run needs to go on where it was: one file, written after each epoch."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Iterator
from pathlib import Path

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
    """How far a run is.

    Attributes:
        history: what each finished epoch measured, by name.
        seconds: the time spent in these epochs.
        data: the digest of the data.
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
        path: the file, replaced in one step.
        model: the compiled model: its weights, the states of its random generators
            (which neither a `.keras` file nor `tf.train.Checkpoint` holds) and of its
            optimizer.
        progress: how far the run is.

    Raises:
        RunError: the file cannot be written; an older one is untouched.
    """
    arrays = {key: np.asarray(variable) for key, variable in _variables(model)}
    text = json.dumps(dataclasses.asdict(progress))
    with whole(path) as unfinished, open(unfinished, "wb") as file:
        np.savez(file, progress=np.array(text), **arrays)


def load_state(path: Path, model: keras.Model) -> Progress:
    """Puts a model and its optimizer in the state that `save_state` wrote.

    Raises:
        WorkdirError: the file is damaged, or is of another model.
    """
    model.optimizer.build(model.trainable_variables)
    try:
        with open_npz(path) as file:
            arrays = dict(file)
            text = str(arrays.pop("progress"))
        progress = _PROGRESS.validate_json(text, strict=True)
        if any(row.keys() != progress.history[0].keys() for row in progress.history):
            raise ValueError("its epochs measured different things")
    except Exception as error:  # damage shows in many ways
        raise WorkdirError(
            f"{path}: damaged ({error}). Delete it to train again from the beginning."
        ) from error
    variables = dict(_variables(model))
    kinds = {key: (tuple(x.shape), x.dtype) for key, x in variables.items()}
    if kinds != {key: (x.shape, x.dtype.name) for key, x in arrays.items()}:
        raise WorkdirError(
            f"{path}: holds the state of another model, or of another version of "
            "Keras. Resume with what wrote it, or delete it to train again."
        )
    for key, variable in variables.items():
        variable.assign(arrays[key])
    return progress


def _variables(model: keras.Model) -> Iterator[tuple[str, keras.Variable]]:
    """Yields a unique name and the variable, for all that training changes."""
    # `variables`, unlike `weights`, has the states of the random generators too, and
    # those of the metrics, which each epoch begins anew.
    metrics = {id(variable) for variable in model.metrics_variables}
    lasting = [variable for variable in model.variables if id(variable) not in metrics]
    groups = {"model": lasting, "optimizer": model.optimizer.variables}
    for group, variables in groups.items():
        for index, variable in enumerate(variables):
            # By number, as Keras' names depend on what else the process has built.
            yield f"{group}/{index:04}", variable
