"""Whether an export gives the numbers of its model, and what it costs.

What every target shares: an export is written beside its place and moved there when it
is whole; then it runs in its real runtime beside the model. An export whose outputs
differ stays where it was written, for whoever looks for the cause, and raises
`ExportError`, which holds the report.

Shapes and dtypes must be equal. Numbers may differ by the tolerance, or else by a small
multiple of what rounding alone changes in this model on these inputs (`verify`).
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import re
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import keras
import numpy as np

from tf_gru_addon import verify
from tf_gru_addon._compat import layers_of
from tf_gru_addon.export.errors import ExportError
from tf_gru_addon.export.examples import Arrays
from tf_gru_addon.export.parity_report import Comparison, severity
from tf_gru_addon.files import whole, writing
from tf_gru_addon.flat_model import flat_model as flat_model

Run = Callable[[Arrays], Arrays]

_BATCH = 256  # rows at a time, whatever the size of an example
_HALF = ("bfloat16", "float16")  # `run_model` gives such outputs in float32


def unique_name(name: str, taken: set[str]) -> str:
    """Returns a name of letters, digits and _ that is not taken, and takes it.

    Args:
        name: What it is to be like.
        taken: The names taken, to which it is added. It begins with no "cut_", as the
            tensors of a `cut.Cut` do.
    """
    base = re.sub(r"\W", "_", name)
    base = f"_{base}" if base.startswith("cut_") else base
    candidates = itertools.chain([base], (f"{base}_{n}" for n in itertools.count(1)))
    result = next(each for each in candidates if each not in taken)
    taken.add(result)
    return result


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


def compare(
    expected: Run,
    received: Run,
    cases: Mapping[str, Arrays],
    model: keras.Model,
    tolerance: float,
) -> Comparison:
    """Runs a model and its export.

    Args:
        expected: Gives the model's outputs, as `run_model` does.
        received: Gives the export's, in the same order.
        cases: What to run, as from `example_inputs`.
        model: The model, whose weights are moved where rounding is to be found.
        tolerance: The error from which on it is.
    """
    errors: dict[str, float] = {}
    rounding: dict[str, float] = {}
    problems: dict[str, str] = {}
    layers = [model, *layers_of(model)]
    for name, arrays in cases.items():
        errors[name] = 0.0
        for part in _parts(arrays):
            wanted = expected(part)
            try:
                got = [np.asarray(y) for y in received(part)]
            except Exception as error:  # whatever a runtime raises
                reason = str(error).strip() or type(error).__name__
                problems[name] = f"the export does not run: {reason}"
            else:
                problems[name] = _difference_of_form(wanted, got)
            if problems[name]:
                errors[name] = math.inf
                break
            error = _error(wanted, got)
            errors[name] = max(errors[name], error, key=severity)
            if error > tolerance:
                spread = verify.rounding(expected, part, layers, _error)
                rounding[name] = max(rounding.get(name, 0.0), spread, key=severity)
    problems = {name: text for name, text in problems.items() if text}
    decidable = verify.decidable(layers)
    cases = tuple(errors.items())
    return Comparison(cases, tolerance, rounding, problems, decidable)


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


def _parts(arrays: Arrays) -> Iterator[Arrays]:
    """Yields the rows of an example, not too many at a time."""
    rows = len(arrays[0])
    for start in range(0, max(rows, 1), _BATCH):
        yield [x[start : start + _BATCH] if rows > _BATCH else x for x in arrays]


def _difference_of_form(expected: Arrays, received: Arrays) -> str:
    """Returns how outputs differ in number, shape or dtype; empty if they do not."""
    if len(expected) != len(received):
        return f"it has {len(received)} outputs where the model has {len(expected)}"
    for index, (wanted, got) in enumerate(zip(expected, received, strict=True)):
        output = "the output" if len(expected) == 1 else f"output {index}"
        if wanted.shape != got.shape:
            return (
                f"{output} has the shape {got.shape} where the model's has "
                f"{wanted.shape}"
            )
        if got.dtype != wanted.dtype and got.dtype.name not in _HALF:
            return (
                f"{output} has the dtype {got.dtype.name} where the model's has "
                f"{wanted.dtype.name}"
            )
    return ""


def _error(expected: Arrays, received: Arrays) -> float:
    """Returns the largest error of outputs that have the same form."""
    errors = [0.0]
    for wanted, got in zip(expected, received, strict=True):
        if wanted.size:
            wanted, got = wanted.astype(np.float64), got.astype(np.float64)
            scale = np.maximum(1.0, np.abs(wanted))
            errors.append(float(np.max(np.abs(got - wanted) / scale)))
    return float(np.max(errors))
