"""Reading HDF5 files that anyone may have made."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from tf_gru_addon.migrate.legacy.errors import LegacyModelError
from tf_gru_addon.migrate.legacy.stored import Stored

if TYPE_CHECKING:
    import h5py

#: A file may claim this many bytes, and any that it really holds a hundredth of.
FREE_BYTES = 1 << 26


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    """Says what to do where the HDF5 library cannot read what a file has."""
    try:
        yield
    except LegacyModelError:
        raise
    except (OSError, RuntimeError, LookupError, TypeError, ValueError) as error:
        raise LegacyModelError(
            f"it cannot be read as HDF5 ({error}). It is damaged, cut short or of "
            "another format: get the file again."
        ) from error


@contextlib.contextmanager
def open_hdf5(file: str | os.PathLike | IO[bytes]) -> Iterator[h5py.File]:
    """Opens an HDF5 file, a path or a file object, for reading only.

    Raises:
        LegacyModelError: It is no HDF5 file.
    """
    import h5py

    with _reading():
        opened = h5py.File(file, "r")
    with opened:
        yield opened


@_reading()
def children(group: h5py.Group) -> list[str]:
    """Returns the names of what stands in a group."""
    return list(group)


@_reading()
def attribute(group: h5py.Group, name: str) -> Any:
    """Returns an attribute with its bytes decoded; None if it is not there."""
    value = group.attrs.get(name)
    return _text(value, name) if isinstance(value, bytes | np.bytes_) else value


@_reading()
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


@_reading()
def member(group: h5py.Group, path: str) -> h5py.Group | h5py.Dataset | None:
    """Returns what stands at `path` within the file; None if there is nothing.

    Raises:
        LegacyModelError: A link leads there, which could lead out of the file.
    """
    import h5py

    for name in path.split("/"):
        link = None
        if name and isinstance(group, h5py.Group):
            link = group.get(name, getlink=True)
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            raise LegacyModelError(
                f"{group.name}/{name} is a link to another place, as Keras never "
                "writes it; it is not followed."
            )
        group = group[name]
    return group


@_reading()
def stored(dataset: Any, name: str) -> Stored:
    """Returns a dataset as an array that can be read.

    Raises:
        LegacyModelError: It is no dataset of numbers, its numbers lie in another file,
            or the file is far too small to hold them.
    """
    import h5py

    if not isinstance(dataset, h5py.Dataset):
        raise LegacyModelError(
            f"the array {name!r} is missing. The file is damaged, or was not written "
            "whole: get it again."
        )
    if dataset.external or dataset.is_virtual:
        raise LegacyModelError(
            f"the numbers of the array {name!r} lie in another file, as Keras never "
            "writes it; that file is not read."
        )
    shape = dataset.shape
    if shape is None or dataset.dtype.kind not in "fiub":
        raise LegacyModelError(
            f"the array {name!r} must hold numbers; it is of the type {dataset.dtype}."
        )
    there = dataset.id.get_storage_size()
    if dataset.nbytes > 0 and (
        there == 0 or dataset.nbytes > max(FREE_BYTES, 100 * there)
    ):
        raise LegacyModelError(
            f"the array {name!r} claims {dataset.nbytes} bytes, and the file holds "
            f"{there} of them. It is damaged, or not what it seems."
        )
    return Stored(name, tuple(shape), dataset.dtype, lambda: _read(dataset))


@_reading()
def _read(dataset: h5py.Dataset) -> np.ndarray:
    return dataset[()]
