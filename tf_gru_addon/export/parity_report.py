"""The report of how an export compares with its model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tf_gru_addon.errors import ExportError
from tf_gru_addon.verify import Comparison


@dataclass(frozen=True)
class ParityReport:
    """How an export compares with its model.

    Attributes:
        format: The name of the target.
        path: The file or folder that was written.
        size: Its size in bytes.
        ops: The count of each op, by the op's name.
        comparison: The errors of all inputs that were compared.
        latency_ms: The median latency in milliseconds of a call with the first case.
        keras_latency_ms: The latency of Keras' own export, or None.
        keras_size: The size in bytes of Keras' own export, or None.
        keras_reason: Why there are no measurements of Keras' own export.
        notes: Further remarks.

    Example:
        >>> comparison = Comparison((("batch 1", 2e-7),), 1e-5)
        >>> report = ParityReport("onnx", Path("a.onnx"), 30_000, {"GRU": 1},
        ...                       comparison, 0.25)
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
    comparison: Comparison
    latency_ms: float
    keras_latency_ms: float | None = None
    keras_size: int | None = None
    keras_reason: str = ""
    notes: tuple[str, ...] = ()

    @property
    def cases(self) -> tuple[tuple[str, float], ...]:
        """The name and the largest error of each input that was compared."""
        return self.comparison.cases

    @property
    def tolerance(self) -> float:
        """The largest error allowed, unless rounding alone makes a larger one."""
        return self.comparison.tolerance

    @property
    def max_error(self) -> float:
        """The largest error of decided cases; NaN if one is NaN or there is none."""
        return self.comparison.max_error

    @property
    def allowed(self) -> float:
        """The largest error allowed in any decided case."""
        return self.comparison.allowed

    @property
    def passed(self) -> bool:
        """Whether the outputs of the export equal those of the model."""
        return self.comparison.passed

    def __str__(self) -> str:
        keras_size = "" if self.keras_size is None else readable_size(self.keras_size)
        beside = []
        if self.keras_latency_ms is not None:
            beside.append(f"{self.keras_latency_ms:.3f} ms, {keras_size}")
        elif self.keras_reason:
            beside.append(f"none: {self.keras_reason}")
        ops = sorted(self.ops.items(), key=lambda item: (-item[1], item[0]))
        verdict = "passed" if self.passed else "FAILED"
        rows = [
            (
                "parity",
                f"{verdict}: largest error {self.max_error:.0e}, allowed "
                f"{self.allowed:.0e}",
            ),
            *[("", row) for row in self.comparison.rows()],
            ("latency", f"{self.latency_ms:.3f} ms ({self.cases[0][0]})"),
            *[("", f"Keras' own export: {text}") for text in beside],
            ("ops", ", ".join(f"{name} {count}" for name, count in ops)),
            *[("note", note) for note in self.notes],
        ]
        title = f"{self.format}: {self.path}, {readable_size(self.size)}"
        return "\n".join([title, *(f"  {name:7}  {text}" for name, text in rows)])


def readable_size(count: int) -> str:
    """Returns a number of bytes as text in kB or MB."""
    return f"{count / 1e6:.2f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"


def require_passed(report: ParityReport) -> ParityReport:
    """Returns a report that passed; raises an ExportError with one that did not."""
    if report.passed:
        return report
    failure = report.comparison.failure
    if failure is None:
        remedy = (
            " Compare on typical inputs, for example shorter ones: "
            "examples={name: [array, ...]}, only_examples=True."
        )
    elif failure[0] in report.comparison.problems:
        remedy = ""
    else:
        remedy = " Raise `tolerance` if this error is acceptable."
    raise ExportError(
        f"{report.path}: the export {report.comparison.reason}. It stays "
        f"where it is.{remedy}",
        report,
    )
