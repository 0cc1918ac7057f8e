"""Sequences from a NumPy `.npz` file."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Mapping
from typing import BinaryIO

import numpy as np

from tf_gru_addon.datasets.sequences import DataError, Sequences, require_file

# What a file that is damaged, encrypted or of another kind makes NumPy raise.
_UNREADABLE = (ValueError, EOFError, OSError, zipfile.BadZipFile, zlib.error)
_UNREADABLE += (RuntimeError, MemoryError, KeyError)


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
    require_file(path)
    prefix = f"{split}_" if split else ""
    packed = [prefix + name for name in ("frames", "lengths", labels)]
    padded = [prefix + name for name in ("x", "y")]
    with open(path, "rb") as stream, _open(stream, path) as file:
        if packed[0] in file:
            arrays = [_array(file, path, name) for name in packed]
            make = Sequences.from_packed
        elif padded[0] in file:
            x, y = (_array(file, path, name) for name in padded)
            given = packed[1] in file
            arrays = [x, _array(file, path, packed[1]) if given else None, y]
            make = Sequences.from_padded
        else:
            raise DataError(
                f"{path}: expected the arrays {', '.join(packed)} (packed), or "
                f"{', '.join(padded)} (padded); the file has "
                f"{', '.join(file) or 'none'}."
            )
    return make(*arrays, padding_value=padding_value, source=str(path))


def _open(stream: BinaryIO, path: str | os.PathLike) -> np.lib.npyio.NpzFile:
    try:
        file = np.load(stream, allow_pickle=False)
    except _UNREADABLE as error:
        raise DataError(
            f"{path}: not an .npz file, or one cut short. Write it anew with "
            "numpy.savez."
        ) from error
    if not isinstance(file, np.lib.npyio.NpzFile):
        raise DataError(
            f"{path}: expected an .npz file of several arrays; this is a single "
            ".npy array. Write it with numpy.savez."
        )
    return file


def _array(file: Mapping[str, np.ndarray], path: str, name: str) -> np.ndarray:
    if name not in file:
        raise DataError(
            f"{path}: the array {name!r} is missing; the file has {', '.join(file)}."
        )
    try:
        array = file[name]
    except _UNREADABLE as error:
        raise DataError(
            f"{path}: the array {name!r} cannot be read: it is damaged, or holds "
            f"Python objects, which are never loaded ({error}). Write plain numbers "
            "with numpy.savez."
        ) from error
    if not isinstance(array, np.ndarray):
        raise DataError(
            f"{path}: expected {name!r} to be an array; it is a file of another kind. "
            "Write the arrays with numpy.savez."
        )
    return array
