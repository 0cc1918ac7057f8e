"""What Keras wrote into HDF5 files, read from one that `reading.hdf5` has opened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tf_gru_addon.migrate.legacy.errors import LegacyModelError
from tf_gru_addon.migrate.legacy.stored import Stored

if TYPE_CHECKING:
    import h5py


def children(group: h5py.Group) -> list[str]:
    """Returns the names of what stands in a group."""
    return list(group)


def attribute(group: h5py.Group, name: str) -> Any:
    """Returns an attribute with its bytes decoded; None if it is not there."""
    value = group.attrs.get(name)
    return _text(value, name) if isinstance(value, bytes | np.bytes_) else value


def names(group: h5py.Group, name: str) -> list[str] | None:
    """Returns an attribute that is a list of names; None if it is not there.

    Keras spread a list that is too long for one attribute over name0, name1, ...
    """
    if name in group.attrs:
        values = list(np.ravel(group.attrs[name]))
    elif f"{name}0" in group.attrs:
        values, index = [], 0
        while f"{name}{index}" in group.attrs:
            values += list(np.ravel(group.attrs[f"{name}{index}"]))
            index += 1
    else:
        return None
    return [_text(value, name) for value in values]


def _text(value: Any, name: str) -> str:
    try:
        return value.decode("utf-8") if isinstance(value, bytes) else str(value)
    except UnicodeDecodeError as error:
        raise LegacyModelError(
            f"the attribute {name!r} is not text ({error}). The file is damaged."
        ) from error


def member(group: h5py.Group, path: str) -> h5py.Group | h5py.Dataset | None:
    """Returns what stands at `path` within the file; None if there is nothing."""
    import h5py

    for name in path.split("/"):
        if not (name and isinstance(group, h5py.Group) and name in group):
            return None
        group = group[name]
    return group


def stored(dataset: Any, name: str) -> Stored:
    """Returns a dataset as an array that can be read.

    Raises:
        LegacyModelError: It is no dataset of numbers, or the file holds none of them.
    """
    import h5py

    if not isinstance(dataset, h5py.Dataset):
        raise LegacyModelError(
            f"the array {name!r} is missing. The file is damaged, or was not written "
            "whole: get it again."
        )
    shape = dataset.shape
    if shape is None or dataset.dtype.kind not in "fiub":
        raise LegacyModelError(
            f"the array {name!r} must hold numbers; it is of the type {dataset.dtype}."
        )
    if dataset.nbytes > 0 and dataset.id.get_storage_size() == 0:
        raise LegacyModelError(
            f"the array {name!r} claims {dataset.nbytes} bytes, and the file holds "
            "none of them. It is damaged, or not what it seems."
        )
    return Stored(name, tuple(shape), dataset.dtype, lambda: dataset[()])
