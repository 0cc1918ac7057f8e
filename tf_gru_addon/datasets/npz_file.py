"""Sequences from a NumPy `.npz` file."""

from __future__ import annotations

import os

import numpy as np

from tf_gru_addon.datasets.sequences import DataError, Sequences
from tf_gru_addon.reading import boundary
from tf_gru_addon.reading.zip_file import Arrays, open_npz


def load_npz(
    path: str | os.PathLike,
    *,
    split: str | None = None,
    labels: str = "labels",
    padding_value: float = 0.0,
) -> Sequences:
    """Loads labelled sequences from an `.npz` file, in either of two forms.

    Packed: `frames (sum of lengths, features)`, `lengths (sequences,)` and
    `labels (sequences,)`. Padded: `x (sequences, timesteps, features)`,
    `y (sequences,)` and, unless no sequence is padded, `lengths (sequences,)`.
    Nothing in the file is unpickled.

    Args:
        path: the file.
        split: for a file with several sets, what its arrays' names begin with:
            "train" reads `train_frames` and so on.
        labels: the name of the label array of the packed form.
        padding_value: the value to pad with.

    Returns:
        The sequences, checked.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: the file is damaged, is no `.npz` file or lacks an array, or an
            array's rank, type, size or values are wrong.

    Example:
        >>> arrays = {"frames": np.ones((5, 3)), "lengths": [2, 3], "labels": [0, 1]}
        >>> np.savez("mine.npz", **arrays)
        >>> load_npz("mine.npz").frames.shape
        (2, 3, 3)
    """
    prefix = f"{split}_" if split else ""
    packed = [prefix + name for name in ("frames", "lengths", labels)]
    padded = [prefix + name for name in ("x", "y")]
    what = "not an .npz file, or one cut short"
    remedy = "Write it anew with numpy.savez."
    with boundary(path, DataError, what, remedy), open_npz(path) as file:
        if packed[0] in file:
            arrays = [_array(file, name) for name in packed]
            make = Sequences.from_packed
        elif padded[0] in file:
            x, y = (_array(file, name) for name in padded)
            given = packed[1] in file
            arrays = [x, _array(file, packed[1]) if given else None, y]
            make = Sequences.from_padded
        else:
            raise DataError(
                f"{path}: expected the arrays {', '.join(packed)} (packed), or "
                f"{', '.join(padded)} (padded); the file has "
                f"{', '.join(file) or 'none'}."
            )
    return make(*arrays, padding_value=padding_value, source=str(path))


def _array(file: Arrays, name: str) -> np.ndarray:
    if name not in file:
        raise DataError(
            f"the array {name!r} is missing; the file has {', '.join(file)}."
        )
    return file[name]
