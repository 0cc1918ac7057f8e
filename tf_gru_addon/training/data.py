"""Loads the data of a config, holds out validation data, and orders epochs."""

from __future__ import annotations

import hashlib
import typing
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tf_gru_addon.datasets import (
    DataError,
    Sequences,
    Splits,
    load_csv,
    load_japanese_vowels,
    load_npz,
)
from tf_gru_addon.datasets.sequences import require_file

if typing.TYPE_CHECKING:
    from tf_gru_addon.config.schema import Data


def load_data(data: Data) -> Splits:
    """Loads the data sets that the section `data` of a config names.

    Raises:
        FileNotFoundError: A file does not exist.
        DataError: A file cannot be used.
    """
    if data.dataset == "japanese_vowels":
        return load_japanese_vowels(padding_value=data.padding_value)
    return Splits(*(_load_file(data, split) for split in Splits._fields))


def _load_file(data: Data, split: str) -> Sequences:
    path = Path(getattr(data, split))
    try:
        require_file(path)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{error} `data.{split}` of the config names it. A relative path is looked "
            "up in the folder of the config, then in the current directory."
        ) from None
    is_shared = data.train == data.test
    if path.suffix.lower() == ".npz":
        return load_npz(
            path,
            split=split if is_shared else None,
            padding_value=data.padding_value,
        )
    if path.suffix.lower() != ".csv":
        raise DataError(f"{path}: expected a file named .npz or .csv (`data.{split}`).")
    if is_shared:
        raise DataError(
            f"{path}: a .csv file holds one set, but both `data.train` and `data.test` "
            "name this file. Use one file for each."
        )
    return load_csv(
        path,
        sequence_column=data.sequence_column,
        label_column=data.label_column,
        padding_value=data.padding_value,
    )


def hold_out(
    sequences: Sequences, fraction: float, seed: int
) -> tuple[Sequences, Sequences | None]:
    """Splits training data into training and validation data.

    Args:
        sequences: The training data.
        fraction: The fraction of each class to validate on.
        seed: The seed of the choice.

    Returns:
        Training and validation data, each in the order of `sequences`; validation is
        None if `fraction` is 0.

    Raises:
        DataError: One of the two would be empty.
    """
    if fraction == 0:
        return sequences, None
    held = np.zeros(len(sequences), bool)
    shuffled = np.random.default_rng([seed]).permutation(len(sequences))
    for label in np.unique(sequences.labels):
        members = shuffled[sequences.labels[shuffled] == label]
        held[members[: round(fraction * len(members))]] = True
    if held.all() or not held.any():
        raise DataError(
            f"`training.validation_fraction` of {fraction} leaves nothing to "
            f"{'train' if held.all() else 'validate'} on, with "
            f"{len(sequences)} sequences. Choose another fraction."
        )
    return sequences.take(np.flatnonzero(~held)), sequences.take(np.flatnonzero(held))


def digest(splits: Mapping[str, Sequences]) -> str:
    """Returns the SHA-256 of all frames, lengths and labels, to detect changes."""
    total = hashlib.sha256()
    for name, split in splits.items():
        for array in (split.frames, split.lengths, split.labels):
            total.update(f"{name} {array.shape} {array.dtype.str} ".encode())
            total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()


def epoch_order(count: int, seed: int, epoch: int) -> np.ndarray:
    """Returns the order in which an epoch visits `count` sequences.

    It depends only on the arguments, so a resumed run uses the same order.
    """
    return np.random.default_rng([seed, epoch]).permutation(count)
