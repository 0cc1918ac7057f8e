"""Whether an export gives the numbers of its model, and what it costs.

What every target shares: an export is written beside its place and moved there when it
is whole; then it runs in its real runtime, on `examples.example_inputs`, beside the
model. What differs stays where it was written, for whoever looks for the cause, and
raises `ExportError`, which holds the report.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from tf_gru_addon.export.errors import ExportError
from tf_gru_addon.export.examples import Arrays
from tf_gru_addon.files import whole, writing

Run = Callable[[Arrays], Arrays]

_BATCH = 256  # rows at a time, whatever the size of an example


@dataclass(frozen=True)
class ParityReport:
    """How an export compares with the model that it was made of.

    Attributes:
        format: Name of the target.
        path: The file or folder written.
        size: Its bytes.
        ops: How often each op stands in it, by the op's name.
        cases: Name and maximum error of each input that was run. An error is relative
            where the model's number is above 1.
        tolerance: The largest error allowed.
        latency_ms: Median milliseconds of a call with the first case.
        keras_latency_ms: The same of Keras' own export of the model, or None.
        keras_size: Bytes of Keras' own export, or None.
        keras_reason: Why there are no figures of Keras' own export.
        notes: What else there is to say.

    Example:
        >>> report = ParityReport("onnx", Path("a.onnx"), 30_000, {"GRU": 1},
        ...                       (("batch 1", 2e-7),), 1e-5, 0.25)
        >>> report.max_error, report.passed
        (2e-07, True)
        >>> print(report)
        onnx: a.onnx, 30.0 kB
          parity   passed: largest error 2e-07, allowed 1e-05
                   2e-07  batch 1
          latency  0.250 ms (batch 1)
          ops      GRU 1
    """

    format: str
    path: Path
    size: int
    ops: Mapping[str, int]
    cases: tuple[tuple[str, float], ...]
    tolerance: float
    latency_ms: float
    keras_latency_ms: float | None = None
    keras_size: int | None = None
    keras_reason: str = ""
    notes: tuple[str, ...] = ()

    @property
    def max_error(self) -> float:
        """The largest error of all cases; NaN if one is NaN."""
        return float(np.max([error for _, error in self.cases]))

    @property
    def passed(self) -> bool:
        """Whether no error is larger than allowed."""
        return self.max_error <= self.tolerance  # so that NaN fails

    def __str__(self) -> str:
        verdict = "passed" if self.passed else "FAILED"
        keras_size = "" if self.keras_size is None else readable_size(self.keras_size)
        beside = []
        if self.keras_latency_ms is not None:
            beside.append(f"{self.keras_latency_ms:.3f} ms, {keras_size}")
        elif self.keras_reason:
            beside.append(f"none: {self.keras_reason}")
        ops = sorted(self.ops.items(), key=lambda item: (-item[1], item[0]))
        rows = [
            (
                "parity",
                f"{verdict}: largest error {self.max_error:.0e}, allowed "
                f"{self.tolerance:.0e}",
            ),
            *[("", f"{error:.0e}  {name}") for name, error in self.cases],
            ("latency", f"{self.latency_ms:.3f} ms ({self.cases[0][0]})"),
            *[("", f"Keras' own export: {text}") for text in beside],
            ("ops", ", ".join(f"{name} {count}" for name, count in ops)),
            *[("note", note) for note in self.notes],
        ]
        title = f"{self.format}: {self.path}, {readable_size(self.size)}"
        return "\n".join([title, *(f"  {name:7}  {text}" for name, text in rows)])


def readable_size(count: int) -> str:
    """Returns a number of bytes as a person reads it."""
    return f"{count / 1e6:.2f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"


def flat_model(model: keras.Model) -> keras.Model:
    """Returns a model of the same layers whose inputs and outputs are flat lists.

    Args:
        model: What is to be exported.

    Raises:
        ExportError: It is no Keras model, it is not built, or it does not know its
            inputs (a subclass of `keras.Model`).
    """
    if not isinstance(model, keras.Model):
        raise ExportError(
            f"model must be a keras.Model; received a {type(model).__name__}."
        )
    wrap = "x = keras.Input(shape); model = keras.Model(x, model(x))"
    if not model.built:
        raise ExportError(
            f"{model.name}: the model is not built, so that its weights and input "
            f"shapes are unknown. Begin it with a keras.Input, or call it: {wrap}."
        )
    inputs = getattr(model, "inputs", None)
    if not inputs or not getattr(model, "outputs", None):
        raise ExportError(
            f"{model.name}: a {type(model).__name__} does not say what its inputs are. "
            f"Make it a functional model: {wrap}."
        )
    return keras.Model(list(inputs), list(model.outputs), name=model.name)


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
    expected: Run, received: Run, cases: Mapping[str, Arrays]
) -> tuple[tuple[str, float], ...]:
    """Returns the name and the maximum error of each case.

    Args:
        expected: Gives the model's outputs, as `run_model` does.
        received: Gives the export's, in the same order.
        cases: What to run, as from `example_inputs`.

    Raises:
        ValueError: The outputs are not of the same number and shapes.
    """
    return tuple(
        (name, max(_errors(expected, received, arrays), default=0.0))
        for name, arrays in cases.items()
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


def require_passed(report: ParityReport) -> ParityReport:
    """Returns a report, or raises ExportError with it unless it passed."""
    if report.passed:
        return report
    worst, error = max(report.cases, key=lambda case: (case[1] != case[1], case[1]))
    raise ExportError(
        f"{report.path}: the export differs from the model by {error:.2g} for the case "
        f"{worst!r}; allowed is {report.tolerance:.2g}. It stays where it is. Raise "
        "`tolerance` if that is good enough.",
        report,
    )


def _errors(expected: Run, received: Run, arrays: Arrays) -> Iterator[float]:
    rows = len(arrays[0])
    for start in range(0, max(rows, 1), _BATCH):
        part = [x[start : start + _BATCH] if rows > _BATCH else x for x in arrays]
        pairs: Sequence = list(zip(expected(part), received(part), strict=True))
        for wanted, got in pairs:
            yield _error(np.asarray(wanted), np.asarray(got))


def _error(expected: np.ndarray, received: np.ndarray) -> float:
    if expected.shape != received.shape:
        raise ValueError(
            f"an output has the shape {received.shape} where the model's has "
            f"{expected.shape}."
        )
    if not expected.size:
        return 0.0
    expected = expected.astype(np.float64)
    scale = np.maximum(1.0, np.abs(expected))
    return float(np.max(np.abs(received.astype(np.float64) - expected) / scale))
