"""`.keras` files, as tf.keras from 2.12 on and tf_keras wrote them."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tf_gru_addon.migrate.legacy import hdf5
from tf_gru_addon.migrate.legacy.era import Era, era_of
from tf_gru_addon.migrate.legacy.errors import LegacyModelError
from tf_gru_addon.migrate.legacy.json_text import parse
from tf_gru_addon.migrate.legacy.part import Part
from tf_gru_addon.migrate.legacy.slots import Found
from tf_gru_addon.migrate.legacy.stored import Stored
from tf_gru_addon.reading.hdf5 import open_hdf5
from tf_gru_addon.reading.keras_file import CONFIG, WEIGHTS
from tf_gru_addon.reading.zip_file import ZipFile, open_zip
from tf_gru_addon.weights.keras_config import plain_path, snake_case

if TYPE_CHECKING:
    import os

    import h5py

METADATA = "metadata.json"


class KerasZip:
    """A whole model in a `.keras` file: a zip of its config and an HDF5 file.

    The HDF5 file has the arrays of a layer at the path of attributes that leads to it,
    as "layers/gru_1/cell/vars/0": the second GRU, whose cell's first array it is.

    Args:
        archive: The file, open; nothing of it is written anywhere.
        weights: The HDF5 file within it, open.

    Raises:
        LegacyModelError: It holds no model, or one that is damaged.
    """

    def __init__(self, archive: ZipFile, weights: h5py.File):
        self.config: dict[str, Any] = parse(_content(archive, CONFIG), CONFIG)
        metadata = parse(_content(archive, METADATA), METADATA)
        self.era: Era = era_of(metadata.get("keras_version"), "tensorflow", "float32")
        self._weights = weights
        self._found: dict[str, list[Stored]] = {}
        #: How many numbers the file holds.
        self.size = self._find(weights, "")

    def _find(self, group: h5py.Group, path: str) -> int:
        """Notes every layer's arrays, and returns how many numbers they are."""
        import h5py

        size = 0
        for name in hdf5.children(group):
            item = hdf5.member(group, name)
            inner = f"{path}/{name}".removeprefix("/")
            if not path and name == "optimizer":
                continue
            if name == "vars" and isinstance(item, h5py.Group):
                arrays = [
                    hdf5.stored(hdf5.member(item, str(i)), f"{inner}/{i}")
                    for i in range(len(hdf5.children(item)))
                ]
                self._found[plain_path(path)] = arrays
                size += sum(array.size for array in arrays)
            elif isinstance(item, h5py.Group):
                size += self._find(item, inner)
        return size

    def arrays(self, model: Part) -> list[Found]:
        """Returns the arrays of each part of a model that has weights.

        Raises:
            LegacyModelError: Arrays are surplus.
        """
        rest = {path: arrays for path, arrays in self._found.items() if arrays}
        found = [
            (part, rest.pop(path, []))
            for part, path in _paths(model, "")
            if part.holder is not None
        ]
        if surplus := [p for p in rest if p.partition("/")[0] not in _NOT_LAYERS]:
            raise LegacyModelError(
                f"the file holds arrays at {surplus[0]!r}, and its config has no such "
                "layer. The file is damaged, or put together of two."
            )
        return found


#: What a model has beside its layers.
_NOT_LAYERS = ("metrics", "_metrics", "optimizer", "compiled_metrics", "compiled_loss")


def _paths(part: Part, path: str) -> Iterator[tuple[Part, str]]:
    """Gives every part and where the file has its arrays."""
    yield part, path
    counts: dict[str, int] = {}
    for child in part.children:
        inner = child.attribute
        if inner in ("layers", "cells"):
            name = snake_case(child.kind)
            index = counts[name] = counts.get(name, -1) + 1
            inner = f"{inner}/{name}" + (f"_{index}" if index else "")
        yield from _paths(child, f"{path}/{inner}".removeprefix("/"))


@contextlib.contextmanager
def open_keras_zip(path: str | os.PathLike) -> Iterator[KerasZip]:
    """Opens a `.keras` file for reading only.

    Raises:
        LegacyModelError: A part of it is missing.
        Exception: Anything that is raised for a damaged file; see `reading.boundary`.
    """
    with open_zip(path) as archive:
        content = io.BytesIO(_content(archive, WEIGHTS))
        with open_hdf5(content, archive.budget) as (weights, _):
            yield KerasZip(archive, weights)


def _content(archive: ZipFile, name: str) -> bytes:
    if name not in archive.names:
        raise LegacyModelError(
            f"it is a zip file without {name}, and so no .keras file that Keras 2 "
            "wrote. Give a file that model.save wrote."
        )
    return archive.read(name)
