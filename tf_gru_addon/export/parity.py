"""Steps that all exports share: writing the output, and measuring the latency."""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import keras

from tf_gru_addon.errors import ExportError
from tf_gru_addon.files import whole, writing
from tf_gru_addon.verify import Arrays, Run


@contextlib.contextmanager
def new_output(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path beside `path`, and moves it to `path` when complete.

    Args:
        path: The file or folder to write. Its parent folders are created.

    Raises:
        ExportError: `path` exists already.
        RunError: `path` cannot be written.
    """
    path = Path(path)
    require_new(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as unfinished:
        yield unfinished


def require_new(path: str | os.PathLike[str]) -> None:
    """Raises an ExportError if a path exists."""
    if os.path.lexists(path):
        raise ExportError(
            f"{path}: exists already. Choose another output, or delete it."
        )


def measure(run: Run, arrays: Arrays, seconds: float = 1.0) -> float:
    """Returns the median milliseconds of a call.

    Args:
        run: The function to call.
        arrays: Its argument.
        seconds: How long to measure, after 3 warm-up calls. At least 5 and at most 200
            calls are measured.
    """
    for _ in range(3):
        run(arrays)
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 5 or (len(times) < 200 and time.perf_counter() < end):
        start = time.perf_counter()
        run(arrays)
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def why_not_keras(error: Exception, runtime: str | None = None) -> str:
    """Returns why a report has no measurements of Keras' own export.

    The text says what failed but does not blame Keras: the cause may be a layer of the
    model, including this package's.

    Args:
        error: The error.
        runtime: The runtime that could not run the file; None if there is no file.
    """
    reason = str(error).strip().partition("\n")[0] or type(error).__name__
    export = f"`model.export` of Keras {keras.__version__}"
    if runtime is None:
        return f"{export} fails on this model: {reason}"
    return f"{runtime} does not run what {export} writes of this model: {reason}"
