"""What every export does with its file: writes it, times it, says why Keras has none.

An export is written beside its place and moved there when it is complete. Then it runs
in its real runtime beside the model.
"""

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
def new_output(path: str | os.PathLike) -> Iterator[Path]:
    """Gives a path to write to, beside `path`, and moves it there when it is whole.

    Args:
        path: The file or folder that is to be made, and its parents with it.

    Raises:
        ExportError: It exists already.
        RunError: It cannot be written.
    """
    path = Path(path)
    require_new(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as unfinished:
        yield unfinished


def require_new(path: str | os.PathLike) -> None:
    """Raises ExportError if there is something at a path."""
    if os.path.lexists(path):
        raise ExportError(
            f"{path}: exists already. Choose another output, or delete it."
        )


def measure(run: Run, arrays: Arrays, seconds: float = 1.0) -> float:
    """Returns the median milliseconds of a call.

    Args:
        run: What to call.
        arrays: Its argument.
        seconds: How long to go on, after 3 calls that do not count; at least 5 calls
            and at most 200 do.
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
    """Returns why a report has no figures of Keras' own export.

    The cause may be Keras or a layer of the model, this package's too: so the text
    says what failed, and not whose fault it is.

    Args:
        error: What was raised.
        runtime: What did not run the file; None where there is none.
    """
    reason = str(error).strip().partition("\n")[0] or type(error).__name__
    export = f"`model.export` of Keras {keras.__version__}"
    if runtime is None:
        return f"{export} fails on this model: {reason}"
    return f"{runtime} does not run what {export} writes of this model: {reason}"
