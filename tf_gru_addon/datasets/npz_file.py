"""Loads sequences from a NumPy `.npz` file."""

from __future__ import annotations

import functools
import os

import numpy as np

from tf_gru_addon.datasets.sequences import DataError, Sequences
from tf_gru_addon.reading import boundary
from tf_gru_addon.reading.zip_file import Arrays, open_npz


def load_npz(
    path: str | os.PathLike[str],
    *,
    split: str | None = None,
    labels: str = "labels",
    padding_value: float = 0.0,
) -> Sequences:
    """Loads labelled sequences from an `.npz` file, in one of two layouts.

    Packed: `frames (sum of lengths, features)`, `lengths (sequences,)` and
    `labels (sequences,)`. Padded: `x (sequences, timesteps, features)`,
    `y (sequences,)` and, if any sequence is padded, `lengths (sequences,)`. The loader
    never unpickles anything.

    Args:
        path: The file.
        split: For a file with several sets, the prefix of the arrays' names: "train"
            reads `train_frames` and so on.
        labels: The name of the label array in the packed layout.
        padding_value: The value to pad with.

    Returns:
        The sequences, checked.

    Raises:
        FileNotFoundError: The file does not exist.
        DataError: The file is damaged, is not an `.npz` file or lacks an array; or an
            array's rank, dtype, size or values are wrong.

    Example:
        >>> arrays = {"frames": np.ones((5, 3)), "lengths": [2, 3], "labels": [0, 1]}
        >>> np.savez("mine.npz", **arrays)
        >>> load_npz("mine.npz").frames.shape
        (2, 3, 3)
    """
    prefix = f"{split}_" if split else ""
    packed = [prefix + name for name in ("frames", "lengths", labels)]
    padded = [prefix + name for name in ("x", "y")]
    what = "not an .npz file, or a truncated one"
    remedy = "Write it again with numpy.savez."
    with boundary(path, DataError, what, remedy), open_npz(path) as file:
        if packed[0] in file:
            frames, lengths, classes = (_array(file, name) for name in packed)
            make = functools.partial(Sequences.from_packed, frames, lengths, classes)
        elif padded[0] in file:
            x, y = (_array(file, name) for name in padded)
            given = _array(file, packed[1]) if packed[1] in file else None
            make = functools.partial(Sequences.from_padded, x, given, y)
        else:
            raise DataError(
                f"{path}: expected the arrays {', '.join(packed)} (packed), or "
                f"{', '.join(padded)} (padded); the file has "
                f"{', '.join(file) or 'none'}."
            )
    return make(padding_value=padding_value, source=str(path))


def _array(file: Arrays, name: str) -> np.ndarray:
    if name not in file:
        raise DataError(
            f"the array {name!r} is missing; the file has {', '.join(file)}."
        )
    return file[name]
