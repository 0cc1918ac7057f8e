"""Whether another form of a model computes what the model does.

Shapes and dtypes must be equal. Numbers may differ by the tolerance, or else by a small
multiple of what rounding alone changes in this model on these inputs (`perturbation`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import keras
import numpy as np

from tf_gru_addon._compat import layers_of
from tf_gru_addon.verify import perturbation
from tf_gru_addon.verify.inputs import Arrays, Run
from tf_gru_addon.verify.perturbation import FACTOR

_BATCH = 256  # rows at a time, whatever the size of an example
_HALF = ("bfloat16", "float16")  # `run_model` gives such outputs in float32


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
        return perturbation.limit(self.tolerance, self.rounding.get(case, 0.0))

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
            allowed += f", {FACTOR} times what rounding alone changes"
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
                f"Above {self.tolerance:.0e}, allowed is {FACTOR} times what",
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


def severity(error: float) -> float:
    """Returns a key by which NaN is the worst error.

    Args:
        error: An error.
    """
    return math.inf if math.isnan(error) else error


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
                spread = perturbation.rounding(expected, part, layers, _error)
                rounding[name] = max(rounding.get(name, 0.0), spread, key=severity)
    problems = {name: text for name, text in problems.items() if text}
    decidable = perturbation.decidable(layers)
    cases = tuple(errors.items())
    return Comparison(cases, tolerance, rounding, problems, decidable)


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
