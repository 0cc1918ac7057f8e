"""How an export compares with the model that it was made of, in numbers and words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from tf_gru_addon import verify
from tf_gru_addon.export.errors import ExportError


@dataclass(frozen=True)
class Comparison:
    """How the outputs of two forms of a model compare, input by input.

    A case is *undecided* where rounding alone moves the model's outputs so far that a
    right form and a wrong one give equally different numbers. To pass, more than half
    of the cases must be decided, and these within their limits.

    Attributes:
        cases: Name and maximum error of each input that was run. An error is relative
            where the model's number is above 1; infinite where there is a problem.
        tolerance: The largest error allowed where rounding does not explain more.
        rounding: For each case whose error is above the tolerance: by how much rounding
            alone moves the model's outputs.
        problems: For each case that cannot be compared in numbers, what is wrong: the
            form does not run, or its outputs have other shapes or dtypes.
        decidable: How far rounding may move the outputs of a decided case.

    Example:
        >>> comparison = Comparison((("short", 2e-7), ("long", 3e-5)), 1e-5)
        >>> comparison.passed, comparison.failure
        (False, ('long', 3e-05))
        >>> Comparison(comparison.cases, 1e-5, rounding={"long": 6e-6}).passed
        True
    """

    cases: tuple[tuple[str, float], ...]
    tolerance: float
    rounding: Mapping[str, float] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    decidable: float = 1e-2

    @property
    def undecided(self) -> list[str]:
        """The cases that do not tell right from wrong."""
        return [name for name, x in self.rounding.items() if x > self.decidable]

    @property
    def max_error(self) -> float:
        """The largest error of the decided cases; NaN if one is NaN or none is."""
        return max(self._decided.values(), key=severity, default=math.nan)

    @property
    def allowed(self) -> float:
        """The largest error allowed in any decided case."""
        return max(map(self.limit, self._decided), default=self.tolerance)

    @property
    def failure(self) -> tuple[str, float] | None:
        """The worst of the decided cases that are beyond their limits, or None."""
        failed = [
            (name, error)
            for name, error in self._decided.items()
            if name in self.problems
            or not error <= self.limit(name)  # so that NaN fails
        ]
        return max(failed, key=lambda case: severity(case[1]), default=None)

    @property
    def passed(self) -> bool:
        """Whether the form computes what the model does."""
        judged = 2 * len(self.undecided) < len(self.cases)
        return judged and self.failure is None

    @property
    def _decided(self) -> dict[str, float]:
        undecided = set(self.undecided)
        return {name: error for name, error in self.cases if name not in undecided}

    def limit(self, case: str) -> float:
        """Returns the largest error allowed in a case.

        Args:
            case: Its name.
        """
        return verify.limit(self.tolerance, self.rounding.get(case, 0.0))

    @property
    def reason(self) -> str:
        """Why it did not pass, as the end of a sentence that names the form."""
        if self.passed:
            return ""
        if self.failure is None:
            return (
                "cannot be judged: rounding alone moves the model's outputs by up to "
                f"{max(self.rounding.values()):.2g}, in {len(self.undecided)} of "
                f"{len(self.cases)} cases by more than {self.decidable:.2g}"
            )
        name, error = self.failure
        if problem := self.problems.get(name):
            return f"differs from the model for the case {name!r}: {problem}"
        allowed = f"{self.limit(name):.2g}"
        if self.limit(name) > self.tolerance:
            allowed += f", {verify.FACTOR} times what rounding alone changes"
        return (
            f"differs from the model by {error:.2g} for the case {name!r}; allowed is "
            f"{allowed}"
        )

    def renamed(self, prefix: str) -> Comparison:
        """Returns the same with a prefix to the name of each case.

        Args:
            prefix: The prefix.
        """
        return replace(
            self,
            cases=tuple((prefix + name, error) for name, error in self.cases),
            rounding={prefix + name: x for name, x in self.rounding.items()},
            problems={prefix + name: text for name, text in self.problems.items()},
        )

    def __or__(self, other: Comparison) -> Comparison:
        """Returns the cases of both."""
        return replace(
            self,
            cases=(*self.cases, *other.cases),
            rounding={**self.rounding, **other.rounding},
            problems={**self.problems, **other.problems},
        )

    def rows(self) -> list[str]:
        """Returns a line for each case, and how their limits came about."""
        rows = [self._row(name, error) for name, error in self.cases]
        if self.undecided or self.allowed > self.tolerance:
            rows += [
                f"Above {self.tolerance:.0e}, allowed is {verify.FACTOR} times what",
                "one unit in the last place of weights and inputs changes.",
            ]
        return rows

    def _row(self, name: str, error: float) -> str:
        text = f"{error:.0e}  {name}"
        if name in self.problems:
            return f"{text}: {self.problems[name]}"
        if name not in self.rounding:
            return text
        text += f"; rounding alone: {self.rounding[name]:.0e}"
        return text + (", undecided" if name in self.undecided else "")


@dataclass(frozen=True)
class ParityReport:
    """How an export compares with the model that it was made of.

    Attributes:
        format: Name of the target.
        path: The file or folder written.
        size: Its bytes.
        ops: How often each op stands in it, by the op's name.
        comparison: What each input that was run gave.
        latency_ms: Median milliseconds of a call with the first case.
        keras_latency_ms: The same of Keras' own export of the model, or None.
        keras_size: Bytes of Keras' own export, or None.
        keras_reason: Why there are no figures of Keras' own export.
        notes: What else there is to say.

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
        """Name and maximum error of each input that was run."""
        return self.comparison.cases

    @property
    def tolerance(self) -> float:
        """The largest error allowed where rounding does not explain more."""
        return self.comparison.tolerance

    @property
    def max_error(self) -> float:
        """The largest error of the decided cases; NaN if one is NaN or none is."""
        return self.comparison.max_error

    @property
    def allowed(self) -> float:
        """The largest error allowed in any decided case."""
        return self.comparison.allowed

    @property
    def passed(self) -> bool:
        """Whether the export computes what the model does."""
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


def severity(error: float) -> float:
    """Returns a key by which NaN is the worst error.

    Args:
        error: An error.
    """
    return math.inf if math.isnan(error) else error


def readable_size(count: int) -> str:
    """Returns a number of bytes as a person reads it."""
    return f"{count / 1e6:.2f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"


def require_passed(report: ParityReport) -> ParityReport:
    """Returns a report, or raises ExportError with it unless it passed."""
    if report.passed:
        return report
    failure = report.comparison.failure
    if failure is None:
        remedy = (
            " Compare it on inputs like those that it will get, shorter ones, say: "
            "examples={name: [array, ...]}, only_examples=True."
        )
    elif failure[0] in report.comparison.problems:
        remedy = ""
    else:
        remedy = " Raise `tolerance` if that is good enough."
    raise ExportError(
        f"{report.path}: the export {report.comparison.reason}. It stays "
        f"where it is.{remedy}",
        report,
    )
