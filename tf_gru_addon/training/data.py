"""The sequences that a config names, and how training goes through them."""

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
    """Loads what the section `data` of a config names.

    Raises:
        FileNotFoundError: a file is not there.
        DataError: a file cannot be used.
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
            f"{error} `data.{split}` of the config names no file that exists. A "
            "relative path starts in the folder of the config, or else in the current "
            "directory."
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
            f"{path}: a .csv file holds one set; `data.train` and `data.test` both "
            "name this one. Give each its own."
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
    """Parts training data into what to train on and what to validate on.

    Args:
        sequences: the training data.
        fraction: the part of each class to validate on.
        seed: what the choice follows from.

    Returns:
        The two parts, each in the order of the data; None for validation if `fraction`
        is 0.

    Raises:
        DataError: one of the parts would be empty.
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


def digest(parts: Mapping[str, Sequences]) -> str:
    """Returns the SHA-256 of all frames, lengths and labels, to see if they change."""
    total = hashlib.sha256()
    for name, part in parts.items():
        for array in (part.frames, part.lengths, part.labels):
            total.update(f"{name} {array.shape} {array.dtype.str} ".encode())
            total.update(np.ascontiguousarray(array))
    return total.hexdigest()


def epoch_order(count: int, seed: int, epoch: int) -> np.ndarray:
    """Returns the order in which an epoch goes through `count` sequences.

    It depends on the arguments alone, so that a resumed run goes on in the order that
    it would have had.
    """
    return np.random.default_rng([seed, epoch]).permutation(count)
