"""One run at a time in a folder, and the same folder all the time."""

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

    It is a lock of the operating system on a file in the folder, so it ends with the
    process, however that ends, and whether or not the file is left behind. A file
    system without locks gives none, and then nothing keeps a second run away.

    Args:
        folder: the folder, which exists.
        descriptor: the file, open and locked.
    """

    def __init__(self, folder: Path, descriptor: int):
        self.folder = folder
        self.descriptor = descriptor
        _held.add(self)

    def check(self) -> None:
        """Checks that the folder is still the one that was locked.

        Raises:
            RunError: it was replaced, or the locked file in it.
        """
        if not _is_open_at(self.descriptor, self.folder / NAME):
            raise RunError(
                f"{self.folder}: the folder, or {NAME} in it, was removed or replaced "
                "while a run was using it. Nothing is written to what is there now. "
                "Put the folder back, and go on with --resume."
            )


def holder(folder: Path) -> str | None:
    """Returns who holds the lock of a folder; None if nobody does.

    Args:
        folder: the folder, which need not exist.
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
        WorkdirError: one does.
    """
    if (who := holder(folder)) is not None:
        raise _in_use(folder, who)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[Lock]:
    """Holds the lock of a folder, and removes the file in the end.

    Args:
        folder: the folder, made if it is not there.

    Raises:
        WorkdirError: another run holds it.
        RunError: the folder cannot be made or written to.
    """
    path = folder / NAME
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = _acquire(folder, path)
    lock = Lock(folder, descriptor)
    try:
        yield lock
    finally:
        if lock in _held:  # and this is no forked child
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
    """Returns the process that a locked file names."""
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
    """Tells whether a path leads to an open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except OSError:
        return False


#: What this process holds. A forked child shares the descriptors; it closes them, as it
#: would else hold the locks when this process has ended.
_held: weakref.WeakSet[Lock] = weakref.WeakSet()


def _close_in_child() -> None:
    for lock in list(_held):
        os.close(lock.descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_close_in_child)
