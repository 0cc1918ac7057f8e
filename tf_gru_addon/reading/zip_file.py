"""Opens zip files, and the `.npz` files that NumPy writes, within a budget."""

from __future__ import annotations

import contextlib
import io
import math
import os
import zipfile
from collections.abc import Iterator, Mapping

import numpy as np

from tf_gru_addon.reading.budget import Budget, FileRefusedError, require_regular

#: NumPy, Keras and PyTorch write these. Python decompresses others without a limit.
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_MAGIC = b"\x93NUMPY"
# The bytes that NumPy may use for an element in computations.
_LEAST_ITEM = 4


class ZipFile:
    """A zip file whose members are read within a budget.

    Args:
        archive: The file, open.
        budget: The file's budget.
    """

    def __init__(self, archive: zipfile.ZipFile, budget: Budget) -> None:
        self.budget = budget
        self._archive = archive

    @property
    def names(self) -> list[str]:
        """The names of all members."""
        return self._archive.namelist()

    def check_all(self) -> None:
        """Takes the sizes of all members from the budget, for a library to read them.

        Raises:
            FileRefusedError: They exceed the budget, or one cannot be read.
        """
        for info in self._archive.infolist():
            self._check(info)

    def read(self, name: str) -> bytes:
        """Returns the content of a member.

        Raises:
            KeyError: The member does not exist.
            FileRefusedError: It exceeds the budget, or cannot be read.
        """
        info = self._archive.getinfo(name)
        self._check(info)
        return self._archive.read(info)

    def _check(self, info: zipfile.ZipInfo) -> None:
        what = f"its member {info.filename!r}"
        if info.compress_type not in _METHODS:
            raise FileRefusedError(
                f"{what} is compressed by method {info.compress_type} (bzip2, LZMA, "
                "...); only stored and deflated members are read, as NumPy and Keras "
                "write them. Compress the file again."
            )
        if info.flag_bits & 1:
            raise FileRefusedError(f"{what} cannot be read: it is encrypted.")
        self.budget.take(info.file_size, what)


@contextlib.contextmanager
def open_zip(path: str | os.PathLike[str]) -> Iterator[ZipFile]:
    """Opens a zip file for reading.

    Raises:
        FileNotFoundError: The file does not exist.
        FileRefusedError: It is not a regular file.
        Exception: Anything that is raised for a damaged file; use `boundary`.
    """
    budget = Budget.of(path)
    with zipfile.ZipFile(path) as archive:
        yield ZipFile(archive, budget)


class Arrays(Mapping[str, np.ndarray]):
    """The arrays of an `.npz` file by name, each read on access.

    Args:
        file: The zip file, open.

    Raises:
        FileRefusedError: The member is not an array of plain numbers or text, or
            exceeds the budget.
    """

    def __init__(self, file: ZipFile) -> None:
        self._file = file
        self._members = {name.removesuffix(".npy"): name for name in file.names}

    def __getitem__(self, name: str) -> np.ndarray:
        content = self._file.read(self._members[name])
        what = f"the array {name!r}"
        if not content.startswith(_MAGIC):
            raise FileRefusedError(
                f"{what} is not in NumPy's format. Write the arrays with numpy.savez."
            )
        stream = io.BytesIO(content)
        shape, dtype = _header(stream)
        if dtype.hasobject:
            raise FileRefusedError(
                f"{what} holds Python objects, which are never loaded. Write plain "
                "numbers."
            )
        count = math.prod(shape)
        there = len(content) - stream.tell()
        if min(shape, default=0) < 0 or count * dtype.itemsize > there:
            raise FileRefusedError(
                f"{what} claims the shape {shape} of {dtype}, but the file holds "
                f"{there} bytes of it. The file is damaged or truncated."
            )
        # Elements of one byte, or of none, take more memory in computations.
        small = max(0, _LEAST_ITEM - dtype.itemsize)
        self._file.budget.take(count * small, what)
        stream.seek(0)
        return np.lib.format.read_array(stream, allow_pickle=False)

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)


@contextlib.contextmanager
def open_npz(path: str | os.PathLike[str]) -> Iterator[Arrays]:
    """Opens an `.npz` file; it never unpickles anything.

    Raises:
        FileNotFoundError: The file does not exist.
        FileRefusedError: It is not a regular file.
        Exception: Anything that is raised for a damaged file; use `boundary`.
    """
    require_regular(path)
    with open(path, "rb") as stream:
        start = stream.read(len(_MAGIC))
    if start == _MAGIC:
        raise FileRefusedError(
            "it is a single .npy array; expected an .npz file of several. Write it "
            "with numpy.savez."
        )
    with open_zip(path) as file:
        yield Arrays(file)


def _header(stream: io.BytesIO) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, _, dtype = np.lib.format.read_array_header_2_0(stream)
    else:
        raise FileRefusedError(
            f"an array has version {version} of NumPy's format; expected 1.0 or 2.0."
        )
    return shape, dtype
