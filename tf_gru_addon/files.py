"""Files that are either whole or not there."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tf_gru_addon.errors import RunError

try:
    import fcntl
except ImportError:  # on Windows, which has no such locks
    fcntl = None

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
    and stays if writing fails. The path given has the name of `path`, in a locked
    folder beside it. The lock ends with the process, so that the next call for the
    same path removes what a killed process left, and nothing that is still written.

    Args:
        path: where the file or folder is to be in the end.

    Raises:
        RunError: it cannot be written: a full disk, say.
    """
    with writing(path), unfinished_folder(path) as folder:
        unfinished = folder / path.name
        yield unfinished
        _sync(unfinished)
        if path.is_dir():
            remove(path)  # a folder cannot be replaced; the new one is whole
        os.replace(unfinished, path)
        _sync(path.parent)


@contextlib.contextmanager
def unfinished_folder(path: Path) -> Iterator[Path]:
    """Gives a new, locked folder beside a path, and removes it afterwards.

    Args:
        path: what is being written. What a killed process left of it is removed.

    Raises:
        OSError: the folder cannot be made.
    """
    remove_unfinished(path.parent, path.name)
    folder, descriptor = _new_locked_folder(path)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if descriptor is not None:
            os.close(descriptor)


def is_unfinished(path: Path) -> bool:
    """Tells whether a path is a folder of `whole`: in use, or left by a killed one."""
    return path.name.startswith(_UNFINISHED)


def remove_unfinished(folder: Path, name: str = "") -> None:
    """Removes what killed processes left of `whole`; live ones keep theirs.

    Args:
        folder: where they were writing.
        name: begins the names of the files that they were writing.
    """
    for left in folder.glob(f"{_UNFINISHED}*"):
        # Earlier versions repeated the prefix, and locked nothing.
        if not left.name.replace(_UNFINISHED, "").startswith(name):
            continue
        with contextlib.suppress(OSError):  # it is gone, or belongs to another user
            descriptor = os.open(left, os.O_RDONLY)
            try:
                if take_lock(descriptor):
                    remove(left)
            finally:
                os.close(descriptor)


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


def take_lock(descriptor: int) -> bool | None:
    """Locks an open file or folder, until it is closed or the process ends.

    Args:
        descriptor: its file descriptor.

    Returns:
        Whether it is locked now; False if another process, or another descriptor of
        this one, holds the lock; None where the system or the file system has no locks.
    """
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def remove(path: Path) -> None:
    """Removes a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _new_locked_folder(path: Path) -> tuple[Path, int | None]:
    """Returns a new folder beside a path, and the descriptor that locks it, if any."""
    while True:
        prefix = f"{_UNFINISHED}{path.name}-"
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=path.parent))
        if fcntl is None:
            return folder, None
        with contextlib.suppress(OSError):  # another process removed it: try again
            descriptor = os.open(folder, os.O_RDONLY)
            # Where the file system has no locks, nobody takes the folder for left.
            locked = take_lock(descriptor)
            if locked is None or (locked and folder.exists()):
                return folder, descriptor
            os.close(descriptor)


def _sync(path: Path) -> None:
    """Waits until a file, or a folder and the files in it, are on the disk."""
    inside = path.rglob("*") if path.is_dir() else ()
    for each in (path, *inside):
        descriptor = os.open(each, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
