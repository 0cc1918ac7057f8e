"""Converts everything that libraries raise for bad data to one error."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from tf_gru_addon.errors import printable
from tf_gru_addon.reading.budget import FileRefusedError

#: Exceptions that do not concern the file's content; they propagate unchanged.
_NOT_THE_FILE = (
    *(KeyboardInterrupt, SystemExit, GeneratorExit),
    *(FileNotFoundError, ImportError),
)
_LONGEST = 300


@contextlib.contextmanager
def boundary(
    path: str | os.PathLike[str], error: type[ValueError], what: str, remedy: str = ""
) -> Iterator[None]:
    """Converts exceptions raised for bad data to one error that names the file.

    Libraries raise almost anything for unexpected bytes: `struct.error`,
    `AssertionError`, `zlib.error`, `AttributeError`, panics of Rust. No list of them is
    complete, so this catches everything except a missing file, a missing package and
    exceptions that end the process.

    Args:
        path: The file.
        error: The error to raise. An exception of this type propagates unchanged, or
            with the file's name in front if its message lacks it.
        what: The meaning of a library's exception: "not an HDF5 file, or a damaged
            one".
        remedy: What the user can do, as a sentence.

    Raises:
        ValueError: An exception of type `error`.
    """
    try:
        yield
    except _NOT_THE_FILE:
        raise
    except (error, FileRefusedError) as problem:
        named = str(problem).startswith((f"{path}:", f"{path},"))
        if isinstance(problem, error) and named:
            raise
        raise error(f"{path}: {problem}") from problem
    except BaseException as problem:  # a panic of Rust derives from BaseException
        message = f"{path}: {what} ({reason(problem)}). {remedy}"
        raise error(message.rstrip()) from problem


def reason(problem: BaseException) -> str:
    """Returns the message of an exception as one printable line."""
    if isinstance(problem, MemoryError):
        return "it does not fit into memory"
    if isinstance(problem, RecursionError):
        return "it is nested too deeply"
    text = printable(" ".join(str(problem).split()))
    text = text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
    name = type(problem).__name__
    return f"{name}: {text}" if text else name
