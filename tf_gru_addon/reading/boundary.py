"""One error for everything that libraries raise for bad data."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from tf_gru_addon.errors import printable
from tf_gru_addon.reading.budget import FileRefusedError

#: What says nothing about the file: it passes as it is.
_NOT_THE_FILE = (KeyboardInterrupt, SystemExit, GeneratorExit)
_NOT_THE_FILE += (FileNotFoundError, ImportError)
_LONGEST = 300


@contextlib.contextmanager
def boundary(
    path: str | os.PathLike, error: type[ValueError], what: str, remedy: str = ""
) -> Iterator[None]:
    """Turns what is raised for bad data into one error that names the file.

    Libraries raise nearly anything for bytes that they did not expect: `struct.error`,
    `AssertionError`, `zlib.error`, `AttributeError`, Rust's panics. A list of them is
    never complete, so everything is caught but a missing file, a missing package and
    what ends the process.

    Args:
        path: The file.
        error: The error of the part of the package that reads; it passes as it is, with
            the file's name in front if that is missing.
        what: What a library's error means: "not an HDF5 file, or a damaged one".
        remedy: What to do, as a sentence.

    Raises:
        ValueError: Of the type `error`.
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
    except BaseException as problem:  # a panic of Rust is no Exception
        message = f"{path}: {what} ({reason(problem)}). {remedy}"
        raise error(message.rstrip()) from problem


def reason(problem: BaseException) -> str:
    """Returns what an error says, in one line that is fit to print."""
    if isinstance(problem, MemoryError):
        return "it does not fit into memory"
    if isinstance(problem, RecursionError):
        return "it is nested too deep"
    text = printable(" ".join(str(problem).split()))
    text = text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
    name = type(problem).__name__
    return f"{name}: {text}" if text else name
