"""Writing files atomically: a file is complete, or unchanged."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tf_gru_addon.errors import RunError

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None  # type: ignore[assignment]

_UNFINISHED = ".unfinished-"


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns errors of writing, such as a full disk, into one that says what to do.

    Args:
        path: The file or folder that is written inside.

    Raises:
        RunError: It cannot be written.
    """
    try:
        yield
    except Exception as error:
        tensorflow = sys.modules.get(
            "tensorflow"
        )  # if it is not loaded, it cannot fail
        kinds = (OSError, tensorflow.errors.OpError) if tensorflow else OSError
        if not isinstance(error, kinds):
            raise
        raise RunError(
            f"{path}: cannot be written ({error}). An earlier version is unchanged. "
            "Free disk space or choose another path; --resume continues a training run."
        ) from error


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yields a path to write a file or folder to, and moves it to `path` afterwards.

    `path` is unchanged until the new file is complete and on disk, and if writing
    fails. The yielded path has the same name, in a locked folder beside `path`. The
    lock ends with the process, so the next call for the same path removes the leftovers
    of a killed process, but no folder that is still in use.

    Args:
        path: The final path of the file or folder.

    Yields:
        The path to write to.

    Raises:
        RunError: It cannot be written, for instance because the disk is full.
    """
    with writing(path), unfinished_folder(path) as folder:
        unfinished = folder / path.name
        yield unfinished
        _sync(unfinished)
        if path.is_dir():
            remove(path)  # `os.replace` cannot replace a folder
        os.replace(unfinished, path)
        _sync(path.parent)


@contextlib.contextmanager
def unfinished_folder(path: Path) -> Iterator[Path]:
    """Yields a new, locked folder beside a path, and removes it afterwards.

    Args:
        path: The file or folder to write. Leftovers of a killed process are removed.

    Raises:
        OSError: The folder cannot be created.
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
    """Whether a path is a folder of `whole`, in use or left by a killed process."""
    return path.name.startswith(_UNFINISHED)


def remove_unfinished(folder: Path, name: str = "") -> None:
    """Removes the folders that killed processes left in `whole`.

    Args:
        folder: The folder to clean up.
        name: Only for files whose name begins so.
    """
    for left in folder.glob(f"{_UNFINISHED}*"):
        # Earlier versions repeated the prefix, and did not lock.
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
    """Returns the size in bytes of a file, or of all files in a folder."""
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size


def digest(path: Path) -> str:
    """Returns the SHA-256 of a file, or of the names and contents in a folder.

    Raises:
        OSError: It does not exist, or cannot be read.
    """
    if not path.is_dir():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    files = sorted(file for file in path.rglob("*") if file.is_file())
    lines = (f"{file.relative_to(path)} {digest(file)}\n" for file in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def take_lock(descriptor: int) -> bool | None:
    """Locks an open file or folder, until it is closed or the process ends.

    Args:
        descriptor: Its file descriptor.

    Returns:
        True if it is locked now; False if another process, or another descriptor of
        this process, holds the lock; None if the file system has no locks.
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
    """Removes a file or a folder, if it exists."""
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
            # Without locks, `remove_unfinished` leaves the folder alone.
            locked = take_lock(descriptor)
            if locked is None or (locked and folder.exists()):
                return folder, descriptor
            os.close(descriptor)


def _sync(path: Path) -> None:
    """Flushes a file, or a folder and everything in it, to disk."""
    inside = path.rglob("*") if path.is_dir() else ()
    for each in (path, *inside):
        descriptor = os.open(each, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
