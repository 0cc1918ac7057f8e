"""Files that are either whole or not there."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from tf_gru_addon.errors import RunError

_UNFINISHED = ".unfinished-"


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Says what a user can do when something cannot be written.

    Args:
        path: what is being written.

    Raises:
        RunError: it cannot be: a full disk, say.
    """
    import tensorflow as tf

    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        raise RunError(
            f"{path}: cannot be written ({error}). What was there before is untouched. "
            "Make room or choose another place; a training run goes on with --resume."
        ) from error


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Gives a path to write a file or folder to, and moves it to `path` when done.

    What stood at `path` stays as it was until the new one is whole and on the disk,
    and stays if writing fails.

    Args:
        path: where the file or folder is to be in the end.

    Raises:
        RunError: it cannot be written: a full disk, say.
    """
    unfinished = path.with_name(_UNFINISHED + path.name)
    with writing(path):
        remove(unfinished)
        try:
            yield unfinished
            _sync(unfinished)
            if path.is_dir():
                remove(path)  # a folder cannot be replaced; the new one is whole
            os.replace(unfinished, path)
            _sync(path.parent)
        except BaseException:
            with contextlib.suppress(OSError):
                remove(unfinished)
            raise


def is_unfinished(path: Path) -> bool:
    """Tells whether a path is what a killed process left of `whole`."""
    return path.name.startswith(_UNFINISHED)


def remove(path: Path) -> None:
    """Removes a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def size(path: Path) -> int:
    """Returns the bytes in a file, or in all the files of a folder."""
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size


def digest(path: Path) -> str:
    """Returns the SHA-256 of a file, or of the files of a folder and their names.

    Raises:
        OSError: there is nothing, or it cannot be read.
    """
    if not path.is_dir():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    files = sorted(file for file in path.rglob("*") if file.is_file())
    lines = (f"{file.relative_to(path)} {digest(file)}\n" for file in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _sync(path: Path) -> None:
    """Waits until a file, or a folder and the files in it, are on the disk."""
    inside = path.rglob("*") if path.is_dir() else ()
    for each in (path, *inside):
        descriptor = os.open(each, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
