"""Locks that keep other runs out of a folder, and detect that it was replaced."""

from __future__ import annotations

import contextlib
import os
import socket
import weakref
from collections.abc import Iterator
from pathlib import Path

from tf_gru_addon.errors import RunError
from tf_gru_addon.files import take_lock, writing
from tf_gru_addon.training.errors import WorkdirError

NAME = ".tf_gru_addon.lock"


class Lock:
    """A lock on a folder, held by this process.

    It is an operating system lock on a file in the folder, so it ends with the process,
    even if the process is killed and the file remains. On a file system without locks,
    nothing keeps a second run out.

    Args:
        folder: The folder; it exists.
        descriptor: The file descriptor of the locked file.
    """

    def __init__(self, folder: Path, descriptor: int) -> None:
        self.folder = folder
        self.descriptor = descriptor
        _held.add(self)

    def check(self) -> None:
        """Checks that the folder is still the one that was locked.

        Raises:
            RunError: The folder, or the locked file in it, was replaced.
        """
        if not _is_open_at(self.descriptor, self.folder / NAME):
            raise RunError(
                f"{self.folder}: the folder, or {NAME} in it, was removed or replaced "
                "while a run was using it. Nothing was written to the new one. Put the "
                "folder back, and continue with --resume."
            )


def holder(folder: Path) -> str | None:
    """Returns the process that holds the lock of a folder, or None.

    Args:
        folder: The folder; it need not exist.
    """
    try:
        descriptor = os.open(folder / NAME, os.O_RDWR)
    except OSError:
        return None
    try:
        return _who(descriptor) if take_lock(descriptor) is False else None
    finally:
        os.close(descriptor)


def require_free(folder: Path) -> None:
    """Checks that no other run uses a folder.

    Raises:
        WorkdirError: Another run uses it.
    """
    if (who := holder(folder)) is not None:
        raise _in_use(folder, who)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[Lock]:
    """Holds the lock of a folder, and removes the locked file at the end.

    Args:
        folder: The folder; it is created if it does not exist.

    Yields:
        The lock.

    Raises:
        WorkdirError: Another run holds it.
        RunError: The folder cannot be created or written to.
    """
    path = folder / NAME
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = _acquire(folder, path)
    lock = Lock(folder, descriptor)
    try:
        yield lock
    finally:
        if lock in _held:  # not so in a forked child
            if _is_open_at(descriptor, path):
                with contextlib.suppress(OSError):
                    path.unlink()
            _held.discard(lock)
            os.close(descriptor)


def _acquire(folder: Path, path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        if take_lock(descriptor) is False:
            who = _who(descriptor)
            os.close(descriptor)
            raise _in_use(folder, who)
        # Another run may have ended, and removed the file, since it was opened.
        if _is_open_at(descriptor, path):
            break
        os.close(descriptor)
    os.truncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()} {socket.gethostname()}\n".encode())
    return descriptor


def _who(descriptor: int) -> str:
    """Returns the process that is named in a locked file."""
    text = os.pread(descriptor, 300, 0).decode(errors="replace").strip()
    process, _, host = text.partition(" ")
    elsewhere = host not in ("", socket.gethostname())
    return f"{process or 'unknown'}{f' on {host}' if elsewhere else ''}"


def _in_use(folder: Path, who: str) -> WorkdirError:
    return WorkdirError(
        f"{folder}: another run (process id {who}) uses this folder. Wait until it "
        "has ended, or choose another --workdir."
    )


def _is_open_at(descriptor: int, path: Path) -> bool:
    """Whether a path is that of an open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except OSError:
        return False


#: The locks of this process. A forked child inherits the descriptors and closes them;
#: otherwise it would still hold the locks after this process has ended.
_held: weakref.WeakSet[Lock] = weakref.WeakSet()


def _close_in_child() -> None:
    for lock in list(_held):
        os.close(lock.descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_close_in_child)
